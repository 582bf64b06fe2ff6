"""Lowering of ``threshold``."""

from __future__ import annotations

from collections.abc import Sequence

from ...stages import Threshold
from ..builder import Builder, lanes_at
from ..ending import Ending, layout_for
from ..index import Index
from ..lanes import lane_bits
from ..layout import Form, Layout, View
from .lowering import Lowering


class LowerThreshold(Lowering[Threshold]):
    """Staircases on integers."""

    def takes(self, stage: Threshold, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """Integers."""
        return (Layout(Form.INTS),)

    def lower(
        self,
        stage: Threshold,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Emit for each size of tile a loop over tiles and, inside it, one over positions."""
        (source,) = sources
        layout = layout_for(stage.thresholds, outputs[0])
        target = builder.slot(stage.output_types[0], layout, stage.thresholds.results).view
        low, high = stage.input_dtype.min, stage.input_dtype.max
        bits = lane_bits(low, high)
        builder.emit(f"# {stage.name}: threshold")
        ending = Ending(stage.thresholds, target, builder, bits=bits, limits=(low, high))
        for tile in builder.tiles(stage.thresholds.channels):
            with builder.vectors(x=source, y=target) as position:
                place = Index.of("x") + tile.first
                builder.emit(f"a = {lanes_at(place, source.slot, tile, bits)}")
                ending.emit(tile, position)
        return (target,)
