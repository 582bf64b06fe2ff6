"""Kernel text that brings a stream into the shape and layout that its consumer asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..dtypes import DataType
from ..graph import StreamType
from .builder import Builder, lanes_at
from .ending import Ending
from .index import Index
from .lanes import WORD_BITS, lane_bits
from .layout import Axis, Form, Layout, View

_X, _Y = Index.of("x"), Index.of("y")


def fetch(view: View, kind: StreamType, layout: Layout, builder: Builder) -> View:
    """Return a view of the same elements in the shape of ``kind``, as ``layout`` asks for.

    It is the view itself where that will do; otherwise a copy is emitted.
    """
    seen = view.seen_as(kind)
    if seen is None:
        # Integers without a gap have every shape.
        tight = _as_integers(view, Layout(Form.INTS), builder, is_tight=True)
        seen = replace(tight.slot, type=kind).view
    if layout.accepts(seen):
        return seen
    if layout.form is Form.INTS:
        return _as_integers(seen, layout, builder)
    is_planes = seen.slot.layout.form is Form.PLANES
    return (_copied_planes if is_planes else _packed)(seen, layout, builder)


def in_one_place(view: View, builder: Builder) -> View:
    """Return a view each of whose vectors lies in one place, in the same form."""
    return fetch(view, view.type, Layout(view.slot.layout.form), builder)


def _as_integers(view: View, layout: Layout, builder: Builder, *, is_tight: bool = False) -> View:
    """Emit a copy as integers."""
    if view.slot.layout.form is Form.PLANES:
        view = _unpacked(in_one_place(view, builder), builder)
        if layout.accepts(view) and not is_tight:
            return view
    target = builder.slot(view.type, layout, view.slot.limits, is_tight=is_tight)
    bits = target.unit_bits
    builder.emit("# integers to another place")
    with builder.vectors(x=view, y=target.view), builder.units(*view.runs) as (at, number):
        builder.emit(f"set_item(s, {_Y + number}, {bits}, item(s, {_X + at}, {bits}))")
    return target.view


def _unpacked(view: View, builder: Builder) -> View:
    """Emit integers from planes: what the code 0 stands for, and what each bit adds to it."""
    dtype = view.type.dtype
    target = builder.slot(view.type, Layout(Form.INTS), view.slot.limits)
    base = _integer(dtype, 0)
    builder.emit("# planes to integers")
    for tile in builder.tiles(target.channels):
        with builder.vectors(x=view, y=target.view):
            builder.emit(f"a = spread(zero({target.unit_bits}, {tile.lanes}), -1, {base})")
            for bit in range(dtype.bits):
                term = _integer(dtype, 1 << bit) - base
                place = _X + bit * view.slot.plane + tile.number
                builder.emit(f"a = spread(a, word(s, {place}), {term})")
            builder.emit(f"store(s, {_Y + tile.first}, {target.unit_bits}, a)")
    return target.view


def _integer(dtype: DataType, code: int) -> int:
    """Return what a code stands for."""
    return int(dtype.from_codes(np.array([code], np.uint64))[0])


def _packed(view: View, layout: Layout, builder: Builder) -> View:
    """Emit planes from integers."""
    view = in_one_place(view, builder)
    target = builder.slot(view.type, layout, view.slot.limits)
    low, high = view.type.dtype.min, view.type.dtype.max
    bits = lane_bits(low, high)
    builder.emit("# integers to planes")
    ending = Ending(None, target.view, builder, bits=bits, limits=(low, high))
    for tile in builder.tiles(target.channels):
        with builder.vectors(x=view, y=target.view) as position:
            builder.emit(f"a = {lanes_at(_X + tile.first, view.slot, tile, bits)}")
            ending.emit(tile, position)
    return target.view


def _copied_planes(view: View, layout: Layout, builder: Builder) -> View:
    """Emit planes whose vectors lie in one place, or with another margin."""
    target = builder.slot(view.type, layout, view.slot.limits)
    builder.emit("# planes to another place")
    axes, run = view.runs
    with builder.vectors(x=view, y=target.view), builder.loop("p", target.planes) as p:
        source, place = _X + p * view.slot.plane, _Y + p * target.plane
        if not axes or view.is_gatherable:
            with builder.units(axes, run) as (at, number):
                builder.emit(f"put(s, {place + number}, word(s, {source + at}))")
        else:
            builder.emit(f"z = {source}", f"o = {place}")
            _joined_bits(view, builder)
    return target.view


def _joined_bits(view: View, builder: Builder) -> None:
    """Emit the joining of the bits of a vector's pixels from ``z`` to the words from ``o``.

    The ``f`` lowest bits of ``b`` are those not yet put.
    """
    slot = view.slot
    axes = [Axis(axis.extent, axis.stride * slot.pixel) for axis in view.parts]
    last = slot.channels - (slot.pixel - 1) * WORD_BITS
    builder.emit("b = 0", "f = 0")
    with builder.units(axes, 1) as (at, _), builder.loop("k", slot.pixel) as k:
        bits = f"{last} if {k} == {slot.pixel - 1} else {WORD_BITS}"
        builder.emit(
            f"h = word(s, {Index.of('z') + at + k})",
            f"l = {bits if slot.pixel > 1 else last}",
            "b |= h << f",
            "f += l",
            f"if f >= {WORD_BITS}:",
            "    put(s, o, b)",
            "    o += 1",
            f"    f -= {WORD_BITS}",
            f"    b = h >> (l - f & {WORD_BITS - 1}) & (1 << f) - 1",
        )
    if view.type.shape[-1] % WORD_BITS:
        builder.emit("put(s, o, b)")
