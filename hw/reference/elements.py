"""Reading the arrays of the caller in generated Numba code, 64 elements at once.

Elements are of any integer type. Arrays are addressed by element, flat; see ``vector`` for the
memory of a segment.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .lanes import WORD_BITS
from .vector import WORD, Built, mask_word, pointer, read, splat


@intrinsic
def element(_typing: Any, x: Any, index: Any) -> Built:
    """Return ``element(x, i)``: element ``i`` of an array of any integer type, as int64."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        dtype = sig.args[0].dtype
        value = read(ctx, b, sig.args[0], args[0], args[1], ir.IntType(dtype.bitwidth))
        if dtype.bitwidth == WORD_BITS:
            return value
        return b.sext(value, WORD) if dtype.signed else b.zext(value, WORD)

    return types.int64(x, types.intp), build


@intrinsic
def pack(_typing: Any, x: Any, index: Any, bit: Any) -> Built:
    """Return ``pack(x, i, b)``: bit ``l`` is bit ``b`` of ``x[i + l]`` as an int64, l < 64."""
    integer = ir.IntType(x.dtype.bitwidth)
    sixty_four = ir.VectorType(integer, WORD_BITS)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        values = read(ctx, b, sig.args[0], args[0], args[1], sixty_four)
        bit = args[2]
        if sig.args[0].dtype.signed:  # the sign goes on in all higher bits
            sign = ir.Constant(WORD, integer.width - 1)
            bit = b.select(b.icmp_unsigned("<", bit, sign), bit, sign)
        one = b.shl(ir.Constant(WORD, 1), bit)
        narrow = one if integer.width == WORD_BITS else b.trunc(one, integer)
        picked = b.and_(values, splat(b, narrow, sixty_four))
        return mask_word(b, b.icmp_unsigned("!=", picked, ir.Constant(sixty_four, None)))

    return types.int64(x, types.intp, types.int64), build


@intrinsic
def outside(_typing: Any, x: Any, index: Any, low: Any, high: Any) -> Built:
    """Return ``outside(x, i, low, high)``: bit ``l`` says whether ``x[i + l]`` is out of range.

    The bounds are within the range of the element type.
    """
    integer = ir.IntType(x.dtype.bitwidth)
    sixty_four = ir.VectorType(integer, WORD_BITS)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        values = read(ctx, b, sig.args[0], args[0], args[1], sixty_four)
        compare = b.icmp_signed if sig.args[0].dtype.signed else b.icmp_unsigned
        narrow = [
            a if integer.width == WORD_BITS else b.trunc(a, integer) for a in (args[2], args[3])
        ]
        below = compare("<", values, splat(b, narrow[0], sixty_four))
        above = compare(">", values, splat(b, narrow[1], sixty_four))
        return mask_word(b, b.or_(below, above))

    return types.int64(x, types.intp, types.int64, types.int64), build


@intrinsic(prefer_literal=True)
def copy(_typing: Any, x: Any, index: Any, s: Any, target: Any, bits: Any) -> Built:
    """Do ``copy(x, i, s, o, b)``: 64 elements from ``x[i]`` as integers of ``b`` bits."""
    before, after = ir.IntType(x.dtype.bitwidth), ir.IntType(bits.literal_value)
    into = ir.VectorType(after, WORD_BITS)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        values = read(ctx, b, sig.args[0], args[0], args[1], ir.VectorType(before, WORD_BITS))
        if before.width < after.width:
            values = (b.sext if sig.args[0].dtype.signed else b.zext)(values, into)
        elif before.width > after.width:
            values = b.trunc(values, into)
        place = pointer(ctx, b, sig.args[2], args[2], args[3], into)
        b.store(values, place, align=after.width // 8)
        return ctx.get_dummy_value()

    return types.void(x, types.intp, s, types.intp, bits), build
