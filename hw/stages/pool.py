"""Stage ``pool``: the greatest element or the sum of each channel under a moving kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import BIPOLAR, DataType, Encoding, IntArray, signed, smallest_for, unsigned
from ..errors import GraphError
from ..graph import Stage, StreamType
from ..module import Module
from ..schedule import Pipe, Schedule, Table, Thread, table
from .checks import check_ends, check_fold
from .line_buffer import SOURCES as LINE_BUFFER_SOURCES
from .line_buffer import LineBuffer

OPERATIONS = ("max", "sum")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Stage):
    """Maximum or sum over windows of an image, channel by channel.

    Where windows do not overlap, each beat goes into the partial result of its window, and one row
    of partial results is all that is kept; otherwise a line buffer yields each window in turn.
    The maximum of bipolar elements is the OR of their bits. An average is the sum, its divisor a
    matter of the thresholds that follow.

    Attributes:
        input_dtype: Datatype of an element.
        height: Rows of the image.
        width: Columns of the image.
        channels: Channels of a pixel.
        kernel: Rows and columns of a window.
        stride: Rows and columns between windows.
        padding: Rows and columns around the image: top, left, bottom, right. A padded element never
            is the maximum and counts 0 in a sum.
        operation: "max" or "sum".
        pe: Channels per cycle; divides ``channels``.

    Raises:
        FoldingError: ``pe`` does not divide ``channels``.
        GraphError: Unknown operation or impossible geometry; see ``LineBuffer``.
    """

    kind: ClassVar[str] = "pool"

    input_dtype: DataType
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    operation: str
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pe: int = 1

    def __post_init__(self) -> None:
        check_ends(self)
        if self.operation not in OPERATIONS:
            raise GraphError(f"{self.name}: operation {self.operation!r} is none of {OPERATIONS}")
        check_fold(self, "pe", "channels", self.channels)
        try:
            _ = self.lines
        except GraphError as error:
            raise GraphError(f"{self.name}: {error}") from error

    @cached_property
    def lines(self) -> LineBuffer:
        """Geometry of the windows."""
        return LineBuffer(
            height=self.height,
            width=self.width,
            folds=self.channels // self.pe,
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            word_bits=self.pe * self.input_dtype.bits,
        )

    @property
    def is_overlapping(self) -> bool:
        """Whether a pixel may be in two windows."""
        return self.stride[0] < self.kernel[0] or self.stride[1] < self.kernel[1]

    @property
    def latency(self) -> int:
        """The beat (or the line buffer and its register), the partial result, the output buffer.

        Two more while block RAM is read.
        """
        if self.is_overlapping:
            return 4
        return 5 if self.is_partial_block else 3

    @property
    def partials(self) -> int:
        """Partial results of ``pe`` channels kept."""
        return self.lines.folds * (1 if self.is_overlapping else self.lines.out_shape[1])

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """Channels."""
        return {"pe": self.channels}

    @property
    def is_partial_block(self) -> bool:
        """Whether partial results are in block RAM, whose pipeline three folds cover."""
        if self.is_overlapping or self.lines.folds < 3:
            return False
        return cost.is_block_ram(self.partials, self.output_types[0].width_bits)

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """The image, ``pe`` lanes."""
        shape = (self.height, self.width, self.channels)
        return (StreamType(dtype=self.input_dtype, shape=shape, lanes=self.pe),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """One pixel per window, ``pe`` lanes; a sum has the bits for every window."""
        dtype, taps = self.input_dtype, self.kernel[0] * self.kernel[1]
        if self.operation == "sum":
            dtype = smallest_for(taps * dtype.min, taps * dtype.max)
        shape = (*self.lines.out_shape, self.channels)
        return (StreamType(dtype=dtype, shape=shape, lanes=self.pe),)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the maximum or the sum of every window, ``(images, OH, OW, C)``."""
        (x,) = inputs
        top, left, bottom, right = self.padding
        if any(self.padding):
            neutral = 0 if self.operation == "sum" else self.input_dtype.min
            around = ((0, 0), (top, bottom), (left, right), (0, 0))
            x = np.pad(x, around, constant_values=neutral)
        windows = self.lines.windows(x)
        if self.operation == "sum":
            return (windows.sum(axis=(3, 4)),)
        return (windows.max(axis=(3, 4)),)

    def schedule(self) -> Schedule:
        """A beat in a cycle, or a read of the line buffer; a beat out with the last of a window."""
        lines = self.lines
        pipes = {"m_axis": Pipe(latency=self.latency, capacity=self.latency + 1)}
        reading = table(lines.words, slice(None))
        if not self.is_overlapping:
            thread = Thread(consumes={"s_axis": reading}, produces={"m_axis": self._ends})
            return Schedule(threads=(thread,), pipes=pipes)
        last_taps = table(len(lines.needs), slice(None)).reshape(*lines.out_shape, -1, lines.folds)
        last_taps[:, :, :-1] = 0
        return Schedule(
            threads=(
                Thread(consumes={"s_axis": reading}, produces={}),
                Thread(consumes={}, produces={"m_axis": last_taps.reshape(-1)}),
            ),
            pipes=pipes,
            buffers=(lines.schedule(writer=0, reader=1),),
        )

    @property
    def _ends(self) -> Table:
        """1 for each beat of an image that is the last one of its window."""
        ends = []
        for axis, size in enumerate((self.height, self.width)):
            window, tap = np.divmod(np.arange(size) + self.padding[axis], self.stride[axis])
            is_end = (tap == self.kernel[axis] - 1) | (np.arange(size) == size - 1)
            is_inside = (tap < self.kernel[axis]) & (window < self.lines.out_shape[axis])
            ends.append(is_end & is_inside)
        return np.repeat(np.outer(*ends).reshape(-1), self.lines.folds).astype(np.int32)

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Pool:
        """Images up to 8 x 8, kernels up to 4 x 4, overlapping or not, padding in half of them."""
        lines = LineBuffer.random(rng, is_pool=True)
        stride = lines.stride
        if rng.random() < 1 / 2:
            gaps = rng.integers(0, 2, 2)
            stride = (lines.kernel[0] + int(gaps[0]), lines.kernel[1] + int(gaps[1]))
        pe = int(rng.integers(1, 4))
        bits = int(rng.integers(1, 9))
        return cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=(f"{name}_y0",),
            input_dtype=(BIPOLAR, unsigned(bits), signed(bits))[rng.integers(0, 3)],
            height=lines.height,
            width=lines.width,
            channels=pe * lines.folds,
            kernel=lines.kernel,
            stride=stride,
            padding=lines.padding,
            operation=OPERATIONS[rng.integers(0, 2)],
            pe=pe,
        )

    def cost(self) -> Cost:
        """The line buffer or position counters, partial results, the output buffer."""
        in_bits, out_bits = self.input_types[0].width_bits, self.output_types[0].width_bits
        total = cost.register(out_bits + 1)
        if self.is_overlapping:
            address = (self.lines.folds - 1).bit_length()
            total += self.lines.cost() + cost.register(4 + 2 * address)
        else:
            total += cost.counter(self.lines.folds)
            for size in (*self.stride, *self.lines.out_shape):
                total += cost.counter(size + 1)
            cycles = 3 if self.is_partial_block else 1
            address = (self.partials - 1).bit_length()
            total += cost.register(cycles * (in_bits + address + 3)) + Cost(lut=8)
        if self.is_partial_block:
            total += cost.ram(self.partials, out_bits) + cost.register(out_bits)
        elif self.partials > 1:
            total += cost.lut_ram(self.partials, out_bits)
        else:
            total += cost.register(out_bits)
        bits = self.output_types[0].dtype.bits
        # Before the first element there is none, and none in the padding.
        starts = bits * (2 if self.is_overlapping and any(self.padding) else 1)
        if self.operation == "sum":
            lane = cost.adder(bits) + Cost(lut=starts)
        elif self.input_dtype == BIPOLAR:
            lane = Cost(lut=1)
        else:
            lane = cost.comparator(bits) + Cost(lut=bits + starts)
        return total + lane.times(self.pe) + cost.credit_buffer(self.latency + 1, out_bits)

    def module(self) -> Module:
        """``pool.sv``."""
        return Module(
            name="pool",
            parameters={
                "PE": self.pe,
                "X_BITS": self.input_dtype.bits,
                "X_SIGNED": int(self.input_dtype.encoding is Encoding.SIGNED),
                "X_BIPOLAR": int(self.input_dtype.encoding is Encoding.BIPOLAR),
                "IS_SUM": int(self.operation == "sum"),
                "OUT_BITS": self.output_types[0].dtype.bits,
                "IS_OVERLAPPING": int(self.is_overlapping),
                "IS_PARTIAL_BLOCK": int(self.is_partial_block),
                "CAPACITY": self.latency + 1,
                **self.lines.parameters(),
            },
            sources=(*LINE_BUFFER_SOURCES, "delay", "pool_position", "credit_buffer"),
        )
