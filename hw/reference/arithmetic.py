"""Arithmetic on vectors of integer lanes in generated Numba code; see ``vector``."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .lanes import WORD_BITS
from .vector import WORD, Built, VectorType, mask_word, read, resize, splat


def _popcount(builder: Any, vector: Any) -> Any:
    """Return the number of set bits of every lane (LLVM ``llvm.ctpop``)."""
    kind = ir.FunctionType(vector.type, [vector.type])
    name = f"llvm.ctpop.v{vector.type.count}i{vector.type.element.width}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [vector])


@intrinsic
def agree(_typing: Any, a: Any, s: Any, x: Any, w: Any) -> Built:
    """Return ``agree(a, s, x, w)``: ``a + popcount(s[x] ^ weights from s[w] on)`` per lane.

    With complemented weights that counts the equal bits (arXiv:1603.05279, section 3).
    """

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        bits = splat(b, read(ctx, b, sig.args[1], args[1], args[2], WORD), a.value)
        weights = read(ctx, b, sig.args[1], args[1], args[3], a.value)
        return b.add(args[0], _popcount(b, b.xor(bits, weights)))

    return a(a, s, types.intp, types.intp), build


@intrinsic
def agree_masked(_typing: Any, a: Any, s: Any, x: Any, w: Any, m: Any) -> Built:
    """Return ``agree_masked(a, s, x, w, m)``: ``agree`` over the bits set from ``s[m]`` on."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        bits = splat(b, read(ctx, b, sig.args[1], args[1], args[2], WORD), a.value)
        weights, mask = (read(ctx, b, sig.args[1], args[1], index, a.value) for index in args[3:])
        return b.add(args[0], _popcount(b, b.and_(b.xor(bits, weights), mask)))

    return a(a, s, types.intp, types.intp, types.intp), build


@intrinsic
def agree_where(_typing: Any, a: Any, s: Any, x: Any, m: Any, w: Any) -> Built:
    """Return ``agree_where(a, s, x, m, w)``: ``agree`` over the bits set in ``s[m]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        bits, mask = (
            splat(b, read(ctx, b, sig.args[1], args[1], index, WORD), a.value)
            for index in args[2:4]
        )
        weights = read(ctx, b, sig.args[1], args[1], args[4], a.value)
        return b.add(args[0], _popcount(b, b.and_(b.xor(bits, weights), mask)))

    return a(a, s, types.intp, types.intp, types.intp), build


@intrinsic
def ones(_typing: Any, s: Any, index: Any) -> Built:
    """Return ``ones(s, i)``: the number of set bits of the word ``s[i]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.ctpop(read(ctx, b, sig.args[0], args[0], args[1], WORD))

    return types.int64(s, types.intp), build


@intrinsic
def less(_typing: Any, a: Any, n: Any) -> Built:
    """Return ``less(a, n)``: ``a - n`` per lane, for an integer."""
    return a(a, types.int64), lambda _ctx, b, _sig, args: b.sub(args[0], splat(b, args[1], a.value))


@intrinsic
def weigh(_typing: Any, a: Any, n: Any, s: Any, w: Any) -> Built:
    """Return ``weigh(a, n, s, w)``: ``a`` plus an integer times the weights from ``w`` on."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        element = a.value.element
        integer = args[1] if element.width == WORD_BITS else b.trunc(args[1], element)
        weights = read(ctx, b, sig.args[2], args[2], args[3], a.value)
        return b.add(args[0], b.mul(splat(b, integer, a.value), weights))

    return a(a, types.int64, s, types.intp), build


@intrinsic
def weigh_lanes(_typing: Any, a: Any, v: Any, s: Any, w: Any) -> Built:
    """Return ``weigh_lanes(a, v, s, w)``: ``a`` plus ``v`` times the weights from ``w``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        weights = read(ctx, b, sig.args[2], args[2], args[3], a.value)
        return b.add(args[0], b.mul(resize(b, args[1], a.value), weights))

    return a(a, v, s, types.intp), build


@intrinsic
def added(_typing: Any, a: Any, v: Any) -> Built:
    """Return ``added(a, v)``: ``a + v`` per lane, as wide as ``a``."""
    return a(a, v), lambda _ctx, b, _sig, args: b.add(args[0], resize(b, args[1], a.value))


@intrinsic
def greater(_typing: Any, a: Any, v: Any) -> Built:
    """Return ``greater(a, v)``: the greater one per lane."""

    def build(_ctx: Any, b: Any, _sig: Any, args: Any) -> Any:
        return b.select(b.icmp_signed(">", args[1], args[0]), args[1], args[0])

    return a(a, v), build


