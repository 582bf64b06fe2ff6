"""The text of a segment's kernel, its constants, and the memory of its streams.

A kernel is one function ``run(x..., y..., s)``: the integers that come in and go out, and one int64
array that holds the constants and, behind them, every stream inside the segment for as many images
as the second-level cache takes. Sizes and addresses are literals in the text, so that LLVM sees
constant trip counts; weights and levels are only in ``s``, so that networks of one shape share one
compiled kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np

from ..dtypes import IntArray
from ..graph import StreamType
from .index import Index
from .lanes import LINE_WORDS, WORD_BITS, tile_groups
from .layout import NO_MARGIN, Axis, Layout, Limits, Position, Slot, View
from .memory import blank

# Images in one go: their streams and the weights that they meet share the second-level cache.
_MOST_IMAGES = 128
_STREAM_WORDS = (256 << 10) // 8


@dataclass(frozen=True)
class Tile:
    """Up to 64 channels, the loop over equal ones.

    Attributes:
        number: Of the tile.
        lanes: Lanes of its vectors.
        channels: Channels from the first of these tiles on.
    """

    number: Index
    lanes: int
    channels: int

    @property
    def first(self) -> Index:
        """Its first channel."""
        return self.number * WORD_BITS

    @property
    def is_full(self) -> bool:
        """Whether every lane is a channel."""
        return self.channels >= self.lanes

    @property
    def mask(self) -> int:
        """Word with a bit for each lane that is a channel."""
        lanes = min(self.channels, self.lanes)
        return -1 if lanes == WORD_BITS else (1 << lanes) - 1


def lanes_at(place: Index, slot: Slot, tile: Tile, bits: int) -> str:
    """Return the text that loads a tile of integers into lanes of so many bits."""
    text = f"load(s, {place}, {slot.unit_bits}, {tile.lanes})"
    return text if bits == slot.unit_bits else f"wide({text}, {bits})"


@dataclass
class Builder:
    """Grows the kernel of one segment.

    Attributes:
        lines: Text of the body, inside the loop over chunks of ``n`` images.
        constants: Blocks of ``s``, each on a cache line.
        slots: Streams in memory.
    """

    lines: list[str] = field(default_factory=list)
    constants: list[IntArray] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    _depth: int = 2
    _constant_words: int = 0

    def emit(self, *lines: str) -> None:
        """Add lines to the innermost loop."""
        self.lines += ["    " * self._depth + line for line in lines]

    @contextmanager
    def loop(self, name: str, stop: int | str, start: int = 0) -> Iterator[Index]:
        """Add a loop and give its variable; a single turn needs none."""
        if stop == start + 1:
            yield Index(start)
            return
        turns = f"{start}, {stop}" if start else f"{stop}"
        self.emit(f"for {name} in range({turns}):")
        self._depth += 1
        yield Index.of(name)
        self._depth -= 1

    def tiles(self, channels: int) -> Iterator[Tile]:
        """Add a loop over the tiles of each size."""
        for tiles, lanes in tile_groups(channels):
            with self.loop("t", tiles.stop, tiles.start) as number:
                yield Tile(number, lanes, channels - tiles.start * WORD_BITS)

    @contextmanager
    def vectors(self, **views: View) -> Iterator[Position]:
        """Add loops over the vectors of views of one shape; each address gets the view's name."""
        view = next(iter(views.values()))
        with (
            self.loop("i", "n") as image,
            self.loop("v", view.rows.extent) as row,
            self.loop("u", view.columns.extent) as column,
        ):
            position = Position(image, row, column)
            self.emit(*(f"{name} = {view.address(position)}" for name, view in views.items()))
            yield position

    @contextmanager
    def units(self, axes: Sequence[Axis], count: int) -> Iterator[tuple[Index, Index]]:
        """Add loops over ``count`` units of every run of a vector.

        Args:
            axes: Dimensions of the runs, stride in units.
            count: Units of a run.

        Yields:
            Offset and number of a unit.
        """
        offset = number = Index()
        with ExitStack() as stack:
            for depth, axis in enumerate((*axes, Axis(count, 1))):
                turn = stack.enter_context(self.loop(f"r{depth}", axis.extent))
                offset, number = offset + turn * axis.stride, number * axis.extent + turn
            yield offset, number

    def constant(self, values: IntArray, bits: int = WORD_BITS) -> Index:
        """Store ``values`` as integers of so many bits and return the index of the first."""
        flat = values.reshape(-1).astype(f"int{bits}")
        base, per_line = self._constant_words, LINE_WORDS * WORD_BITS // bits
        padded = np.zeros(-(-len(flat) // per_line) * per_line, flat.dtype)
        padded[: len(flat)] = flat
        self.constants.append(padded.view(np.int64))
        self._constant_words += len(self.constants[-1])
        return Index(base * WORD_BITS // bits)

    def slot(
        self,
        kind: StreamType,
        layout: Layout,
        limits: Limits | None = None,
        *,
        is_tight: bool = False,
    ) -> Slot:
        """Reserve memory for a stream.

        Args:
            kind: Type of the stream.
            layout: How it is to lie there.
            limits: Least and greatest element; None for those of the datatype.
            is_tight: See ``Slot``.
        """
        low, high = (kind.dtype.min, kind.dtype.max) if limits is None else limits
        if layout.margin != NO_MARGIN:
            low, high = min(low, layout.fill), max(high, layout.fill)
        slot = Slot(f"m{len(self.slots)}", kind, layout, (low, high), is_tight)
        self.slots.append(slot)
        return slot

    @property
    def chunk(self) -> int:
        """Images in one go."""
        images = _STREAM_WORDS // max(1, sum(slot.words for slot in self.slots))
        return min(max(1, images), _MOST_IMAGES)

    @property
    def bases(self) -> list[int]:
        """First word of each slot."""
        base, found = self._constant_words, []
        for slot in self.slots:
            found.append(base)
            base += -(-self.chunk * slot.words // LINE_WORDS) * LINE_WORDS
        return [*found, base]

    def memory(self) -> IntArray:
        """Return a new ``s`` with the constants and margins in place, on a 64-byte boundary."""
        # The last tile may be read, though not used, beyond the last element.
        words = self.bases[-1] + WORD_BITS
        raw = np.zeros(words + 2 * LINE_WORDS, np.int64)
        start = -raw.ctypes.data // 8 % LINE_WORDS
        memory = raw[start : start + words]
        if self.constants:
            memory[: self._constant_words] = np.concatenate(self.constants)
        for slot, base in zip(self.slots, self.bases, strict=False):
            memory[base : base + self.chunk * slot.words] = np.tile(blank(slot), self.chunk)
        return memory

    def source(self, shapes: Sequence[tuple[int, ...]], outputs: int) -> str:
        """Return the text of ``run``, which returns 0, or 1 for a value outside, 2 for a shape.

        Args:
            shapes: Shape of an image of each input.
            outputs: Number of outputs.
        """
        arguments = [f"x{i}" for i in range(len(shapes))] + [f"y{i}" for i in range(outputs)]
        wrong = [
            f"x{i}.shape[{axis + 1}] != {size}"
            for i, shape in enumerate(shapes)
            for axis, size in enumerate(shape)
        ] + [f"x{i}.shape[0] != x0.shape[0]" for i in range(1, len(shapes))]
        places = [
            f"    {slot.name} = {base * WORD_BITS // slot.unit_bits}"
            for slot, base in zip(self.slots, self.bases, strict=False)
        ]
        head = [
            f"def run({', '.join(arguments)}, s):",
            f"    if {' or '.join(wrong)}:",
            "        return 2",
            *places,
            "    bad = 0",
            f"    for first in range(0, x0.shape[0], {self.chunk}):",
            f"        n = min({self.chunk}, x0.shape[0] - first)",
        ]
        return "\n".join([*head, *self.lines, "    return 1 if bad else 0", ""])
