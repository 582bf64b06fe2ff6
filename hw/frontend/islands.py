"""Islands: an integer per channel and the float functions between it and the next quantizer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..dtypes import BIPOLAR, DataType, IntArray
from ..stages.line_buffer import LineBuffer
from .functions import ALL, F64, Directions, Function, Rounded, affine, at, multiply
from .layout import Layout


@dataclass(frozen=True, kw_only=True, eq=False)
class Undeclared:
    """A graph input whose integers are not known yet: the first quantizer decides.

    Attributes:
        tensor: Name in the file.
        shape: Shape with the batch first.
    """

    tensor: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Padding:
    """Pixels around a map.

    Attributes:
        node: Label of the node that adds them.
        sides: Rows above, columns on the left, rows below, columns on the right.
        value: What they hold, in the units of the tensor.
    """

    node: str
    sides: tuple[int, int, int, int]
    value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPooling:
    """A max pool that has not been given its place among the functions yet.

    It may come before or behind any function that never falls.

    Attributes:
        node: Label of its node.
        tensor: Its output in the file.
        kernel: Rows and columns.
        stride: Rows and columns.
        padding: Rows above, columns on the left, rows below, columns on the right; they never win.
        before: Layout of the map that it reads.
        after: How many functions come before it in the file.
    """

    node: str
    tensor: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    before: Layout
    after: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """A tensor known now.

    Attributes:
        values: What a runtime would compute, in its datatype.
        integers: ``values == scale * integers`` if the tensor went through a quantizer, else None.
        scale: Scale of each element, of the shape of ``integers``.
    """

    values: NDArray[np.generic]
    integers: IntArray | None = None
    scale: F64 | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Island:
    """A tensor that depends, channel by channel, on one integer of a stream.

    ``tensor = functions(scale * (multiplier * stream + offset))``. Without functions it is an
    *integer point*. Functions have their parameters per channel of the stream.

    Attributes:
        stream: Name of the stream of integers.
        dtype: Datatype of the stream.
        low: Least integer of the stream.
        high: Greatest integer of the stream.
        layout: Shape of the tensor in the file, and how the stream orders its elements; behind the
            max pool and without the padding that are still to come.
        scale: One value or one per channel.
        multiplier: Integer factor, e.g. 2 for popcounts.
        offset: Integer term, e.g. -K for popcounts of K products.
        functions: Applied in order.
        matvec: Name of the stage whose thresholds can take the functions, since it yields the
            stream as accumulators; "" if there is none.
        branch: Of a tensor that several nodes take, its name and the number of the branch, until a
            stage takes the stream; see ``walk.OpenFork``.
        pooling: Max pool on the tensor that has no stage yet.
        padding: Padding of the tensor that has no stage yet.
        rounding: Bound of the float32 rounding errors of what the integers stand for, in units of
            the integers; one value or one per channel.
        zero_padded: Geometry of the window of a layer whose bits the file pads with 0 and the
            window with -1. What stands above for the stream then holds for the dot products of the
            file instead, and only thresholds of the layer itself can make up for the difference.
    """

    stream: str
    dtype: DataType
    low: int
    high: int
    layout: Layout
    scale: F64
    multiplier: int = 1
    offset: int = 0
    functions: tuple[Function, ...] = ()
    matvec: str = ""
    branch: tuple[str, int] | None = None
    pooling: MaxPooling | None = None
    padding: Padding | None = None
    rounding: F64 = field(default_factory=lambda: np.zeros(1))
    zero_padded: LineBuffer | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor, the batch first."""
        return self.layout.shape

    @property
    def channels(self) -> int:
        """Channels of the stream."""
        return self.layout.channels

    def then(self, *functions: Function) -> Self:
        """Return the island with further functions."""
        return replace(self, functions=(*self.functions, *functions))

    @property
    def members(self) -> IntArray:
        """Every integer that the stream can hold, ascending."""
        if self.dtype == BIPOLAR:
            return np.array([-1, 1], np.int64)
        return np.arange(self.low, self.high + 1, dtype=np.int64)

    @property
    def direction(self) -> Directions | None:
        """Per channel +1, -1 or 0 if every function is monotone, else None."""
        total = np.sign(self.scale * self.multiplier).astype(np.int8)
        for function in self.functions:
            if function.direction is None:
                return None
            total = total * function.direction
        return np.broadcast_to(total, (self.channels,))

    def evaluate(self, x: IntArray, channels: slice = ALL) -> F64:
        """Return the tensor in float64 for integers ``(n, channels)`` or ``(n, 1)``."""
        points = (self.multiplier * x + self.offset).astype(np.float64)
        value = points * at(self.scale, channels)
        with np.errstate(over="ignore"):
            for function in self.functions:
                value = np.asarray(function(value, channels), np.float64)
        return value

    def evaluate_in_float32(self, x: IntArray) -> Rounded:
        """Return the tensor in float64, in float32, and a bound of the float32 rounding error.

        The bound counts one rounding per operation of the file, the sum of products as one; it is 0
        as long as float32 is exact.
        """
        points = self.multiplier * x + self.offset
        exact, single = points.astype(np.float64), points.astype(np.float32)
        error = np.abs(single - exact) + self.rounding
        values = Rounded(exact=exact, single=single, error=error)
        for function in (multiply("", self.scale), *self.functions):
            values = function.follow(values)
        return values

    def affine(self) -> tuple[F64, F64] | None:
        """Return factor and term on the stream's integers, or None if a function is not affine.

        Each has shape ``(channels,)``.
        """
        parts = affine(self.functions, self.scale * self.multiplier, self.scale * self.offset)
        if parts is None:
            return None
        factor, term = (np.broadcast_to(part, (self.channels,)) for part in parts)
        return factor, term
