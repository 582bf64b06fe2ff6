"""Stage ``add``: the sum of several streams, each times a small integer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import BIPOLAR, DataType, Encoding, IntArray, signed, smallest_for, unsigned
from ..errors import GraphError
from ..graph import Stage, StreamType
from ..module import Module, kinds, vector
from ..schedule import Buffer, Pipe, Schedule, Thread, table
from .checks import check_fold

CAPACITY = 2
MAX_FACTOR = (1 << 15) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Stage):
    """``sum_i factors[i] * x_i`` element by element, optionally clamped.

    A quantizer that has the step of the sum only clamps it, which takes two comparisons; all others
    are thresholds of their own.

    The inputs but the first come through a buffer of two beats: then ``s_axis_tready`` of one input
    does not depend on ``s_axis_tvalid`` of another, as it would in a join without any.

    Attributes:
        input_dtypes: Datatype of each input.
        factors: What each input is multiplied by, by shifts; not 0.
        channels: Channels of every input.
        leading: Dimensions before the channels.
        bounds: Least and greatest result, or None for the sum itself.
        pe: Channels per cycle; divides the channels.

    Raises:
        FoldingError: ``pe`` does not divide the channels.
        GraphError: There are fewer than two inputs, a list has another length, a factor is 0 or
            beyond 15 bits, or the bounds exclude each other or every sum.
    """

    kind: ClassVar[str] = "add"

    input_dtypes: tuple[DataType, ...]
    factors: tuple[int, ...]
    channels: int
    leading: tuple[int, ...] = ()
    bounds: tuple[int, int] | None = None
    pe: int = 1

    def __post_init__(self) -> None:
        count = len(self.inputs)
        if count < 2 or len(self.outputs) != 1:
            raise GraphError(f"{self.name}: an add has two inputs or more and one output")
        if not len(self.input_dtypes) == len(self.factors) == count:
            raise GraphError(f"{self.name}: input_dtypes and factors must be of {count} inputs")
        if not all(0 < abs(factor) <= MAX_FACTOR for factor in self.factors):
            raise GraphError(
                f"{self.name}: factors {self.factors} must not be 0, nor beyond {MAX_FACTOR}"
            )
        check_fold(self, "pe", "channels", self.channels)
        low, high = self.sum_range
        if self.bounds and not low <= self.bounds[0] <= self.bounds[1] <= high:
            raise GraphError(
                f"{self.name}: bounds {self.bounds} must ascend and lie in {low} to {high}"
            )

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """Channels."""
        return {"pe": self.channels}

    @property
    def sum_range(self) -> tuple[int, int]:
        """Least and greatest sum before it is clamped."""
        ends = [
            sorted((factor * dtype.min, factor * dtype.max))
            for factor, dtype in zip(self.factors, self.input_dtypes, strict=True)
        ]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """The channels, ``pe`` lanes."""
        return tuple(self._type(dtype) for dtype in self.input_dtypes)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """The channels, ``pe`` lanes."""
        return (self._type(smallest_for(*(self.bounds or self.sum_range))),)

    def _type(self, dtype: DataType) -> StreamType:
        return StreamType(dtype=dtype, shape=(*self.leading, self.channels), lanes=self.pe)

    def sums(self, *inputs: IntArray) -> IntArray:
        """Return the integers before they are clamped."""
        total = np.zeros(inputs[0].shape, np.int64)
        for factor, x in zip(self.factors, inputs, strict=True):
            total += factor * x
        return total

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the sums, clamped where there are bounds."""
        total = self.sums(*inputs)
        return (total if self.bounds is None else np.clip(total, *self.bounds),)

    def schedule(self) -> Schedule:
        """A beat of each input in and one out, every cycle; all but the first are buffered."""
        once = table(1, 0)
        first, *others = self.input_ports
        adding = Thread(consumes={first: once}, produces={"m_axis": once})
        waiting = [Thread(consumes={port: once}, produces={}) for port in others]
        return Schedule(
            threads=(adding, *waiting),
            pipes={"m_axis": Pipe(latency=1, capacity=CAPACITY)},
            buffers=tuple(
                Buffer(
                    writer=index, reader=0, capacity=CAPACITY, latency=1, needs=once, releases=once
                )
                for index in range(1, len(self.inputs))
            ),
        )

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Add:
        """Two to four inputs of any datatype; half of them sums or differences of two."""
        pe = int(rng.integers(1, 4))
        count = 2 if rng.random() < 1 / 2 else int(rng.integers(2, 5))
        factors = rng.choice([-1, 1], count) * rng.choice([1, 1, 1, 2, 4, 3, 7, 11], count)
        stage = cls(
            name=name,
            inputs=tuple(f"{name}_x{i}" for i in range(count)),
            outputs=(f"{name}_y0",),
            input_dtypes=tuple(
                (BIPOLAR, unsigned(int(bits)), signed(int(bits)))[rng.integers(0, 3)]
                for bits in rng.integers(1, 7, count)
            ),
            factors=tuple(map(int, factors)),
            channels=pe * int(rng.integers(1, 5)),
            leading=((), (3,))[rng.integers(0, 2)],
            pe=pe,
        )
        if rng.random() < 1 / 2:
            return stage
        low, high = sorted(int(n) for n in rng.integers(*stage.sum_range, 2, endpoint=True))
        return stage.with_(bounds=(low, high))

    def cost(self) -> Cost:
        """Buffers of the inputs, an adder for each further term, comparisons, the output buffer."""
        sum_bits = smallest_for(*self.sum_range).bits
        terms = sorted(
            dtype.bits
            for dtype, factor in zip(self.input_dtypes, self.factors, strict=True)
            for ones in _signed_digits(factor)
            for _ in range(ones.bit_count())
        )
        lane = cost.adder(sum_bits)
        for bits in terms[:-2]:
            lane += cost.full_adders(3, bits)
        if self.bounds is not None:
            lane += Cost(lut=self.output_types[0].dtype.bits) + self._clamp_cost(sum_bits)
        total = lane.times(self.pe) + Cost(lut=1)
        for kind in self.input_types[1:]:
            total += cost.credit_buffer(CAPACITY, kind.width_bits, at_once=True)
        width = self.output_types[0].width_bits
        return total + cost.credit_buffer(CAPACITY, width, at_once=True)

    def _clamp_cost(self, sum_bits: int) -> Cost:
        """Comparisons with constants: trees of LUTs; none where every sum is inside."""
        assert self.bounds is not None
        (low, high), (least, greatest) = self.bounds, self.sum_range
        compared = (low > least) + (high < greatest)
        return cost.is_equal(sum_bits).times(compared)

    def module(self) -> Module:
        """``add.sv``; a factor is the difference of two numbers whose ones are shifts."""
        sum_dtype = smallest_for(*self.sum_range)
        low, high = self.bounds or self.sum_range
        parts = [_signed_digits(factor) for factor in self.factors]
        return Module(
            name="add",
            parameters={
                "INPUTS": len(self.inputs),
                "PE": self.pe,
                "X_BITS": vector((dtype.bits for dtype in self.input_dtypes), 8),
                "X_KINDS": kinds(self.input_dtypes),
                "ADDED": vector((added for added, _ in parts), 16),
                "SUBTRACTED": vector((subtracted for _, subtracted in parts), 16),
                "SUM_BITS": sum_dtype.bits,
                "SUM_SIGNED": int(sum_dtype.encoding is Encoding.SIGNED),
                "IS_CLAMPED": int(self.bounds is not None),
                "LOW": low,
                "HIGH": high,
                "OUT_BITS": self.output_types[0].dtype.bits,
            },
            sources=("credit_buffer",),
        )


def _signed_digits(factor: int) -> tuple[int, int]:
    """Return two numbers, added and subtracted, whose difference is ``factor``, of fewest ones.

    That is its non-adjacent form (Reitwiesner, "Binary arithmetic", 1960).

    >>> _signed_digits(7), _signed_digits(-1), _signed_digits(6)
    ((8, 1), (0, 1), (8, 2))
    """
    size = abs(factor)
    added = (3 * size & ~size) >> 1
    subtracted = (size & ~(3 * size)) >> 1
    return (added, subtracted) if factor > 0 else (subtracted, added)
