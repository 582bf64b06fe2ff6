"""Vectors of eight 64-bit lanes for generated Numba code, and the few operations it needs.

A vector is an LLVM ``<8 x i64>`` value: one AVX-512 register, two AVX2 registers, or four of SSE;
LLVM lowers it, and the population count, to what the machine has. Memory is always the one int64
array ``s`` of a segment, addressed by word. Indices are not checked: the code generator computes
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

LANES = 8
WORD_BITS = 64

_WORD = ir.IntType(WORD_BITS)
_VECTOR = ir.VectorType(_WORD, LANES)


class _VectorType(types.Type):
    """Numba type of eight int64 lanes; it lives in registers and never crosses into Python."""

    def __init__(self) -> None:
        super().__init__(name="popshift_i64x8")


_vector = _VectorType()


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    """An LLVM vector value."""

    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _pointer(ctx: Any, builder: Any, array_type: Any, array: Any, index: Any, what: Any) -> Any:
    """Return the address of element ``index`` as a pointer to ``what``."""
    data = ctx.make_array(array_type)(ctx, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), what.as_pointer())


def _load(ctx: Any, builder: Any, array_type: Any, array: Any, index: Any, what: Any) -> Any:
    """Return the unaligned value of type ``what`` at element ``index``."""
    pointer = _pointer(ctx, builder, array_type, array, index, what)
    return builder.load(pointer, align=array_type.dtype.bitwidth // 8)


def _splat(builder: Any, scalar: Any, vector_type: Any) -> Any:
    """Return ``scalar`` in every lane."""
    undefined = ir.Constant(vector_type, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), None)
    return builder.shuffle_vector(first, undefined, mask)


def _popcount(builder: Any, vector: Any) -> Any:
    """Return the number of set bits of every lane (LLVM ``llvm.ctpop``)."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR])
    name = f"llvm.ctpop.v{LANES}i{WORD_BITS}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [vector])


def _mask_word(builder: Any, mask: Any) -> Any:
    """Return the bits of a boolean vector as an integer, lane 0 lowest."""
    bits = builder.bitcast(mask, ir.IntType(mask.type.count))
    return bits if mask.type.count == WORD_BITS else builder.zext(bits, _WORD)


