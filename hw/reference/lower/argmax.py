"""Lowering of ``argmax``."""

from __future__ import annotations

from collections.abc import Sequence

from ...stages import Argmax
from ..builder import Builder
from ..layout import Form, Layout, View
from .lowering import Lowering


class LowerArgmax(Lowering[Argmax]):
    """First index of the maximum."""

    def takes(self, stage: Argmax, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """Integers."""
        return (Layout(Form.INTS),)

    def lower(
        self,
        stage: Argmax,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Emit the scalar loop; it leaves integers."""
        (source,) = sources
        target = builder.slot(stage.output_types[0], Layout(Form.INTS)).view
        bits = source.slot.unit_bits
        builder.emit(f"# {stage.name}: argmax of {stage.classes}")
        with builder.vectors(x=source, y=target):
            builder.emit("best = 0", f"for c in range(1, {stage.classes}):")
            builder.emit(f"    if item(s, x + c, {bits}) > item(s, x + best, {bits}):")
            builder.emit("        best = c")
            builder.emit(f"set_item(s, y, {target.slot.unit_bits}, best)")
        return (target,)
