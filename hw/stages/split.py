"""Stage ``split``: some channels of a stream for each of its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .. import cost
from ..cost import Cost
from ..dtypes import IntArray
from ..errors import FoldingError, GraphError
from ..graph import Stage, StreamType
from ..module import Module, vector
from ..schedule import Pipe, Schedule, Thread
from .stream import random_type

CAPACITY = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Split(Stage):
    """Each output gets some channels of every pixel, in their order.

    Outputs may share channels; channels that no output takes are dropped.

    Attributes:
        type: Type of the input, of any number of lanes.
        members: Whether an output takes a channel, shape ``(outputs, channels)``.
        pe: Channels per cycle; an output takes all of a beat or nothing.

    Raises:
        FoldingError: ``pe`` does not divide the channels, or an output takes a part of a beat.
        GraphError: ``members`` has another shape, or an output takes nothing.
    """

    kind: ClassVar[str] = "split"

    type: StreamType
    members: NDArray[np.bool_]
    pe: int = 1

    def __post_init__(self) -> None:
        members = np.array(self.members, np.bool_)
        shape = (len(self.outputs), self.type.shape[-1])
        if len(self.inputs) != 1 or members.shape != shape or not members.any(axis=1).all():
            raise GraphError(
                f"{self.name}: members {members.shape} must be (outputs, channels) = {shape}, and "
                "each output take some"
            )
        members.setflags(write=False)
        object.__setattr__(self, "members", members)
        size = self.fold_sizes["pe"]
        if self.pe < 1 or size % self.pe:
            raise FoldingError(
                f"{self.name}: pe={self.pe} must divide {size}, so that each output takes whole "
                "beats"
            )

    @classmethod
    def ranges(cls, bounds: list[tuple[int, int]], channels: int) -> NDArray[np.bool_]:
        """Return the members of outputs that take the channels from ``bounds[i][0]`` up to [1].

        >>> Split.ranges([(0, 1), (1, 3)], 3).astype(int).tolist()
        [[1, 0, 0], [0, 1, 1]]
        """
        channel = np.arange(channels)
        return np.array([(first <= channel) & (channel < end) for first, end in bounds])

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """The greatest number that divides the channels and every run that an output takes."""
        edges = np.flatnonzero((self.members[:, 1:] != self.members[:, :-1]).any(axis=0)) + 1
        return {"pe": int(np.gcd.reduce([self.type.shape[-1], *edges]))}

    @cached_property
    def takes(self) -> NDArray[np.bool_]:
        """Whether an output takes a beat of a pixel, shape ``(outputs, beats)``."""
        return self.members[:, :: self.pe]

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """The type, ``pe`` lanes."""
        return (self.type.with_lanes(self.pe),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """The channels of each output, ``pe`` lanes."""
        return tuple(
            StreamType(
                dtype=self.type.dtype,
                shape=(*self.type.shape[:-1], int(count)),
                lanes=self.pe,
            )
            for count in self.members.sum(axis=1)
        )

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the channels of each output."""
        (x,) = inputs
        return tuple(x[..., taken] for taken in self.members)

    def schedule(self) -> Schedule:
        """One beat in a cycle, and one out at each output that takes it."""
        beats = self.takes.astype(np.int32)
        thread = Thread(
            consumes={"s_axis": np.ones(beats.shape[1], np.int32)},
            produces=dict(zip(self.output_ports, beats, strict=True)),
        )
        pipe = Pipe(latency=1, capacity=CAPACITY)
        return Schedule(threads=(thread,), pipes=dict.fromkeys(self.output_ports, pipe))

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Split:
        """One to four outputs, ranges or any channels."""
        pe, outputs = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        kind = random_type(rng, lanes=pe)
        beats = kind.shape[-1] // pe
        members = rng.random((outputs, beats)) < 1 / 2
        if rng.random() < 1 / 2:
            edges = np.sort(rng.integers(0, beats + 1, outputs - 1))
            starts, ends = np.append(0, edges), np.append(edges, beats)
            members = cls.ranges(list(zip(starts, ends, strict=True)), beats)
        members[~members.any(axis=1), rng.integers(0, beats)] = True
        return cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=tuple(f"{name}_y{i}" for i in range(outputs)),
            type=kind,
            members=np.repeat(members, pe, axis=1),
            pe=pe,
        )

    def cost(self) -> Cost:
        """A counter, who takes the beat, a buffer for each output."""
        beats, width = self.takes.shape[1], self.input_types[0].width_bits
        output = cost.credit_buffer(CAPACITY, width, at_once=True) + Cost(
            lut=2 + max(1, cost.rom_luts(beats, 1))
        )
        return cost.counter(beats) + output.times(len(self.outputs))

    def module(self) -> Module:
        """``split.sv``."""
        return Module(
            name="split",
            parameters={
                "WIDTH": self.input_types[0].width_bits,
                "OUTPUTS": len(self.outputs),
                "BEATS": self.takes.shape[1],
                "MEMBERS": vector(map(int, self.takes.T.reshape(-1)), 1),
            },
            sources=("credit_buffer",),
        )
