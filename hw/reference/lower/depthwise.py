"""Lowering of ``depthwise``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...stages import Depthwise
from ...stages.kernels import Computes
from ..builder import Builder
from ..convert import in_one_place
from ..ending import Ending, layout_for
from ..index import Index
from ..lanes import WORD_BITS, in_lanes, lane_bits, tile_lanes
from ..layout import Axis, Form, Layout, View
from .lowering import Lowering
from .matvec import lower_product, taken
from .product import Product, is_known


class LowerDepthwise(Lowering[Depthwise]):
    """Sums of the taps of each channel, the channel in the lane.

    With several neurons a channel it is a product with weights 0 for all other channels.
    """

    def supports(self, stage: Depthwise) -> bool:
        """Only layers that multiply."""
        return is_known(stage)

    def takes(self, stage: Depthwise, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """Integers, each tap anywhere."""
        if stage.multiplier > 1:
            return (taken(Product.of(stage)),)
        return (Layout(Form.INTS, gathers=True),)

    def lower(
        self,
        stage: Depthwise,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Emit for each size of tile a loop over tiles and, inside it, one over positions."""
        (source,) = sources
        if stage.multiplier > 1:
            return (lower_product(Product.of(stage), source, outputs[0], builder),)
        taps = [Axis(axis.extent, axis.stride * source.slot.pixel) for axis in source.parts]
        if source.slot.channels != stage.channels:
            source = in_one_place(source, builder)
            taps = [Axis(stage.taps, stage.channels)]
        limits = stage.thresholds.results if stage.thresholds else None
        layout = layout_for(stage.thresholds, outputs[0])
        target = builder.slot(stage.output_types[0], layout, limits).view
        low, high = stage.accumulator_range
        # The sum of products of bipolar inputs is 2 P - taps for a popcount P (arXiv:1602.02830).
        is_popcount = stage.arithmetic.computes is Computes.POPCOUNT
        bits = lane_bits(min(low, -2 * stage.taps), max(high, 2 * stage.taps))
        builder.emit(f"# {stage.name}: depthwise {stage.kernel}, {stage.taps} taps")
        ending = Ending(stage.thresholds, target, builder, bits=bits, limits=(low, high))
        weights = builder.constant(in_lanes(stage.weights.T), bits)
        count = builder.constant(np.full(WORD_BITS, stage.taps), bits)
        row = sum(tile_lanes(stage.channels))
        for tile in builder.tiles(stage.channels):
            with builder.vectors(x=source, y=target) as position:
                start = f"load(s, {count}, {bits}, {tile.lanes})"
                builder.emit(f"a = {start if is_popcount else f'zero({bits}, {tile.lanes})'}")
                with builder.units(taps, 1) as (at, step):
                    place = Index.of("x") + at + tile.first
                    tap = f"load(s, {place}, {source.slot.unit_bits}, {tile.lanes})"
                    w = weights + step * row + tile.first
                    builder.emit(f"a = weigh_lanes(a, {tap}, s, {w})")
                if is_popcount:
                    builder.emit("a = half(a)")
                ending.emit(tile, position)
        return (target,)
