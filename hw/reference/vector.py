"""Vectors of integer lanes for generated Numba code, and the few operations it needs.

A vector is an LLVM value of 8, 16, 32 or 64 lanes, as many as a tile has channels, of 16, 32 or 64
bits: 64 lanes of 64 bits are eight AVX-512 registers, or sixteen of AVX2. LLVM lowers it, and the
population count, to what the machine has. Memory is always the one int64 array ``s`` of a segment;
an index counts integers of the width that is read. Indices are not checked: the code generator
computes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

from .lanes import WORD_BITS

WORD = ir.IntType(WORD_BITS)
Built = tuple[Any, Callable[..., Any]]


class VectorType(types.Type):
    """Numba type of integer lanes; it lives in registers and never crosses into Python."""

    def __init__(self, bits: int, lanes: int) -> None:
        self.bits = bits
        self.lanes = lanes
        self.value = ir.VectorType(ir.IntType(bits), lanes)
        super().__init__(name=f"popshift_int{bits}x{lanes}")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    """An LLVM vector value."""

    def __init__(self, dmm: Any, fe_type: VectorType) -> None:
        super().__init__(dmm, fe_type, fe_type.value)


def pointer(ctx: Any, builder: Any, array_type: Any, array: Any, index: Any, what: Any) -> Any:
    """Return the address of integer ``index`` as a pointer to ``what``, a vector or an integer."""
    data = ctx.make_array(array_type)(ctx, builder, array).data
    integer = what.element if isinstance(what, ir.VectorType) else what
    first = builder.bitcast(data, integer.as_pointer())
    return builder.bitcast(builder.gep(first, [index]), what.as_pointer())


def read(ctx: Any, builder: Any, array_type: Any, array: Any, index: Any, what: Any) -> Any:
    """Return the value of type ``what`` at integer ``index``."""
    integer = what.element if isinstance(what, ir.VectorType) else what
    place = pointer(ctx, builder, array_type, array, index, what)
    return builder.load(place, align=integer.width // 8)


def splat(builder: Any, scalar: Any, vector_type: Any) -> Any:
    """Return ``scalar`` in every lane."""
    undefined = ir.Constant(vector_type, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), None)
    return builder.shuffle_vector(first, undefined, mask)


def mask_word(builder: Any, mask: Any) -> Any:
    """Return the bits of a boolean vector as an integer, lane 0 lowest."""
    bits = builder.bitcast(mask, ir.IntType(mask.type.count))
    return bits if mask.type.count == WORD_BITS else builder.zext(bits, WORD)


def resize(builder: Any, vector: Any, vector_type: Any) -> Any:
    """Return the lanes with the width of another type of vector, sign extended or cut."""
    before, after = vector.type.element.width, vector_type.element.width
    if before == after:
        return vector
    return (builder.sext if before < after else builder.trunc)(vector, vector_type)


@intrinsic(prefer_literal=True)
def zero(_typing: Any, bits: Any, lanes: Any) -> Built:
    """Return ``zero(b, n)``: 0 in each of ``n`` lanes of ``b`` bits."""
    vector = VectorType(bits.literal_value, lanes.literal_value)
    return vector(bits, lanes), lambda _ctx, _b, _sig, _args: ir.Constant(vector.value, None)


@intrinsic(prefer_literal=True)
def load(_typing: Any, s: Any, index: Any, bits: Any, lanes: Any) -> Built:
    """Return ``load(s, i, b, n)``: ``n`` integers of ``b`` bits from the ``i``-th on."""
    vector = VectorType(bits.literal_value, lanes.literal_value)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return read(ctx, b, sig.args[0], args[0], args[1], vector.value)

    return vector(s, types.intp, bits, lanes), build


@intrinsic(prefer_literal=True)
def store(_typing: Any, s: Any, index: Any, bits: Any, value: Any) -> Built:
    """Do ``store(s, i, b, v)``: put the lanes as integers of ``b`` bits from the ``i``-th on."""
    target = VectorType(bits.literal_value, value.lanes).value

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        place = pointer(ctx, b, sig.args[0], args[0], args[1], target)
        b.store(resize(b, args[3], target), place, align=target.element.width // 8)
        return ctx.get_dummy_value()

    return types.void(s, types.intp, bits, value), build


@intrinsic(prefer_literal=True)
def wide(_typing: Any, a: Any, bits: Any) -> Built:
    """Return ``wide(a, b)``: the same integers in lanes of ``b`` bits."""
    target = VectorType(bits.literal_value, a.lanes)
    return target(a, bits), lambda _ctx, b, _sig, args: resize(b, args[0], target.value)


@intrinsic
def word(_typing: Any, s: Any, index: Any) -> Built:
    """Return ``word(s, i)``: the word ``s[i]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return read(ctx, b, sig.args[0], args[0], args[1], WORD)

    return types.int64(s, types.intp), build


@intrinsic
def put(_typing: Any, s: Any, index: Any, value: Any) -> Built:
    """Do ``put(s, i, v)``: ``s[i] = v`` for a word."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        b.store(args[2], pointer(ctx, b, sig.args[0], args[0], args[1], WORD), align=8)
        return ctx.get_dummy_value()

    return types.void(s, types.intp, types.int64), build


@intrinsic(prefer_literal=True)
def item(_typing: Any, s: Any, index: Any, bits: Any) -> Built:
    """Return ``item(s, i, b)``: the ``i``-th integer of ``b`` bits."""
    integer = ir.IntType(bits.literal_value)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        value = read(ctx, b, sig.args[0], args[0], args[1], integer)
        return value if integer.width == WORD_BITS else b.sext(value, WORD)

    return types.int64(s, types.intp, bits), build


@intrinsic(prefer_literal=True)
def set_item(_typing: Any, s: Any, index: Any, bits: Any, value: Any) -> Built:
    """Do ``set_item(s, i, b, v)``: make ``v`` the ``i``-th integer of ``b`` bits."""
    integer = ir.IntType(bits.literal_value)

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        value = args[3] if integer.width == WORD_BITS else b.trunc(args[3], integer)
        place = pointer(ctx, b, sig.args[0], args[0], args[1], integer)
        b.store(value, place, align=integer.width // 8)
        return ctx.get_dummy_value()

    return types.void(s, types.intp, bits, types.int64), build


@intrinsic
def fence(_typing: Any) -> Built:
    """Do ``fence()``: keep what is read after it from being read before it."""

    def build(ctx: Any, b: Any, _sig: Any, _args: Any) -> Any:
        b.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], side_effect=True)
        return ctx.get_dummy_value()

    return types.void(), build
