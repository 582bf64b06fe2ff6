"""Products of integers and weights, the neuron in the lane."""

from __future__ import annotations

import numpy as np

from ...dtypes import BIPOLAR
from ..builder import Builder
from ..index import Index
from ..lanes import WORD_BITS, in_lanes, lane_bits
from ..layout import View
from .product import Product, by_tile


def is_multiplied(product: Product) -> bool:
    """Return whether products take fewer instructions than counts, of 512 bits for 64 neurons.

    Few inputs of many bits, such as the pixels under the first kernel, would leave most of a word
    of a plane empty. Weights beyond -1, 0, 1 are always multiplied.
    """
    if (np.abs(product.weights) > 1).any():
        return True
    dtype, (low, high) = product.layer.input_dtype, product.layer.accumulator_range
    if dtype == BIPOLAR or lane_bits(min(low, dtype.min), max(high, dtype.max)) != 16:
        return False
    # A broadcast, two products, two sums; for each word of a plane 8 times xor, count and sum, and
    # for each plane 8 sums.
    words = -(-product.elements // WORD_BITS)
    return 5 * product.elements < dtype.bits * 8 * (3 * words + 1)


def multiply(product: Product, source: View, target: View, builder: Builder) -> None:
    """Emit for each size of tile a loop over tiles and, inside it, one over positions."""
    before = source.slot.unit_bits
    bits = max(before, lane_bits(*product.layer.accumulator_range))
    ending = product.ending(target, builder, bits=bits)
    weights = builder.constant(by_tile(in_lanes(product.weights.T)[:, None]), bits)
    for tile in builder.tiles(product.neurons):
        builder.emit(f"w = {weights + tile.first * product.elements}")
        with builder.vectors(x=source, y=target) as position:
            builder.emit(f"a = zero({bits}, {tile.lanes})")
            with builder.units(*source.runs) as (at, step):
                x, w = Index.of("x") + at, Index.of("w") + step * tile.lanes
                builder.emit(f"a = weigh(a, item(s, {x}, {before}), s, {w})")
            ending.emit(tile, position)
