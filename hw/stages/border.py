"""Classes of positions near the border of an image, for exact zero padding of bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import IntArray, smallest_for
from ..errors import GraphError
from ..module import MemoryImage
from ..packing import pack_words
from .line_buffer import LineBuffer
from .thresholds import Thresholds


@dataclass(frozen=True, kw_only=True)
class Border:
    """Which positions of an image share thresholds: the product of classes of rows and of columns.

    The class of a position is ``rows[y] * column_classes + columns[x]``.

    Attributes:
        rows: Class of each row, 0 and up.
        columns: Class of each column, 0 and up.

    Raises:
        GraphError: There is no row or column, or a class below 0.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.rows or not self.columns or min(*self.rows, *self.columns) < 0:
            raise GraphError("border: rows and columns must have classes, 0 and up")

    @property
    def column_classes(self) -> int:
        """Classes of columns."""
        return max(self.columns) + 1

    @property
    def classes(self) -> int:
        """Classes of positions."""
        return (max(self.rows) + 1) * self.column_classes

    @cached_property
    def map(self) -> IntArray:
        """Class of each position, shape ``(rows, columns)``."""
        rows, columns = np.array(self.rows), np.array(self.columns)
        return np.asarray(rows[:, None] * self.column_classes + columns, np.int64)

    def execute(self, thresholds: Thresholds, x: IntArray) -> IntArray:
        """Return the results for integers ``(images, rows, columns, channels)``, same shape.

        Args:
            thresholds: Of all classes, one after the other.
            x: Integers.
        """
        y = np.empty(x.shape, np.int64)
        for index in range(self.classes):
            here = self.map == index
            y[:, here] = thresholds.part(index, self.classes).execute(x[:, here])
        return y

    def parameters(self) -> dict[str, int | str]:
        """Return the parameters of ``matvec.sv``."""
        height, width = self.map.shape
        return {"BORDERS": self.classes, "OUT_HEIGHT": height, "OUT_WIDTH": width}

    def memories(self, folds: int) -> dict[str, MemoryImage]:
        """Return where the levels of rows and columns begin, which add up to those of a class.

        Args:
            folds: Words of the level memory for each class.
        """
        return {
            "ROWS_FILE": self._offsets(self.rows, self.column_classes * folds, folds),
            "COLUMNS_FILE": self._offsets(self.columns, folds, folds),
        }

    def _offsets(self, classes: tuple[int, ...], words: int, folds: int) -> MemoryImage:
        """Return ``words`` times each class, in the bits of an address of the level memory."""
        dtype = smallest_for(0, self.classes * folds - 1)
        offsets = words * np.array(classes, np.int64)[:, None]
        return MemoryImage(words=pack_words(offsets, dtype), width_bits=dtype.bits)

    def cost(self, folds: int) -> Cost:
        """Two memories with their counters, and the sum of what they hold."""
        address = (self.classes * folds - 1).bit_length()
        total = Cost()
        for positions in self.map.shape:
            total += cost.memory(positions, address) + cost.counter(positions)
            total += cost.adder(address)
        return total


def zero_padded(
    thresholds: Thresholds, weights: IntArray, lines: LineBuffer, *, kernel: str
) -> tuple[Thresholds, Border]:
    """Return thresholds with which a layer of bits computes as if its padding were 0.

    Bits have no 0. The window pads with -1 instead, and a padded tap of weight w adds -w to the
    dot product; the levels of each class of positions are lowered by the sum of those w. That is
    exact: ``dot >= level`` holds for zero padding where ``dot - sum >= level - sum`` does.

    Args:
        thresholds: Staircases on the dot product of zero-padded bits, ``(MH, steps)``.
        weights: Integers, shape ``(MH, KH * KW * C)``, synapses in the order (ky, kx, channel).
        lines: Geometry of the window, whose pad value is -1.
        kernel: Arithmetic of the layer: "signed", whose accumulator is the dot product, or "xnor",
            whose accumulator is the popcount ``(dot + MW) / 2``.

    Returns:
        Thresholds on the accumulators, those of one class after those of another, and the classes.
    """
    rows, columns = lines.out_shape
    outside = lines.is_padding[:, :, 0, :, :, 0].astype(bool)
    # A tap is in the padding because of its row or because of its column.
    padded_rows = outside.all(axis=(1, 3))
    padded_columns = outside.all(axis=(0, 2))
    row_kinds, row_of = np.unique(padded_rows, axis=0, return_inverse=True)
    column_kinds, column_of = np.unique(padded_columns, axis=0, return_inverse=True)
    border = Border(
        rows=tuple(int(i) for i in row_of.reshape(rows)),
        columns=tuple(int(i) for i in column_of.reshape(columns)),
    )
    padded = (row_kinds[:, None, :, None] | column_kinds[None, :, None, :]).reshape(
        border.classes, -1
    )
    taps = weights.reshape(len(weights), padded.shape[1], -1).sum(axis=2)
    sums = (padded.astype(np.int64) @ taps.T)[:, :, None]
    levels = thresholds.levels[None] - sums
    if kernel == "xnor":
        levels = -((-levels - weights.shape[1]) // 2)
    shifted = replace(
        thresholds,
        levels=levels.reshape(-1, thresholds.steps),
        is_rising=np.concatenate([thresholds.is_rising] * border.classes),
    )
    return shifted, border


def random_border(rng: np.random.Generator) -> Border:
    """Return a small random border, any class anywhere."""
    rows = rng.integers(0, rng.integers(1, 4), int(rng.integers(1, 5)))
    columns = rng.integers(0, rng.integers(1, 4), int(rng.integers(1, 5)))
    return Border(rows=tuple(map(int, rows)), columns=tuple(map(int, columns)))
