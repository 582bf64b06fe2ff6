"""Stages ``fifo`` and ``width``: streams stored, and streams cut into other beats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import BIPOLAR, IntArray, signed
from ..errors import FoldingError, GraphError
from ..graph import Stage, StreamType
from ..module import Module
from ..schedule import Pipe, Schedule, Thread, table

# Memory, its output register, the output buffer; a beat is read in the cycle after it came.
BLOCK_RAM_LATENCY = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Fifo(Stage):
    """First-in first-out buffer, in LUT RAM or, where it is large, in block RAM.

    A beat may leave one cycle after it came, four cycles after in block RAM.

    Attributes:
        type: Type of the stream.
        depth: Beats it holds, >= 1; if more than the latency, it passes one beat a cycle.

    Raises:
        GraphError: ``depth`` is below 1.
    """

    kind: ClassVar[str] = "fifo"

    type: StreamType
    depth: int

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise GraphError(f"{self.name}: depth={self.depth} must be >= 1")

    @cached_property
    def is_block_ram(self) -> bool:
        """Whether its beats are in block RAM."""
        if self.depth <= cost.LUT_RAM_DEPTH:
            return False
        block = self._block_cost()
        return self._lut_ram_cost().lut - block.lut >= cost.LUTS_PER_BRAM * block.bram

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """The type."""
        return (self.type,)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """The type."""
        return (self.type,)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the input."""
        return inputs

    def schedule(self) -> Schedule:
        """One beat in and out a cycle, ``depth`` places."""
        thread = Thread(consumes={"s_axis": table(1, 0)}, produces={"m_axis": table(1, 0)})
        pipe = Pipe(latency=BLOCK_RAM_LATENCY if self.is_block_ram else 1, capacity=self.depth)
        return Schedule(threads=(thread,), pipes={"m_axis": pipe})

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Fifo:
        """Depth 1 to 9, or enough for block RAM."""
        kind = random_type(rng, lanes=int(rng.integers(1, 5)))
        depth = int(rng.integers(1, 10))
        if rng.random() < 1 / 3:
            depth = int(rng.integers(33, 50)) + 2048 // kind.width_bits
        return cls(
            name=name, inputs=(f"{name}_x0",), outputs=(f"{name}_y0",), type=kind, depth=depth
        )

    def cost(self) -> Cost:
        """A small buffer, or block RAM, its counters and the buffer that it is read ahead into."""
        return self._block_cost() if self.is_block_ram else self._lut_ram_cost()

    def _lut_ram_cost(self) -> Cost:
        return cost.credit_buffer(self.depth, self.type.width_bits, at_once=True) + Cost(lut=1)

    def _block_cost(self) -> Cost:
        width = self.type.width_bits
        total = Cost(bram=cost.block_rams(self.depth, width), ff=width + 2)
        total += (cost.counter(self.depth) + cost.up_down_counter(self.depth)).times(2)
        return total + cost.credit_buffer(4, width) + Cost(lut=2)

    def module(self) -> Module:
        """``stream_fifo.sv``."""
        return Module(
            name="stream_fifo",
            parameters={
                "WIDTH": self.type.width_bits,
                "DEPTH": self.depth,
                "IS_BLOCK": int(self.is_block_ram),
            },
            sources=("counter", "credit_buffer", "ram"),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Width(Stage):
    """Width converter: the same elements in beats of another number of lanes.

    Attributes:
        type: Type of the input stream.
        lanes: Lanes of the output; a multiple or a divisor of those of the input.

    Raises:
        FoldingError: Neither number of lanes divides the other.
    """

    kind: ClassVar[str] = "width"

    type: StreamType
    lanes: int

    def __post_init__(self) -> None:
        narrow, wide = sorted((self.type.lanes, self.lanes))
        if narrow < 1 or wide % narrow or narrow == wide:
            raise FoldingError(
                f"{self.name}: lanes {self.type.lanes} to {self.lanes}: "
                "one must be a multiple of the other, and they must differ"
            )

    @property
    def is_widening(self) -> bool:
        """Whether the output beats are wider."""
        return self.lanes > self.type.lanes

    @property
    def ratio(self) -> int:
        """Narrow beats in a wide one."""
        return max(self.lanes, self.type.lanes) // min(self.lanes, self.type.lanes)

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """The type."""
        return (self.type,)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """The type with other lanes."""
        return (self.type.with_lanes(self.lanes),)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the input."""
        return inputs

    def schedule(self) -> Schedule:
        """One narrow beat a cycle; a wide one with the last of its parts, or with the first."""
        every = table(self.ratio, slice(None))
        if self.is_widening:
            thread = Thread(consumes={"s_axis": every}, produces={"m_axis": table(self.ratio, -1)})
            return Schedule(threads=(thread,), pipes={"m_axis": Pipe(latency=1, capacity=1)})
        thread = Thread(consumes={"s_axis": table(self.ratio, 0)}, produces={"m_axis": every})
        return Schedule(threads=(thread,), pipes={"m_axis": Pipe(latency=1, capacity=2)})

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Width:
        """Either direction, ratio 2 to 6."""
        narrow = int(rng.integers(1, 4))
        wide = narrow * int(rng.integers(2, 7))
        before, after = ((narrow, wide), (wide, narrow))[rng.integers(0, 2)]
        kind = random_type(rng, lanes=wide).with_lanes(before)
        return cls(
            name=name, inputs=(f"{name}_x0",), outputs=(f"{name}_y0",), type=kind, lanes=after
        )

    def cost(self) -> Cost:
        """Registers for the parts, a counter, a small buffer at the output."""
        wide = max(self.type.width_bits, self.output_types[0].width_bits)
        narrow = min(self.type.width_bits, self.output_types[0].width_bits)
        total = cost.counter(self.ratio) + cost.register(wide - narrow) + Cost(lut=1)
        if self.is_widening:
            return total + cost.credit_buffer(1, wide, at_once=True)
        # A part is the rest of the wide beat or comes in; nothing follows the last one.
        total += Cost(lut=wide - narrow)
        return total + cost.credit_buffer(2, narrow, at_once=True)

    def module(self) -> Module:
        """``width_up.sv`` or ``width_down.sv``."""
        narrow = min(self.type.width_bits, self.output_types[0].width_bits)
        return Module(
            name="width_up" if self.is_widening else "width_down",
            parameters={"NARROW": narrow, "RATIO": self.ratio},
            sources=("counter", "credit_buffer"),
        )


def random_type(rng: np.random.Generator, *, lanes: int) -> StreamType:
    """Return a stream of 1 to 8 beats of ``lanes`` elements, up to 6 bits each."""
    dtype = (BIPOLAR, signed(int(rng.integers(1, 7))))[rng.integers(0, 2)]
    channels = lanes * int(rng.integers(1, 5))
    leading = ((), (2,))[rng.integers(0, 2)]
    return StreamType(dtype=dtype, shape=(*leading, channels), lanes=lanes)
