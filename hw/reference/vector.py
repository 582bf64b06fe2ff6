"""Vectors of 64-bit lanes for generated Numba code, and the few operations it needs.

A vector is an LLVM value of 8, 16, 32 or 64 lanes, as many as a tile has channels: 64 lanes are
eight AVX-512 registers, or sixteen of AVX2. LLVM lowers it, and the population count, to what the
machine has. Memory is always the one int64 array ``s`` of a segment, addressed by word. Indices are
not checked: the code generator computes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

WORD_BITS = 64

_WORD = ir.IntType(WORD_BITS)
_Built = tuple[Any, Callable[..., Any]]


class VectorType(types.Type):
    """Numba type of int64 lanes; it lives in registers and never crosses into Python."""

    def __init__(self, lanes: int) -> None:
        self.value = ir.VectorType(_WORD, lanes)
        super().__init__(name=f"popshift_int64x{lanes}")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    """An LLVM vector value."""

    def __init__(self, dmm: Any, fe_type: VectorType) -> None:
        super().__init__(dmm, fe_type, fe_type.value)


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
    kind = ir.FunctionType(vector.type, [vector.type])
    name = f"llvm.ctpop.v{vector.type.count}i{WORD_BITS}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [vector])


def _mask_word(builder: Any, mask: Any) -> Any:
    """Return the bits of a boolean vector as an integer, lane 0 lowest."""
    bits = builder.bitcast(mask, ir.IntType(mask.type.count))
    return bits if mask.type.count == WORD_BITS else builder.zext(bits, _WORD)


@intrinsic(prefer_literal=True)
def zero(_typing: Any, lanes: Any) -> _Built:
    """Return ``zero(n)``: 0 in each of ``n`` lanes."""
    vector = VectorType(lanes.literal_value)
    return vector(lanes), lambda _ctx, _b, _sig, _args: ir.Constant(vector.value, None)


@intrinsic(prefer_literal=True)
def load(_typing: Any, s: Any, index: Any, lanes: Any) -> _Built:
    """Return ``load(s, i, n)``: the words ``s[i]`` to ``s[i + n - 1]``."""
    vector = VectorType(lanes.literal_value)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return _load(ctx, b, sig.args[0], args[0], args[1], vector.value)

    return vector(s, types.intp, lanes), build


@intrinsic
def store(_typing: Any, s: Any, index: Any, value: Any) -> _Built:
    """Do ``store(s, i, v)``: put a vector at the words from ``s[i]`` on."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        pointer = _pointer(ctx, b, sig.args[0], args[0], args[1], value.value)
        b.store(args[2], pointer, align=8)
        return ctx.get_dummy_value()

    return types.void(s, types.intp, value), build


@intrinsic
def word(_typing: Any, s: Any, index: Any) -> _Built:
    """Return ``word(s, i)``: the integer ``s[i]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return _load(ctx, b, sig.args[0], args[0], args[1], _WORD)

    return types.int64(s, types.intp), build


@intrinsic
def put(_typing: Any, s: Any, index: Any, value: Any) -> _Built:
    """Do ``put(s, i, v)``: ``s[i] = v`` for an integer."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        b.store(args[2], _pointer(ctx, b, sig.args[0], args[0], args[1], _WORD), align=8)
        return ctx.get_dummy_value()

    return types.void(s, types.intp, types.int64), build


@intrinsic
def element(_typing: Any, x: Any, index: Any) -> _Built:
    """Return ``element(x, i)``: element ``i`` of an array of any integer type, as int64."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        dtype = sig.args[0].dtype
        value = _load(ctx, b, sig.args[0], args[0], args[1], ir.IntType(dtype.bitwidth))
        if dtype.bitwidth == WORD_BITS:
            return value
        return b.sext(value, _WORD) if dtype.signed else b.zext(value, _WORD)

    return types.int64(x, types.intp), build


@intrinsic
def agree(_typing: Any, a: Any, s: Any, x: Any, w: Any) -> _Built:
    """Return ``agree(a, s, x, w)``: ``a + popcount(s[x] ^ weights from s[w] on)`` per lane.

    With complemented weights that counts the equal bits (arXiv:1603.05279, section 3).
    """

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        word = _splat(b, _load(ctx, b, sig.args[1], args[1], args[2], _WORD), a.value)
        weights = _load(ctx, b, sig.args[1], args[1], args[3], a.value)
        return b.add(args[0], _popcount(b, b.xor(word, weights)))

    return a(a, s, types.intp, types.intp), build


@intrinsic
def agree_masked(_typing: Any, a: Any, s: Any, x: Any, w: Any, m: Any) -> _Built:
    """Return ``agree_masked(a, s, x, w, m)``: ``agree`` over the bits set from ``s[m]`` on."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        word = _splat(b, _load(ctx, b, sig.args[1], args[1], args[2], _WORD), a.value)
        weights, mask = (_load(ctx, b, sig.args[1], args[1], index, a.value) for index in args[3:])
        return b.add(args[0], _popcount(b, b.and_(b.xor(word, weights), mask)))

    return a(a, s, types.intp, types.intp, types.intp), build


