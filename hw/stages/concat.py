"""Stage ``concat``: the channels of several streams as one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import BIPOLAR, DataType, IntArray, signed, smallest_for, unsigned
from ..errors import FoldingError, GraphError
from ..graph import Stage, StreamType
from ..module import Module, kinds, vector
from ..schedule import Pipe, Schedule, Thread, table

CAPACITY = 2
MAX_BEATS = (1 << 16) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Stage):
    """Of every pixel the channels of input 0, then those of input 1, and so on.

    Attributes:
        input_dtypes: Datatype of each input; the result has the narrowest one that holds them all.
        channels: Channels of each input.
        leading: Dimensions before the channels.
        pe: Channels per cycle; divides the channels of every input.

    Raises:
        FoldingError: ``pe`` does not divide the channels of an input.
        GraphError: There are fewer than two inputs, or lists of another length.
    """

    kind: ClassVar[str] = "concat"

    input_dtypes: tuple[DataType, ...]
    channels: tuple[int, ...]
    leading: tuple[int, ...] = ()
    pe: int = 1

    def __post_init__(self) -> None:
        count = len(self.inputs)
        if count < 2 or len(self.outputs) != 1 or min(self.channels, default=0) < 1:
            raise GraphError(f"{self.name}: a concat has two inputs or more and one output")
        if not len(self.input_dtypes) == len(self.channels) == count:
            raise GraphError(f"{self.name}: input_dtypes and channels must be of {count} inputs")
        if self.pe < 1 or self.fold_sizes["pe"] % self.pe:
            raise FoldingError(
                f"{self.name}: pe={self.pe} must divide the channels of each input {self.channels}"
            )
        if max(self.channels) // self.pe > MAX_BEATS:
            raise GraphError(f"{self.name}: takes up to {MAX_BEATS} beats of an input in a pixel")

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """The greatest number that divides the channels of every input."""
        return {"pe": math.gcd(*self.channels)}

    @property
    def dtype(self) -> DataType:
        """Narrowest datatype that holds every input."""
        if len(set(self.input_dtypes)) == 1:
            return self.input_dtypes[0]
        low = min(dtype.min for dtype in self.input_dtypes)
        return smallest_for(low, max(dtype.max for dtype in self.input_dtypes))

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """The channels of each input, ``pe`` lanes."""
        return tuple(
            StreamType(dtype=dtype, shape=(*self.leading, channels), lanes=self.pe)
            for dtype, channels in zip(self.input_dtypes, self.channels, strict=True)
        )

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """All channels, ``pe`` lanes."""
        shape = (*self.leading, sum(self.channels))
        return (StreamType(dtype=self.dtype, shape=shape, lanes=self.pe),)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the inputs side by side."""
        return (np.concatenate(inputs, axis=-1),)

    def schedule(self) -> Schedule:
        """One beat in, from the input whose turn it is, and one out every cycle."""
        ends = np.cumsum(self.channels) // self.pe
        starts = np.append(0, ends[:-1])
        turns = {
            port: table(int(ends[-1]), slice(int(start), int(end)))
            for port, start, end in zip(self.input_ports, starts, ends, strict=True)
        }
        thread = Thread(consumes=turns, produces={"m_axis": table(int(ends[-1]), slice(None))})
        return Schedule(threads=(thread,), pipes={"m_axis": Pipe(latency=1, capacity=CAPACITY)})

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Concat:
        """Two to four inputs, of one datatype or of any."""
        count, pe = int(rng.integers(2, 5)), int(rng.integers(1, 4))
        dtypes = [
            (BIPOLAR, unsigned(int(bits)), signed(int(bits)))[rng.integers(0, 3)]
            for bits in rng.integers(1, 7, count)
        ]
        if rng.random() < 1 / 3:
            dtypes = dtypes[:1] * count
        return cls(
            name=name,
            inputs=tuple(f"{name}_x{i}" for i in range(count)),
            outputs=(f"{name}_y0",),
            input_dtypes=tuple(dtypes),
            channels=tuple(pe * int(n) for n in rng.integers(1, 5, count)),
            leading=((), (3,))[rng.integers(0, 2)],
            pe=pe,
        )

    def cost(self) -> Cost:
        """Whose turn it is, a counter of its beats, a multiplexer, a buffer."""
        count, width = len(self.inputs), self.output_types[0].width_bits
        total = cost.counter(count) + cost.counter(max(self.channels) // self.pe)
        total += cost.multiplexer(count, width) + Cost(lut=2 * count)
        return total + cost.credit_buffer(CAPACITY, width, at_once=True)

    def module(self) -> Module:
        """``concat.sv``."""
        return Module(
            name="concat",
            parameters={
                "INPUTS": len(self.inputs),
                "PE": self.pe,
                "BEATS": vector((channels // self.pe for channels in self.channels), 16),
                "X_BITS": vector((dtype.bits for dtype in self.input_dtypes), 8),
                "X_KINDS": kinds(self.input_dtypes),
                "OUT_BITS": self.dtype.bits,
            },
            sources=("credit_buffer",),
        )