@intrinsic
def zero(_typing: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``zero()``: 0 in every lane."""
    return _vector(), lambda _ctx, _b, _sig, _args: ir.Constant(_VECTOR, None)


@intrinsic
def splat(_typing: Any, s: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``splat(s, i)``: word ``s[i]`` in every lane."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return _splat(b, _load(ctx, b, sig.args[0], args[0], args[1], _WORD), _VECTOR)

    return _vector(s, types.intp), build


@intrinsic
def load(_typing: Any, s: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``load(s, i)``: words ``s[i]`` to ``s[i + 7]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return _load(ctx, b, sig.args[0], args[0], args[1], _VECTOR)

    return _vector(s, types.intp), build


@intrinsic
def store(_typing: Any, s: Any, index: Any, value: Any) -> tuple[Any, Callable[..., Any]]:
    """Do ``store(s, i, v)``: put vector ``v`` at words ``s[i]`` to ``s[i + 7]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        pointer = _pointer(ctx, b, sig.args[0], args[0], args[1], _VECTOR)
        b.store(args[2], pointer, align=8)
        return ctx.get_dummy_value()

    return types.void(s, types.intp, _vector), build


@intrinsic
def word(_typing: Any, s: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``word(s, i)``: the integer ``s[i]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return _load(ctx, b, sig.args[0], args[0], args[1], _WORD)

    return types.int64(s, types.intp), build


@intrinsic
def put(_typing: Any, s: Any, index: Any, value: Any) -> tuple[Any, Callable[..., Any]]:
    """Do ``put(s, i, v)``: ``s[i] = v`` for an integer."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        b.store(args[2], _pointer(ctx, b, sig.args[0], args[0], args[1], _WORD), align=8)
        return ctx.get_dummy_value()

    return types.void(s, types.intp, types.int64), build


@intrinsic
def element(_typing: Any, x: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``element(x, i)``: element ``i`` of an array of any integer type, as int64."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        dtype = sig.args[0].dtype
        value = _load(ctx, b, sig.args[0], args[0], args[1], ir.IntType(dtype.bitwidth))
        if dtype.bitwidth == WORD_BITS:
            return value
        return b.sext(value, _WORD) if dtype.signed else b.zext(value, _WORD)

    return types.int64(x, types.intp), build


@intrinsic
def agree(_typing: Any, a: Any, x: Any, s: Any, w: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``agree(a, x, s, w)``: ``a + popcount(x ^ load(s, w))`` per lane.

    With complemented weights in ``s`` that counts the equal bits (arXiv:1603.05279, section 3).
    """

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        weights = _load(ctx, b, sig.args[2], args[2], args[3], _VECTOR)
        return b.add(args[0], _popcount(b, b.xor(args[1], weights)))

    return _vector(_vector, _vector, s, types.intp), build


@intrinsic
def agree_masked(
    _typing: Any, a: Any, x: Any, s: Any, w: Any, m: Any
) -> tuple[Any, Callable[..., Any]]:
    """Return ``agree_masked(a, x, s, w, m)``: ``agree`` over the bits set in ``load(s, m)``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        weights = _load(ctx, b, sig.args[2], args[2], args[3], _VECTOR)
        mask = _load(ctx, b, sig.args[2], args[2], args[4], _VECTOR)
        return b.add(args[0], _popcount(b, b.and_(b.xor(args[1], weights), mask)))

    return _vector(_vector, _vector, s, types.intp, types.intp), build


@intrinsic
def double(_typing: Any, a: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``double(a)``: ``2 a`` per lane."""
    return _vector(_vector), lambda _ctx, b, _sig, args: b.add(args[0], args[0])


@intrinsic
def negate(_typing: Any, a: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``negate(a)``: ``-a`` per lane."""
    return _vector(_vector), lambda _ctx, b, _sig, args: b.neg(args[0])


@intrinsic
def plus(_typing: Any, a: Any, s: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``plus(a, s, i)``: ``a + load(s, i)`` per lane."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.add(args[0], _load(ctx, b, sig.args[1], args[1], args[2], _VECTOR))

    return _vector(_vector, s, types.intp), build


@intrinsic
def flip(_typing: Any, a: Any, s: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``flip(a, s, i)``: ``a ^ load(s, i)`` per lane."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.xor(args[0], _load(ctx, b, sig.args[1], args[1], args[2], _VECTOR))

    return _vector(_vector, s, types.intp), build


@intrinsic
def step(_typing: Any, c: Any, a: Any, s: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``step(c, a, s, i)``: ``c + (a >= load(s, i))`` per lane."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        levels = _load(ctx, b, sig.args[2], args[2], args[3], _VECTOR)
        reached = b.icmp_signed(">=", args[1], levels)
        return b.sub(args[0], b.sext(reached, _VECTOR))

    return _vector(_vector, _vector, s, types.intp), build


@intrinsic
def reach(_typing: Any, a: Any, s: Any, index: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``reach(a, s, i)``: bit ``l`` says whether lane ``l`` of ``a`` is >= ``s[i + l]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        levels = _load(ctx, b, sig.args[1], args[1], args[2], _VECTOR)
        return _mask_word(b, b.icmp_signed(">=", args[0], levels))

    return types.int64(_vector, s, types.intp), build


@intrinsic
def plane(_typing: Any, a: Any, bit: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``plane(a, b)``: bit ``l`` is bit ``b`` of lane ``l``."""

    def build(_ctx: Any, b: Any, _sig: Any, args: Any) -> Any:
        one = b.shl(ir.Constant(_WORD, 1), args[1])
        picked = b.and_(args[0], _splat(b, one, _VECTOR))
        return _mask_word(b, b.icmp_unsigned("!=", picked, ir.Constant(_VECTOR, None)))

    return types.int64(_vector, types.int64), build


@intrinsic
def pack(_typing: Any, x: Any, index: Any, bit: Any) -> tuple[Any, Callable[..., Any]]:
    """Return ``pack(x, i, b)``: bit ``l`` of the word is bit ``b`` of ``x[i + l]``, 64 elements."""
    element = ir.IntType(x.dtype.bitwidth)
    sixty_four = ir.VectorType(element, WORD_BITS)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        values = _load(ctx, b, sig.args[0], args[0], args[1], sixty_four)
        one = b.shl(ir.Constant(_WORD, 1), args[2])
        narrow = one if element.width == WORD_BITS else b.trunc(one, element)
        picked = b.and_(values, _splat(b, narrow, sixty_four))
        return _mask_word(b, b.icmp_unsigned("!=", picked, ir.Constant(sixty_four, None)))

    return types.int64(x, types.intp, types.int64), build


@intrinsic
def outside(
    _typing: Any, x: Any, index: Any, low: Any, high: Any
) -> tuple[Any, Callable[..., Any]]:
    """Return ``outside(x, i, low, high)``: bit ``l`` says whether ``x[i + l]`` is out of range.

    The bounds are within the range of the element type.
    """
    element = ir.IntType(x.dtype.bitwidth)
    sixty_four = ir.VectorType(element, WORD_BITS)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        values = _load(ctx, b, sig.args[0], args[0], args[1], sixty_four)
        compare = b.icmp_signed if sig.args[0].dtype.signed else b.icmp_unsigned
        narrow = [
            a if element.width == WORD_BITS else b.trunc(a, element) for a in (args[2], args[3])
        ]
        below = compare("<", values, _splat(b, narrow[0], sixty_four))
        above = compare(">", values, _splat(b, narrow[1], sixty_four))
        return _mask_word(b, b.or_(below, above))

    return types.int64(x, types.intp, types.int64, types.int64), build