@intrinsic
def double(_typing: Any, a: Any) -> _Built:
    """Return ``double(a)``: ``2 a`` per lane."""
    return a(a), lambda _ctx, b, _sig, args: b.add(args[0], args[0])


@intrinsic
def negate(_typing: Any, a: Any) -> _Built:
    """Return ``negate(a)``: ``-a`` per lane."""
    return a(a), lambda _ctx, b, _sig, args: b.neg(args[0])


@intrinsic
def plus(_typing: Any, a: Any, s: Any, index: Any) -> _Built:
    """Return ``plus(a, s, i)``: ``a + s[i...]`` per lane."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.add(args[0], _load(ctx, b, sig.args[1], args[1], args[2], a.value))

    return a(a, s, types.intp), build


@intrinsic
def flip(_typing: Any, a: Any, s: Any, index: Any) -> _Built:
    """Return ``flip(a, s, i)``: ``a ^ s[i...]`` per lane."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.xor(args[0], _load(ctx, b, sig.args[1], args[1], args[2], a.value))

    return a(a, s, types.intp), build


@intrinsic
def step(_typing: Any, c: Any, a: Any, s: Any, index: Any) -> _Built:
    """Return ``step(c, a, s, i)``: ``c + (a >= load(s, i))`` per lane."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        levels = _load(ctx, b, sig.args[2], args[2], args[3], a.value)
        reached = b.icmp_signed(">=", args[1], levels)
        return b.sub(args[0], b.sext(reached, a.value))

    return a(a, a, s, types.intp), build


@intrinsic
def reach(_typing: Any, a: Any, s: Any, index: Any) -> _Built:
    """Return ``reach(a, s, i)``: bit ``l`` says whether lane ``l`` of ``a`` is >= ``s[i + l]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        levels = _load(ctx, b, sig.args[1], args[1], args[2], a.value)
        return _mask_word(b, b.icmp_signed(">=", args[0], levels))

    return types.int64(a, s, types.intp), build


@intrinsic
def plane(_typing: Any, a: Any, bit: Any) -> _Built:
    """Return ``plane(a, b)``: bit ``l`` is bit ``b`` of lane ``l``."""

    def build(_ctx: Any, b: Any, _sig: Any, args: Any) -> Any:
        one = b.shl(ir.Constant(_WORD, 1), args[1])
        picked = b.and_(args[0], _splat(b, one, a.value))
        return _mask_word(b, b.icmp_unsigned("!=", picked, ir.Constant(a.value, None)))

    return types.int64(a, types.int64), build


@intrinsic
def pack(_typing: Any, x: Any, index: Any, bit: Any) -> _Built:
    """Return ``pack(x, i, b)``: bit ``l`` is bit ``b`` of ``x[i + l]`` as an int64, l < 64."""
    element = ir.IntType(x.dtype.bitwidth)
    sixty_four = ir.VectorType(element, WORD_BITS)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        values = _load(ctx, b, sig.args[0], args[0], args[1], sixty_four)
        bit = args[2]
        if sig.args[0].dtype.signed:  # the sign goes on in all higher bits
            sign = ir.Constant(_WORD, element.width - 1)
            bit = b.select(b.icmp_unsigned("<", bit, sign), bit, sign)
        one = b.shl(ir.Constant(_WORD, 1), bit)
        narrow = one if element.width == WORD_BITS else b.trunc(one, element)
        picked = b.and_(values, _splat(b, narrow, sixty_four))
        return _mask_word(b, b.icmp_unsigned("!=", picked, ir.Constant(sixty_four, None)))

    return types.int64(x, types.intp, types.int64), build


@intrinsic
def outside(_typing: Any, x: Any, index: Any, low: Any, high: Any) -> _Built:
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
