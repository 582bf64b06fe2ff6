"""Stage ``window``: the pixels under a kernel that moves over an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import BIPOLAR, DataType, IntArray, signed, unsigned
from ..errors import GraphError
from ..graph import Stage, StreamType
from ..module import Module
from ..schedule import Pipe, Schedule, Thread, table
from .checks import check_ends, check_fold
from .line_buffer import SOURCES as LINE_BUFFER_SOURCES
from .line_buffer import LineBuffer

# The line buffer, its output register, the output buffer.
LATENCY = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Window(Stage):
    """Windows of an image, each flattened in the order (group, ky, kx, channel of the group).

    Padding is made here: a padded pixel is ``pad_value`` and is not read. Windows are emitted while
    later rows, also those of the next image, are read.

    Attributes:
        input_dtype: Datatype of an element.
        height: Rows of the image.
        width: Columns of the image.
        channels: Channels of a pixel.
        kernel: Rows and columns of a window.
        stride: Rows and columns between windows.
        dilation: Rows and columns between taps of a window.
        padding: Rows and columns around the image: top, left, bottom, right.
        pad_value: What a padded element is; in ``input_dtype``.
        groups: Groups of channels; divides ``channels``.
        simd: Channels per cycle; divides the channels of a group.
        depth: Words of ``simd`` channels in the line buffer; None for enough for the full rate, and
            as many more as the memory has.

    Raises:
        FoldingError: ``simd`` does not divide the channels of a group.
        DatatypeError: ``pad_value`` is not in ``input_dtype``.
        GraphError: Impossible geometry; see ``LineBuffer``.
    """

    kind: ClassVar[str] = "window"

    input_dtype: DataType
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: int = 0
    groups: int = 1
    simd: int = 1
    depth: int | None = None

    def __post_init__(self) -> None:
        check_ends(self)
        if self.groups < 1 or self.channels % self.groups:
            raise GraphError(
                f"{self.name}: groups={self.groups} must divide {self.channels} channels"
            )
        of = "channels" if self.groups == 1 else "channels of a group"
        check_fold(self, "simd", of, self.channels // self.groups)
        if self.pad_value or any(self.padding):
            self.input_dtype.check(np.array([self.pad_value]), f"{self.name}: pad_value")
        if self.input_dtype.bits > 31:
            raise GraphError(f"{self.name}: takes up to 31 bits, got {self.input_dtype.name}")
        try:
            _ = self.lines
        except GraphError as error:
            raise GraphError(f"{self.name}: {error}") from error

    @cached_property
    def lines(self) -> LineBuffer:
        """Geometry of the line buffer."""
        return LineBuffer(
            height=self.height,
            width=self.width,
            folds=self.channels // self.simd,
            kernel=self.kernel,
            stride=self.stride,
            dilation=self.dilation,
            padding=self.padding,
            groups=self.groups,
            depth=self.depth,
            word_bits=self.simd * self.input_dtype.bits,
        )

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """Channels of a group."""
        return {"simd": self.channels // self.groups}

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """The image, ``simd`` lanes."""
        shape = (self.height, self.width, self.channels)
        return (StreamType(dtype=self.input_dtype, shape=shape, lanes=self.simd),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """The windows, ``simd`` lanes."""
        shape = (*self.lines.out_shape, self.kernel[0] * self.kernel[1] * self.channels)
        return (StreamType(dtype=self.input_dtype, shape=shape, lanes=self.simd),)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the windows, ``(images, OH, OW, KH * KW * C)``."""
        (x,) = inputs
        top, left, bottom, right = self.padding
        if any(self.padding):
            around = ((0, 0), (top, bottom), (left, right), (0, 0))
            x = np.pad(x, around, constant_values=self.pad_value)
        windows = self.lines.windows(x)
        grouped = windows.reshape(*windows.shape[:5], self.groups, -1)
        return (np.moveaxis(grouped, 5, 3).reshape(*windows.shape[:3], -1),)

    def schedule(self) -> Schedule:
        """A thread that writes the line buffer and one that reads it, a beat a cycle each."""
        lines = self.lines
        return Schedule(
            threads=(
                Thread(consumes={"s_axis": table(lines.words, slice(None))}, produces={}),
                Thread(consumes={}, produces={"m_axis": table(len(lines.needs), slice(None))}),
            ),
            pipes={"m_axis": Pipe(latency=LATENCY, capacity=LATENCY + 1)},
            buffers=(lines.schedule(writer=0, reader=1),),
        )

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Window:
        """Images up to 8 x 8, kernels up to 4 x 4, padding in half of them."""
        simd = int(rng.integers(1, 4))
        bits = int(rng.integers(1, 9))
        dtype = (BIPOLAR, unsigned(bits), signed(bits))[rng.integers(0, 3)]
        geometry = LineBuffer.random(rng)
        return cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=(f"{name}_y0",),
            input_dtype=dtype,
            height=geometry.height,
            width=geometry.width,
            channels=simd * geometry.folds,
            kernel=geometry.kernel,
            stride=geometry.stride,
            dilation=geometry.dilation,
            padding=geometry.padding,
            pad_value=int(dtype.random((1,), rng)[0]),
            simd=simd,
            groups=geometry.groups,
            depth=geometry.depth,
        )

    def cost(self) -> Cost:
        """The line buffer, its counters, the output buffer."""
        width = self.input_types[0].width_bits
        padding = Cost(lut=width) if any(self.padding) else Cost()
        return self.lines.cost() + padding + cost.credit_buffer(LATENCY + 1, width)

    def module(self) -> Module:
        """``window.sv``."""
        pad = int(self.input_dtype.to_codes(np.array([self.pad_value]))[0])
        return Module(
            name="window",
            parameters={
                "SIMD": self.simd,
                "X_BITS": self.input_dtype.bits,
                "PAD": pad,
                "GROUPS": self.groups,
                **self.lines.parameters(),
            },
            sources=(*LINE_BUFFER_SOURCES, "credit_buffer"),
        )
