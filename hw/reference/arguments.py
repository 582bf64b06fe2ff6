"""Kernel text that copies the caller's arrays into streams and streams into the caller's arrays."""

from __future__ import annotations

import numpy as np

from ..dtypes import BIPOLAR
from .builder import Builder
from .index import Index
from .lanes import WORD_BITS
from .layout import NO_MARGIN, Form, Position, Slot, View, grid

# First element of the caller's vector, first unit of the stream's.
_E, _O = Index.of("e"), Index.of("o")


def read_argument(slot: Slot, index: int, element: str, builder: Builder) -> None:
    """Emit the check of argument ``x<index>`` and its copy into a slot.

    Args:
        slot: Where it goes; integers must be tight.
        index: Number of the argument.
        element: Name of the NumPy type of its elements.
        builder: Kernel to add to.
    """
    _Reader(slot, f"x{index}", element, builder).emit()


class _Reader:
    """The copy of one argument."""

    def __init__(self, slot: Slot, array: str, element: str, builder: Builder) -> None:
        self._slot, self._array, self._builder = slot, array, builder
        limits, dtype = np.iinfo(element), slot.type.dtype
        self._low, self._high = max(dtype.min, int(limits.min)), min(dtype.max, int(limits.max))
        self._is_bipolar = dtype == BIPOLAR
        builder.emit(f"# {array}: {dtype.name} {slot.type.shape} from {element}")

    def emit(self) -> None:
        """Emit the copy in the form of the slot."""
        slot, builder = self._slot, self._builder
        (rows, columns), channels = grid(slot.type.shape), slot.channels
        if slot.layout.form is Form.INTS:
            # Without a margin an image is one row.
            if slot.layout.margin == NO_MARGIN:
                rows, columns = 1, rows * columns
            with builder.loop("i", "n") as image, builder.loop("v", rows) as row:
                self._begin(image * rows + row, rows, columns * channels)
                builder.emit(f"o = {slot.view.address(Position(image, row, Index()))}")
                self._integers(columns * channels)
            return
        with builder.vectors(o=slot.view) as at:
            vector = (at.image * rows + at.row) * columns + at.column
            self._begin(vector, rows * columns, channels)
            if channels < WORD_BITS:
                self._few_bits()
            else:
                self._words()

    def _begin(self, vector: Index, vectors: int, elements: int) -> None:
        """Emit ``e``, the first element of a vector of a chunk."""
        self._builder.emit(f"e = {(Index.of('first') * vectors + vector) * elements}")

    def _check(self, at: Index) -> None:
        """Emit the check of 64 elements."""
        self._builder.emit(f"bad |= outside({self._array}, {at}, {self._low}, {self._high})")
        if self._is_bipolar:
            self._builder.emit(f"bad |= ~pack({self._array}, {at}, 0)")

    def _check_one(self, at: Index) -> None:
        """Emit the check of the element ``z``."""
        wrong = f"(z < {self._low}) | (z > {self._high})"
        self._builder.emit(f"z = element({self._array}, {at})")
        self._builder.emit(f"bad |= {wrong} | (z == 0)" if self._is_bipolar else f"bad |= {wrong}")

    def _integers(self, count: int) -> None:
        """Emit the copy of elements from ``e`` to the integers from ``o``."""
        bits = self._slot.unit_bits
        whole, rest = divmod(count, WORD_BITS)
        if not whole:
            with self._builder.loop("c", rest) as c:
                self._check_one(_E + c)
                self._builder.emit(f"set_item(s, {_O + c}, {bits}, z)")
            return
        with self._builder.loop("k", whole) as k:
            self._block(k * WORD_BITS)
        if rest:  # the last 64 elements again
            self._block(Index(count - WORD_BITS))

    def _block(self, at: Index) -> None:
        """Emit the copy of 64 elements."""
        self._check(_E + at)
        copy = f"copy({self._array}, {_E + at}, s, {_O + at}, {self._slot.unit_bits})"
        self._builder.emit(copy)

    def _words(self) -> None:
        """Emit the packing of a vector from ``e`` into the planes at ``o``."""
        whole, rest = divmod(self._slot.channels, WORD_BITS)
        with self._builder.loop("k", whole) as k:
            self._word(_E + k * WORD_BITS, _O + k, "")
        if rest:
            # The last 64 elements again: those already packed are shifted out.
            mask = f" >> {WORD_BITS - rest} & {(1 << rest) - 1}"
            self._word(_E + (self._slot.channels - WORD_BITS), _O + whole, mask)

    def _word(self, at: Index, target: Index, mask: str) -> None:
        """Emit the packing of 64 elements into a word of every plane."""
        self._check(at)
        if self._is_bipolar:
            bits = f"outside({self._array}, {at}, {self._low}, 0)"
            self._builder.emit(f"put(s, {target}, {bits}{mask})")
            return
        for bit in range(self._slot.planes):
            place = target + bit * self._slot.plane
            self._builder.emit(f"put(s, {place}, pack({self._array}, {at}, {bit}){mask})")

    def _few_bits(self) -> None:
        """Emit the packing of less than 64 elements from ``e`` into the planes at ``o``."""
        places = [_O + bit * self._slot.plane for bit in range(self._slot.planes)]
        self._builder.emit(*(f"put(s, {place}, 0)" for place in places))
        with self._builder.loop("c", self._slot.channels) as c:
            self._check_one(_E + c)
            if self._is_bipolar:
                self._builder.emit("z = z + 1 >> 1")
            for bit, place in enumerate(places):
                bits = f"(z >> {bit} & 1) << {c}"
                self._builder.emit(f"put(s, {place}, word(s, {place}) | {bits})")


def write_argument(view: View, index: int, builder: Builder) -> None:
    """Emit the copy of a stream, integers in one place, to argument ``y<index>``."""
    (rows, columns), channels = grid(view.type.shape), view.type.shape[-1]
    builder.emit(f"# y{index}: {view.type.dtype.name} {view.type.shape}")
    with builder.vectors(x=view) as at:
        vector = (at.image * rows + at.row) * columns + at.column
        first = Index.of("first") * (rows * columns)
        builder.emit(f"e = {(first + vector) * channels}")
        with builder.loop("c", channels) as c:
            place = Index.of("x") + c
            builder.emit(f"put(y{index}, {_E + c}, item(s, {place}, {view.slot.unit_bits}))")