@intrinsic
def lesser(_typing: Any, a: Any, v: Any) -> Built:
    """Return ``lesser(a, v)``: the lesser one per lane."""

    def build(_ctx: Any, b: Any, _sig: Any, args: Any) -> Any:
        return b.select(b.icmp_signed("<", args[1], args[0]), args[1], args[0])

    return a(a, v), build


@intrinsic
def double(_typing: Any, a: Any) -> Built:
    """Return ``double(a)``: ``2 a`` per lane."""
    return a(a), lambda _ctx, b, _sig, args: b.add(args[0], args[0])


@intrinsic
def half(_typing: Any, a: Any) -> Built:
    """Return ``half(a)``: ``a / 2`` per lane, rounded down."""

    def build(_ctx: Any, b: Any, _sig: Any, args: Any) -> Any:
        return b.ashr(args[0], splat(b, ir.Constant(a.value.element, 1), a.value))

    return a(a), build


@intrinsic
def negate(_typing: Any, a: Any) -> Built:
    """Return ``negate(a)``: ``-a`` per lane."""
    return a(a), lambda _ctx, b, _sig, args: b.neg(args[0])


@intrinsic
def plus(_typing: Any, a: Any, s: Any, index: Any) -> Built:
    """Return ``plus(a, s, i)``: ``a + s[i...]`` per lane."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.add(args[0], read(ctx, b, sig.args[1], args[1], args[2], a.value))

    return a(a, s, types.intp), build


@intrinsic
def step(_typing: Any, c: Any, a: Any, s: Any, level: Any, delta: Any) -> Built:
    """Return ``step(c, a, s, l, d)``: ``c + s[d...]`` in the lanes where ``a >= s[l...]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        levels = read(ctx, b, sig.args[2], args[2], args[3], a.value)
        deltas = read(ctx, b, sig.args[2], args[2], args[4], a.value)
        reached = b.icmp_signed(">=", args[1], levels)
        return b.add(args[0], b.select(reached, deltas, ir.Constant(a.value, None)))

    return a(a, a, s, types.intp, types.intp), build


@intrinsic
def reach(_typing: Any, a: Any, s: Any, index: Any) -> Built:
    """Return ``reach(a, s, i)``: bit ``l`` says whether lane ``l`` of ``a`` is >= ``s[i + l]``."""

    def build(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        levels = read(ctx, b, sig.args[1], args[1], args[2], a.value)
        return mask_word(b, b.icmp_signed(">=", args[0], levels))

    return types.int64(a, s, types.intp), build


@intrinsic(prefer_literal=True)
def plane(_typing: Any, a: Any, bit: Any) -> Built:
    """Return ``plane(a, b)``: bit ``l`` is bit ``b`` of lane ``l``, its sign from there on."""
    place = min(bit.literal_value, a.bits - 1)

    def build(_ctx: Any, b: Any, _sig: Any, args: Any) -> Any:
        one = splat(b, ir.Constant(a.value.element, 1 << place), a.value)
        none = ir.Constant(a.value, None)
        return mask_word(b, b.icmp_unsigned("!=", b.and_(args[0], one), none))

    return types.int64(a, bit), build


@intrinsic(prefer_literal=True)
def spread(_typing: Any, a: Any, bits: Any, value: Any) -> Built:
    """Return ``spread(a, w, v)``: ``a + v`` in the lanes whose bit of the word ``w`` is set."""
    lanes = ir.IntType(a.lanes)

    def build(_ctx: Any, b: Any, _sig: Any, args: Any) -> Any:
        narrow = args[1] if a.lanes == WORD_BITS else b.trunc(args[1], lanes)
        mask = b.bitcast(narrow, ir.VectorType(ir.IntType(1), a.lanes))
        term = splat(b, ir.Constant(a.value.element, value.literal_value), a.value)
        return b.add(args[0], b.select(mask, term, ir.Constant(a.value, None)))

    return a(a, types.int64, value), build


@intrinsic
def join(_typing: Any, a: Any, v: Any) -> Built:
    """Return ``join(a, v)``: the lanes of ``a``, then those of ``v``."""
    both = VectorType(a.bits, a.lanes + v.lanes)

    def build(_ctx: Any, b: Any, _sig: Any, args: Any) -> Any:
        order = ir.Constant(ir.VectorType(ir.IntType(32), both.lanes), list(range(both.lanes)))
        return b.shuffle_vector(args[0], args[1], order)

    return both(a, v), build
