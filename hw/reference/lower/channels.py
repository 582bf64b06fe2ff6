"""Lowering of ``concat`` and ``split``, which move channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...stages import Concat, Split
from ..builder import Builder
from ..index import Index
from ..layout import Form, Layout, View
from .lowering import Lowering

_X, _Y = Index.of("x"), Index.of("y")


class LowerConcat(Lowering[Concat]):
    """Copies of integers side by side."""

    def takes(self, stage: Concat, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """Integers."""
        return (Layout(Form.INTS),) * len(stage.inputs)

    def lower(
        self,
        stage: Concat,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Emit a loop for each input; it leaves integers."""
        limits = [source.slot.limits for source in sources]
        target = builder.slot(
            stage.output_types[0],
            Layout(Form.INTS),
            (min(low for low, _ in limits), max(high for _, high in limits)),
        ).view
        builder.emit(f"# {stage.name}: concat")
        start = 0
        for source, channels in zip(sources, stage.channels, strict=True):
            with builder.vectors(x=source, y=target), builder.loop("c", channels) as c:
                element = f"item(s, {_X + c}, {source.slot.unit_bits})"
                builder.emit(f"set_item(s, {_Y + c + start}, {target.slot.unit_bits}, {element})")
            start += channels
        return (target,)


class LowerSplit(Lowering[Split]):
    """Copies of the channels of each output."""

    def takes(self, stage: Split, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """Integers."""
        return (Layout(Form.INTS),)

    def lower(
        self,
        stage: Split,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Emit a loop for each output, whose channels are a constant; it leaves integers."""
        (source,) = sources
        builder.emit(f"# {stage.name}: split")
        targets = []
        for kind, members in zip(stage.output_types, stage.members, strict=True):
            target = builder.slot(kind, Layout(Form.INTS), source.slot.limits).view
            channels = builder.constant(np.flatnonzero(members))
            bits = target.slot.unit_bits
            with builder.vectors(x=source, y=target), builder.loop("c", kind.shape[-1]) as c:
                builder.emit(f"z = word(s, {channels + c})")
                element = f"item(s, {_X + Index.of('z')}, {bits})"
                builder.emit(f"set_item(s, {_Y + c}, {bits}, {element})")
            targets.append(target)
        return targets
