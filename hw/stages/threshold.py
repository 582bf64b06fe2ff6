"""Stage ``threshold``: a staircase per channel on a stream of integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import BIPOLAR, DataType, Encoding, IntArray, signed, unsigned
from ..graph import Stage, StreamType
from ..module import Module
from ..schedule import Pipe, Schedule, Thread, table
from .checks import check_ends, check_fold
from .thresholds import Thresholds

# The beat and levels, their register, the output buffer.
LATENCY = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Threshold(Stage):
    """Thresholds on a stream, ``pe`` channels a cycle.

    Attributes:
        thresholds: Staircase of each channel.
        input_dtype: Datatype of the input.
        leading: Dimensions before the channels, e.g. ``(height, width)``.
        pe: Channels per cycle; divides the channels.

    Raises:
        FoldingError: ``pe`` does not divide the channels.
    """

    kind: ClassVar[str] = "threshold"

    thresholds: Thresholds
    input_dtype: DataType
    leading: tuple[int, ...] = ()
    pe: int = 1

    def __post_init__(self) -> None:
        check_ends(self)
        check_fold(self, "pe", "channels", self.thresholds.channels)

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """Channels."""
        return {"pe": self.thresholds.channels}

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """Integers, ``pe`` lanes."""
        return (self._type(self.input_dtype),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """Results of the staircases, ``pe`` lanes."""
        return (self._type(self.thresholds.dtype),)

    def _type(self, dtype: DataType) -> StreamType:
        shape = (*self.leading, self.thresholds.channels)
        return StreamType(dtype=dtype, shape=shape, lanes=self.pe)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return ``thresholds.execute`` of the input."""
        (x,) = inputs
        return (self.thresholds.execute(x),)

    def schedule(self) -> Schedule:
        """One beat in, one beat out, every cycle."""
        thread = Thread(consumes={"s_axis": table(1, 0)}, produces={"m_axis": table(1, 0)})
        return Schedule(
            threads=(thread,), pipes={"m_axis": Pipe(latency=LATENCY, capacity=LATENCY + 1)}
        )

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Threshold:
        """1 to 24 channels, any integer input up to 9 bits, or bits."""
        pe, folds = int(rng.integers(1, 5)), int(rng.integers(1, 7))
        dtype = (unsigned, signed)[rng.integers(0, 2)](int(rng.integers(1, 10)))
        if rng.random() < 1 / 6:
            dtype = BIPOLAR
        samples = dtype.random((16, pe * folds), rng)
        return cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=(f"{name}_y0",),
            thresholds=Thresholds.random(samples, rng),
            input_dtype=dtype,
            leading=((), (2, 3))[rng.integers(0, 2)],
            pe=pe,
        )

    @property
    def coded(self) -> tuple[Thresholds, int, int]:
        """Thresholds on the code of an input, and the least and greatest code.

        The codes 0 and 1 of BIPOLAR are reached where -1 and 1 reach a level.
        """
        if self.input_dtype != BIPOLAR:
            return self.thresholds, self.input_dtype.min, self.input_dtype.max
        return replace(self.thresholds, levels=(self.thresholds.levels + 2) // 2), 0, 1

    def locate(self, parameter: str, word: int, bit: int) -> str:
        """Return the channel and level of a bit of LEVELS_FILE."""
        thresholds, low, high = self.coded
        return thresholds.locate(low, high, self.pe, word, bit)

    def cost(self) -> Cost:
        """Counter, two registers, level memory, staircases, the output buffer."""
        thresholds, low, high = self.coded
        folds = thresholds.channels // self.pe
        total = cost.counter(folds) + cost.register(2 * self.pe * self.input_dtype.bits + 2)
        total += thresholds.cost(low, high, self.pe, folds)
        return total + cost.credit_buffer(LATENCY + 1, self.pe * self.thresholds.dtype.bits)

    def module(self) -> Module:
        """``threshold.sv``."""
        thresholds, low, high = self.coded
        return Module(
            name="threshold",
            parameters={
                "CHANNELS": self.thresholds.channels,
                "PE": self.pe,
                "X_BITS": self.input_dtype.bits,
                "X_SIGNED": int(self.input_dtype.encoding is Encoding.SIGNED),
                "OUT_BITS": self.thresholds.dtype.bits,
                **thresholds.parameters(low, high, self.pe),
            },
            memories={"LEVELS_FILE": thresholds.memory(low, high, self.pe)},
            sources=("counter", "neuron_end", "rom", "staircase", "credit_buffer"),
        )
