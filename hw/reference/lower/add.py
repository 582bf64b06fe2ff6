"""Lowering of ``add``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...stages import Add
from ..builder import Builder
from ..ending import Ending
from ..index import Index
from ..lanes import WORD_BITS, lane_bits
from ..layout import Form, Layout, View
from .lowering import Lowering


class LowerAdd(Lowering[Add]):
    """Sums of multiples of integers, the channel in the lane."""

    def supports(self, stage: Add) -> bool:
        """Only sums of 62 bits."""
        low, high = stage.sum_range
        return low > -(1 << 61) and high < 1 << 61

    def takes(self, stage: Add, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """Integers."""
        return (Layout(Form.INTS),) * len(stage.inputs)

    def lower(
        self,
        stage: Add,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Emit for each size of tile a loop over tiles and, inside it, one over positions."""
        limits = stage.bounds or stage.sum_range
        target = builder.slot(stage.output_types[0], outputs[0], limits).view
        low, high = stage.sum_range
        bits = lane_bits(low, high)
        builder.emit(f"# {stage.name}: add")
        ending = Ending(None, target, builder, bits=bits, limits=limits)

        def constant(value: int) -> Index:
            return builder.constant(np.full(WORD_BITS, value), bits)

        factors = [constant(factor) for factor in stage.factors]
        bounds = [constant(bound) for bound in stage.bounds or ()]
        views = {f"in{i}": source for i, source in enumerate(sources)}
        for tile in builder.tiles(stage.channels):
            with builder.vectors(y=target, **views) as position:
                builder.emit(f"a = zero({bits}, {tile.lanes})")
                for (name, source), factor in zip(views.items(), factors, strict=True):
                    place = Index.of(name) + tile.first
                    term = f"load(s, {place}, {source.slot.unit_bits}, {tile.lanes})"
                    builder.emit(f"a = weigh_lanes(a, {term}, s, {factor})")
                for function, bound in zip(("greater", "lesser"), bounds, strict=False):
                    builder.emit(f"a = {function}(a, load(s, {bound}, {bits}, {tile.lanes}))")
                ending.emit(tile, position)
        return (target,)
