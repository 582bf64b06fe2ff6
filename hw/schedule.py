"""The one description of a stage's time, read by every simulator and by the FIFO sizing.

A stage is one or more *threads*: cyclic programs of operations, at most one operation a cycle.
An operation fires as soon as the beats it consumes are offered and the places it produces into are
free; a consumed beat is transferred in the cycle in which the operation fires. What an operation
produces travels through a *credit pipe*: it is offered ``latency`` cycles later, and its place is
free again one cycle after the beat has left. Both ends of a pipe are registered: no ``ready`` or
``valid`` of one stage depends combinationally on another stage, so the accelerator is a timed
marked graph and these tables are its exact timing.

Two threads of a stage may share a *buffer* that one writes and the other reads, such as the lines
of a sliding window: each waits for the other's words or places, both registered as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Pipe:
    """A credit pipe behind an output port.

    Attributes:
        latency: Cycles from the operation to the first cycle in which its beat is offered, >= 1.
        capacity: Beats in flight or waiting, >= 1; the full rate needs ``latency + 1``.
    """

    latency: int
    capacity: int

    def __post_init__(self) -> None:
        if self.latency < 1 or self.capacity < 1:
            raise ValueError(f"pipe: latency and capacity must be >= 1, got {self}")


@dataclass(frozen=True, kw_only=True)
class Thread:
    """A cyclic program of operations.

    Attributes:
        consumes: Per input port, beats (0 or 1) that each operation of the program takes.
        produces: Per output port, beats (0 or 1) that each operation puts into the pipe.
    """

    consumes: Mapping[str, Table]
    produces: Mapping[str, Table]
    operations: int = field(init=False)

    def __post_init__(self) -> None:
        tables = [*self.consumes.values(), *self.produces.values()]
        lengths = {len(table) for table in tables}
        if len(lengths) != 1 or any(((t < 0) | (t > 1)).any() for t in tables):
            raise ValueError("thread: tables must have one length and hold 0 or 1")
        object.__setattr__(self, "operations", lengths.pop())


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """Words that one thread of a stage writes and another one reads.

    Every operation of the writer writes one word, so its program is one period of words. Operation
    k of the reader's period p fires when ``p * words + needs[k]`` words are written, and leaves
    ``p * words + releases[k]`` words freed; the writer sees that one cycle later.

    Attributes:
        writer: Index of the writing thread.
        reader: Index of the reading thread.
        capacity: Words written and not yet freed, >= 1; words freed before they are written leave
            room for as many more.
        latency: Cycles from a writing operation to the first in which its word is there, >= 1.
        needs: Per reading operation, words that must be there; does not descend, at most ``words``.
        releases: Per reading operation, words free after it; does not descend, ends with ``words``.
    """

    writer: int
    reader: int
    capacity: int
    latency: int
    needs: Table
    releases: Table

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.latency < 1 or self.writer == self.reader:
            raise ValueError("buffer: capacity and latency must be >= 1, and the threads differ")
        if len(self.needs) != len(self.releases) or not len(self.needs):
            raise ValueError("buffer: needs and releases must have one length, >= 1")
        if any((np.diff(table) < 0).any() for table in (self.needs, self.releases)):
            raise ValueError("buffer: needs and releases must not descend")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Threads of a stage, the pipe behind each of its output ports, and its internal buffers."""

    threads: tuple[Thread, ...]
    pipes: Mapping[str, Pipe]
    buffers: tuple[Buffer, ...] = ()

    def __post_init__(self) -> None:
        for buffer in self.buffers:
            words = self.threads[buffer.writer].operations
            if len(buffer.needs) != self.threads[buffer.reader].operations:
                raise ValueError("buffer: needs and releases must be as long as the reader")
            if buffer.releases[-1] != words or buffer.needs[-1] > words:
                raise ValueError(
                    f"buffer: a period must release all its {words} words, and no more"
                )


def table(length: int, at: slice | int) -> Table:
    """Return a 0/1 table with ones at ``at``.

    >>> table(4, slice(0, 2)).tolist(), table(3, -1).tolist()
    ([1, 1, 0, 0], [0, 0, 1])
    """
    ones = np.zeros(length, np.int32)
    ones[at] = 1
    return ones
