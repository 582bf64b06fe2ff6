"""How the integers of a stream lie in the memory of a kernel, and where its vectors are found.

An image of a stream is a map of pixels: ``(height, width, channels)``, or one row of vectors where
the stream has another number of dimensions. A slot holds it, maybe with a margin around it that
stands for the padding of a window. A view finds the vectors of a stream in a slot by strides: the
windows of an image, or a map seen as one vector, need no memory of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from math import prod

from ..graph import StreamType
from .index import Index
from .lanes import LINE_WORDS, WORD_BITS, element_bits, tile_lanes

Margin = tuple[int, int, int, int]
NO_MARGIN: Margin = (0, 0, 0, 0)

Limits = tuple[int, int]


def grid(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns of the vectors of an image."""
    leading = shape[:-1]
    return (leading[0], leading[1]) if len(leading) == 2 else (1, prod(leading))


class Form(Enum):
    """How the elements of a stream lie in memory."""

    PLANES = "planes"  # for each bit of the code an image, in it one row of words per vector
    INTS = "ints"  # per vector, one integer of 16, 32 or 64 bits for each channel


@dataclass(frozen=True)
class Layout:
    """What the consumer of a stream asks for.

    Attributes:
        form: How the elements lie.
        margin: Rows and columns around the image: top, left, bottom, right.
        fill: Element in the margin.
        gathers: Whether the channels of a vector may lie in several places.
    """

    form: Form
    margin: Margin = NO_MARGIN
    fill: int = 0
    gathers: bool = False

    def accepts(self, view: View) -> bool:
        """Return whether the consumer can read a view as it is."""
        if view.slot.layout.form is not self.form:
            return False
        if self.margin != NO_MARGIN:
            has = view.slot.layout
            if not view.is_whole or (has.margin, has.fill) != (self.margin, self.fill):
                return False
        axes, _ = view.runs
        return not axes or (self.gathers and view.is_gatherable)


@dataclass(frozen=True)
class Axis:
    """A dimension of a view: how many, and how far from one to the next."""

    extent: int
    stride: int


@dataclass(frozen=True)
class Position:
    """Which vector of which image of a chunk."""

    image: Index
    row: Index
    column: Index


@dataclass(frozen=True)
class Slot:
    """A stream in the memory of a kernel.

    Lengths are in units: words for planes, elements for integers.

    Attributes:
        name: Variable of the kernel that holds the first unit.
        type: Type of the stream.
        layout: How it lies there.
        limits: Least and greatest element, the margin included.
        is_tight: Whether nothing lies between the integers of two vectors; otherwise whole tiles
            can be stored.
    """

    name: str
    type: StreamType
    layout: Layout
    limits: Limits
    is_tight: bool = False

    @property
    def channels(self) -> int:
        """Elements of a vector."""
        return self.type.shape[-1]

    @property
    def unit_bits(self) -> int:
        """Bits of a unit."""
        return WORD_BITS if self.layout.form is Form.PLANES else element_bits(self.type.dtype)

    @property
    def pixel(self) -> int:
        """Units from one vector to the next."""
        if self.layout.form is Form.PLANES:
            return -(-self.channels // WORD_BITS)
        return self.channels if self.is_tight else sum(tile_lanes(self.channels))

    @property
    def row_pixels(self) -> int:
        """Pixels of a row, with its margin."""
        _, left, _, right = self.layout.margin
        return left + grid(self.type.shape)[1] + right

    @property
    def pixels(self) -> int:
        """Pixels of an image, with its margin."""
        top, _, bottom, _ = self.layout.margin
        return (top + grid(self.type.shape)[0] + bottom) * self.row_pixels

    @property
    def planes(self) -> int:
        """Planes of an image."""
        return self.type.dtype.bits if self.layout.form is Form.PLANES else 1

    @property
    def plane(self) -> int:
        """Units from one plane to the next."""
        return self.pixels * self.pixel

    @property
    def words(self) -> int:
        """Words of an image; large ones fill whole lines."""
        words = -(-self.planes * self.plane * self.unit_bits // WORD_BITS)
        return words if words <= LINE_WORDS else -(-words // LINE_WORDS) * LINE_WORDS

    @property
    def image(self) -> int:
        """Units from one image to the next."""
        return self.words * WORD_BITS // self.unit_bits

    @property
    def is_full(self) -> bool:
        """Whether the channels of a vector fill all its units."""
        if self.layout.form is Form.PLANES:
            return self.channels % WORD_BITS == 0
        return self.channels == self.pixel

    @property
    def view(self) -> View:
        """The stream itself."""
        (rows, columns), (top, left, _, _) = grid(self.type.shape), self.layout.margin
        return View(
            slot=self,
            type=self.type,
            start=top * self.row_pixels + left,
            rows=Axis(rows, self.row_pixels),
            columns=Axis(columns, 1),
        )


@dataclass(frozen=True)
class View:
    """Where the vectors of a stream are found in a slot.

    A vector is the channels of one pixel of the slot, or of several, one after the other.

    Attributes:
        slot: Where the elements lie.
        type: Type of the stream.
        start: Pixel at which the first vector begins.
        rows: Rows of vectors, stride in pixels.
        columns: Vectors of a row, stride in pixels.
        parts: Dimensions of the pixels of a vector, stride in pixels.
    """

    slot: Slot
    type: StreamType
    start: int
    rows: Axis
    columns: Axis
    parts: tuple[Axis, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it is all that the slot holds."""
        return self == replace(self.slot.view, type=self.type)

    @property
    def runs(self) -> tuple[tuple[Axis, ...], int]:
        """Dimensions of the runs of a vector, stride in units, and the units of a run.

        A run lies in one place; pixels that follow each other without a gap are joined.
        """
        slot = self.slot
        run = slot.channels if slot.layout.form is Form.INTS else slot.pixel
        axes = [Axis(a.extent, a.stride * slot.pixel) for a in self.parts if a.extent > 1]
        while axes and slot.is_full and axes[-1].stride == run:
            run *= axes.pop().extent
        return tuple(axes), run

    @property
    def is_gatherable(self) -> bool:
        """Whether a vector is the units of its runs, one after the other."""
        return self.slot.layout.form is Form.INTS or self.slot.is_full

    def address(self, position: Position) -> Index:
        """Return the first unit of a vector."""
        pixels = position.row * self.rows.stride + position.column * self.columns.stride
        base = Index.of(self.slot.name) + position.image * self.slot.image
        return base + (pixels + self.start) * self.slot.pixel

    def seen_as(self, kind: StreamType) -> View | None:
        """Return the view in another shape of the same elements, None where strides cannot do."""
        if grid(kind.shape) == grid(self.type.shape):
            return replace(self, type=kind)
        if grid(kind.shape) == (1, 1):
            parts = (self.rows, self.columns, *self.parts)
            return View(self.slot, kind, self.start, Axis(1, 0), Axis(1, 0), parts)
        return None
