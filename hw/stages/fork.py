"""Stage ``fork``: one stream for several consumers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import IntArray
from ..errors import GraphError
from ..graph import Stage, StreamType
from ..module import Module
from ..schedule import Pipe, Schedule, Thread, table
from .checks import check_fold
from .stream import random_type

CAPACITY = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Fork(Stage):
    """Eager fork: each output gets every beat, and its consumer takes it when it wants.

    One thread consumes and pushes into a pipe for each output, so it waits only for the output that
    lags behind most, by two beats. The pipes share one memory: a beat is stored once.

    Attributes:
        type: Type of the stream, of any number of lanes.
        pe: Channels per cycle; divides the channels.

    Raises:
        FoldingError: ``pe`` does not divide the channels.
        GraphError: There are fewer than two outputs.
    """

    kind: ClassVar[str] = "fork"

    type: StreamType
    pe: int = 1

    def __post_init__(self) -> None:
        if len(self.inputs) != 1 or len(self.outputs) < 2:
            raise GraphError(f"{self.name}: a fork has one input and two outputs or more")
        check_fold(self, "pe", "channels", self.type.shape[-1])

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """Channels."""
        return {"pe": self.type.shape[-1]}

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """The type, ``pe`` lanes."""
        return (self.type.with_lanes(self.pe),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """The type of each output, ``pe`` lanes."""
        return (self.type.with_lanes(self.pe),) * len(self.outputs)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the input for each output."""
        (x,) = inputs
        return (x,) * len(self.outputs)

    def schedule(self) -> Schedule:
        """One beat in and one out at each output, every cycle."""
        thread = Thread(
            consumes={"s_axis": table(1, 0)},
            produces={port: table(1, 0) for port in self.output_ports},
        )
        pipe = Pipe(latency=1, capacity=CAPACITY)
        return Schedule(threads=(thread,), pipes=dict.fromkeys(self.output_ports, pipe))

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Fork:
        """Two to four outputs."""
        pe = int(rng.integers(1, 5))
        return cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=tuple(f"{name}_y{i}" for i in range(rng.integers(2, 5))),
            type=random_type(rng, lanes=pe),
            pe=pe,
        )

    def cost(self) -> Cost:
        """Two places, which of them each output has still to read, a multiplexer an output."""
        width = self.input_types[0].width_bits
        output = cost.multiplexer(2, width) + Cost(lut=9, ff=3)
        return cost.register(2 * width + 1) + Cost(lut=2) + output.times(len(self.outputs))

    def module(self) -> Module:
        """``eager_fork.sv``; fork itself is a keyword."""
        return Module(
            name="eager_fork",
            parameters={"WIDTH": self.input_types[0].width_bits, "OUTPUTS": len(self.outputs)},
        )
