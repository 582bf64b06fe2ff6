"""Sums of products as population counts, word by word, in lanes of a word.

With ``x = sum_b c_b x_b`` over the bits of its code, ``sum_k w_k x_bk = P_b - m``, where ``P_b``
counts the bits equal to those of the weights and ``m`` the weights that are -1. So the sum is
``sum_b c_b P_b - m sum_b c_b``: ``scale * raw + bias`` for every kernel and datatype
(arXiv:1603.05279, section 3, for bits; arXiv:1606.06160, equation 3, for planes).
"""

from __future__ import annotations

import numpy as np

from ...dtypes import DataType, Encoding, IntArray, signed
from ...stages.kernels import Computes
from ..builder import Builder, Tile
from ..index import Index
from ..lanes import WORD_BITS, in_lanes, in_words
from ..layout import View
from .product import Product, by_tile

_X, _W = Index.of("x"), Index.of("w")


def count(product: Product, source: View, target: View, builder: Builder) -> None:
    """Emit for each size of tile a loop over tiles and, inside it, one over positions."""
    dtype = product.layer.input_dtype
    is_masked = bool((product.weights == 0).any())
    scale, bias = _affine(product)
    ending = product.ending(target, builder, bits=WORD_BITS, scale=scale, bias=bias)
    # Complemented weights and, for ternary ones, the mask of those that are not 0. Bits past the
    # last element are 0 in inputs and weights, and so never counted.
    blocks = [product.weights < 0, product.weights != 0][: 2 if is_masked else 1]
    words = [in_lanes(in_words(block.astype(np.int64)).T) for block in blocks]
    weights = builder.constant(by_tile(np.stack(words, axis=1)))
    size = words[0].shape[0] * len(blocks)
    for tile in builder.tiles(product.neurons):
        builder.emit(f"w = {weights + tile.first * size}")
        with builder.vectors(x=source, y=target) as position:
            _horner(dtype, source, tile, builder, is_masked=is_masked)
            ending.emit(tile, position)


def _horner(
    dtype: DataType, source: View, tile: Tile, builder: Builder, *, is_masked: bool
) -> None:
    """Emit the sums of the counts of all planes.

    Two planes meet the same masked weights: the counts of half a tile leave enough of 32 registers
    for all products.
    """
    if not is_masked or dtype.bits == 1 or tile.lanes < WORD_BITS:
        _half_horner("a", dtype, source, tile, builder, range(tile.lanes), is_masked=is_masked)
        return
    for name, lanes in (("a", range(32)), ("h", range(32, 64))):
        _half_horner(name, dtype, source, tile, builder, lanes, is_masked=is_masked)
    builder.emit("a = join(a, h)")


def _half_horner(
    total: str,
    dtype: DataType,
    source: View,
    tile: Tile,
    builder: Builder,
    lanes: range,
    *,
    is_masked: bool,
) -> None:
    """Emit the sum of the counts of all planes from the highest on, two at a time.

    The highest of two's complement counts negative.
    """

    def agree(*planes: tuple[str, Index]) -> None:
        with builder.units(*source.runs) as (at, step):
            w = _W + step * (tile.lanes * (2 if is_masked else 1)) + lanes.start
            for name, plane in planes:
                x = _X + plane * source.slot.plane + at
                if is_masked:
                    w_and_mask = f"{w}, {w + tile.lanes}"
                    builder.emit(f"{name} = agree_masked({name}, s, {x}, {w_and_mask})")
                else:
                    builder.emit(f"{name} = agree({name}, s, {x}, {w})")
            if is_masked:
                builder.emit("fence()")  # else LLVM puts what it reads ahead on the stack

    zero = f"zero({WORD_BITS}, {len(lanes)})"
    top, below = Index(dtype.bits - 1), Index(dtype.bits - 2)
    is_even = dtype.bits % 2 == 0
    builder.emit(f"{total} = {zero}")
    if is_even:
        builder.emit(f"d = {zero}")
    agree(*((total, top), ("d", below))[: 2 if is_even else 1])
    if dtype.encoding is Encoding.SIGNED:
        builder.emit(f"{total} = negate({total})")
    if is_even:
        builder.emit(f"{total} = added(double({total}), d)")
    rest = (dtype.bits - 1) // 2
    if rest:
        with builder.loop("p", rest) as p:
            high = p * -2 + (2 * rest - 1)
            builder.emit(f"d = {zero}", f"q = {zero}")
            agree(("d", high), ("q", high + -1))
            builder.emit(f"{total} = added(double(added(double({total}), d)), q)")


def is_ternary(product: Product, source: View) -> bool:
    """Return whether all inputs are -1, 0, +1 and all weights -1, +1."""
    low, high = source.slot.limits
    is_input = product.layer.input_dtype == signed(2) and low >= -1 and high <= 1
    return is_input and bool((product.weights != 0).all())


def count_signs(product: Product, source: View, target: View, builder: Builder) -> None:
    """Emit counts of equal signs where the input is not 0.

    In two's complement the lower plane says which of -1, 0, +1 is not 0 and the higher one which is
    negative. With ``n`` inputs that are not 0 and ``P`` of them of the sign of their weights, the
    accumulator is ``2 P - n``.
    """
    ending = product.ending(target, builder, bits=WORD_BITS)
    words = in_lanes(in_words((product.weights > 0).astype(np.int64)).T)
    weights = builder.constant(by_tile(words[:, None]))
    signs = source.slot.plane
    for tile in builder.tiles(product.neurons):
        builder.emit(f"w = {weights + tile.first * len(words)}")
        with builder.vectors(x=source, y=target) as position:
            builder.emit(f"a = zero({WORD_BITS}, {tile.lanes})", "l = 0")
            with builder.units(*source.runs) as (at, step):
                x, w = _X + at, _W + step * tile.lanes
                builder.emit(f"l += ones(s, {x})")
                builder.emit(f"a = agree_where(a, s, {x + signs}, {x}, {w})")
            builder.emit("a = less(double(a), l)")
            ending.emit(tile, position)


def _affine(product: Product) -> tuple[int, IntArray]:
    """Return scale and bias with which the population counts become the accumulators."""
    weights, dtype = product.weights, product.layer.input_dtype
    magnitudes, negatives = np.abs(weights).sum(axis=1), (weights < 0).sum(axis=1)
    if product.layer.arithmetic.computes is Computes.POPCOUNT:
        return 1, 0 * negatives
    if dtype.encoding is Encoding.BIPOLAR:
        return 2, -magnitudes
    # The integer whose code is all ones.
    return 1, -negatives * (-1 if dtype.encoding is Encoding.SIGNED else (1 << dtype.bits) - 1)
