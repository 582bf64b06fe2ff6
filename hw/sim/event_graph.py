"""The timed event graph of a dataflow: what waits for what, and for how long.

An operation of a thread that moves a beat or a word is an *event*. Event k of a thread fires at

    t[k] = max(t[k-1] + gap[k],  T_e[n_e(k) - tokens_e - 1] + delay_e  for all e it takes from)

where ``T_e[j]`` is the cycle in which token j was put on edge e and ``n_e(k)`` the tokens that
events 0 to k take from it: a cyclo-static marked graph, a linear system in (max, +) [1]_.

- A pipe is two edges. *Beats* go from producer to consumer, ``latency`` cycles later. *Places* go
  back, a cycle after the beat has left; ``capacity`` of them are there at reset.
- A buffer is two edges as well: *words* from writer to reader, *room* from reader to writer.
- A transfer is the event of the thread that takes the beat, so the cycle of a beat is read there.
- An output of the dataflow ends in a thread that takes a beat a cycle.

References:
    .. [1] Baccelli, Cohen, Olsder, Quadrat, "Synchronization and Linearity", Wiley 1992.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError
from ..graph import Dataflow
from ..schedule import Buffer, Schedule, Table

Events = NDArray[np.int32]


class EdgeKind(IntEnum):
    """What the tokens of an edge are."""

    BEATS = 0
    PLACES = 1
    WORDS = 2
    ROOM = 3
    RATE = 4  # of a thread to itself


@dataclass(frozen=True, kw_only=True, eq=False)
class EventThread:
    """A cyclic program of events.

    Attributes:
        stage: Name of its stage; None for the sink of an output.
        gaps: Per event, the least cycles after the event before it.
        lead: Operations before the first event.
        operations: Operations of the program, those without an event included.
        programs: Programs of an image; None if an image is no whole number of programs.
    """

    stage: str | None
    gaps: Events
    lead: int
    operations: int
    programs: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Edge:
    """Tokens that one thread makes and another one takes, in order.

    Attributes:
        kind: What the tokens are.
        name: Of the stream, or of the stage for an internal buffer.
        source: Thread that makes them.
        target: Thread that takes them.
        tokens: There at reset.
        delay: Least cycles from the event that makes a token to the one that takes it.
        made_at: Event of each token of a program of the source.
        taken_at: Event of each token of a program of the target.
    """

    kind: EdgeKind
    name: str
    source: int
    target: int
    tokens: int
    delay: int
    made_at: Events
    taken_at: Events


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamEnds:
    """Where the beats of a stream come from and go to.

    Attributes:
        beats: Beats of an image.
        producer: Thread that makes them; None for an input of the dataflow.
        made_at: Event of each beat of a program of the producer; empty for an input.
        latency: Cycles from the producer's event to the first in which the beat is offered.
        consumer: Thread that takes them.
        taken_at: Event of each beat of a program of the consumer.
    """

    beats: int
    producer: int | None
    made_at: Events
    latency: int
    consumer: int
    taken_at: Events


@dataclass(frozen=True, kw_only=True, eq=False)
class EventGraph:
    """Threads and edges of a dataflow, sinks included.

    Attributes:
        name: Of the dataflow.
        threads: Those of the stages in order, then one for each output.
        edges: In no order that matters.
        streams: Ends of each stream, by name.
        inputs: Names of the streams that enter.
        outputs: Names of the streams that leave.
    """

    name: str
    threads: tuple[EventThread, ...]
    edges: tuple[Edge, ...]
    streams: Mapping[str, StreamEnds]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def is_aligned(self) -> bool:
        """Whether every thread does whole programs for an image, and all streams agree."""
        return all(thread.programs is not None for thread in self.threads)


def event_graph(dataflow: Dataflow) -> EventGraph:
    """Return the event graph of ``dataflow``.

    Raises:
        SimulationError: A thread of a stage moves no beat and no word.
    """
    return _Builder(dataflow).graph()


@dataclass
class _Port:
    """One end of a stream: the thread, and its operation for each beat of a program."""

    thread: int
    operations: Table


class _Builder:
    """Collects threads and edges stage by stage."""

    def __init__(self, dataflow: Dataflow) -> None:
        self.dataflow = dataflow
        self.stage_of: list[str | None] = []
        self.operations: list[int] = []
        # Per thread, which operations are events; edges hold operations until all are known.
        self.is_event: list[NDArray[np.bool_]] = []
        self.edges: list[Edge] = []
        self.producers: dict[str, _Port] = {}
        self.consumers: dict[str, _Port] = {}
        self.pipes: dict[str, tuple[int, int]] = {}

    def graph(self) -> EventGraph:
        dataflow = self.dataflow
        for stage in dataflow.stages:
            streams = dict(zip(stage.input_ports, stage.inputs, strict=True))
            streams |= dict(zip(stage.output_ports, stage.outputs, strict=True))
            self._add_stage(stage.name, stage.schedule(), streams)
        for name in dataflow.outputs:
            self.consumers[name] = self._port(self._add_thread(None, 1), np.ones(1, np.int32))
        for name, (latency, capacity) in self.pipes.items():
            made, taken = self.producers[name], self.consumers[name]
            self._add_edge(EdgeKind.BEATS, name, made, taken, 0, latency)
            self._add_edge(EdgeKind.PLACES, name, taken, made, capacity, 1)
        return self._finish()

    def _add_thread(self, stage: str | None, operations: int) -> int:
        self.stage_of.append(stage)
        self.operations.append(operations)
        self.is_event.append(np.zeros(operations, np.bool_))
        return len(self.operations) - 1

    def _port(self, thread: int, moves: Table) -> _Port:
        self.is_event[thread] |= moves != 0
        return _Port(thread, np.flatnonzero(moves).astype(np.int32))

    def _add_stage(self, stage: str, schedule: Schedule, streams: Mapping[str, str]) -> None:
        first = len(self.operations)
        for thread in schedule.threads:
            index = self._add_thread(stage, thread.operations)
            for port, moves in thread.consumes.items():
                self.consumers[streams[port]] = self._port(index, moves)
            for port, moves in thread.produces.items():
                self.producers[streams[port]] = self._port(index, moves)
        for port, pipe in schedule.pipes.items():
            self.pipes[streams[port]] = (pipe.latency, pipe.capacity)
        for buffer in schedule.buffers:
            self._add_buffer(stage, first, buffer)

    def _add_buffer(self, stage: str, first: int, buffer: Buffer) -> None:
        writer, reader = first + buffer.writer, first + buffer.reader
        words = self.operations[writer]
        written = self._port(writer, np.ones(words, np.int32))
        # Words that no operation of a period needs are taken by the first one of the next period;
        # before the first period they are there.
        needed = int(buffer.needs[-1])
        unused = words - needed
        first_use = np.searchsorted(buffer.needs, np.arange(needed) + 1)
        read = _Port(reader, np.concatenate([np.zeros(unused), first_use]).astype(np.int32))
        freed = np.repeat(np.arange(len(buffer.releases)), np.diff(buffer.releases, prepend=0))
        freeing = _Port(reader, freed.astype(np.int32))
        self.is_event[reader][read.operations] = True
        self.is_event[reader][freeing.operations] = True
        self._add_edge(EdgeKind.WORDS, stage, written, read, unused, buffer.latency)
        self._add_edge(EdgeKind.ROOM, stage, freeing, written, buffer.capacity, 1)

    def _add_edge(
        self, kind: EdgeKind, name: str, made: _Port, taken: _Port, tokens: int, delay: int
    ) -> None:
        self.edges.append(
            Edge(
                kind=kind,
                name=name,
                source=made.thread,
                target=taken.thread,
                tokens=tokens,
                delay=delay,
                made_at=made.operations,
                taken_at=taken.operations,
            )
        )

    def _finish(self) -> EventGraph:
        """Number the events instead of the operations, and find the programs of an image."""
        for stage, is_event in zip(self.stage_of, self.is_event, strict=True):
            if not is_event.any():
                raise SimulationError(
                    f"{self.dataflow.name}: a thread of {stage} moves no beat and no word"
                )
        number = [np.cumsum(is_event, dtype=np.int32) - 1 for is_event in self.is_event]
        edges = tuple(
            Edge(
                kind=edge.kind,
                name=edge.name,
                source=edge.source,
                target=edge.target,
                tokens=edge.tokens,
                delay=edge.delay,
                made_at=number[edge.source][edge.made_at],
                taken_at=number[edge.target][edge.taken_at],
            )
            for edge in self.edges
            if len(edge.taken_at)
        )
        programs = self._programs(edges)
        threads = []
        for index, is_event in enumerate(self.is_event):
            at = np.flatnonzero(is_event)
            gaps = np.diff(at, prepend=at[-1] - len(is_event)).astype(np.int32)
            threads.append(
                EventThread(
                    stage=self.stage_of[index],
                    gaps=gaps,
                    lead=int(at[0]),
                    operations=len(is_event),
                    programs=programs[index],
                )
            )
        streams = {}
        for name, kind in self.dataflow.streams.items():
            made, taken = self.producers.get(name), self.consumers[name]
            streams[name] = StreamEnds(
                beats=kind.beats,
                producer=made.thread if made else None,
                made_at=number[made.thread][made.operations] if made else np.zeros(0, np.int32),
                latency=self.pipes.get(name, (0, 0))[0],
                consumer=taken.thread,
                taken_at=number[taken.thread][taken.operations],
            )
        return EventGraph(
            name=self.dataflow.name,
            threads=tuple(threads),
            edges=edges,
            streams=streams,
            inputs=tuple(self.dataflow.inputs),
            outputs=self.dataflow.outputs,
        )

    def _programs(self, edges: tuple[Edge, ...]) -> list[int | None]:
        """Return the programs that each thread does for an image, all None if they disagree."""
        rates: dict[int, Fraction] = {}
        for name, kind in self.dataflow.streams.items():
            for port in (self.producers.get(name), self.consumers.get(name)):
                if port is not None and len(port.operations):
                    rate = Fraction(kind.beats, len(port.operations))
                    if rates.setdefault(port.thread, rate) != rate:
                        return [None] * len(self.operations)
        pending = list(edges)
        while pending:
            left = []
            for edge in pending:
                made, taken = len(edge.made_at), len(edge.taken_at)
                if edge.source in rates and made:
                    rate = rates[edge.source] * made / taken
                    if rates.setdefault(edge.target, rate) != rate:
                        return [None] * len(self.operations)
                elif edge.target in rates and made:
                    rates[edge.source] = rates[edge.target] * taken / made
                else:
                    left.append(edge)
            if len(left) == len(pending):
                break
            pending = left
        found = [rates.get(index, Fraction(1, 2)) for index in range(len(self.operations))]
        if any(rate.denominator != 1 for rate in found):
            return [None] * len(found)
        return [int(rate) for rate in found]
