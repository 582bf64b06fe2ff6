"""The valid and ready signals of each stream, from the cycles of the events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .event_graph import Edge, EdgeKind, StreamEnds
from .patterns import Patterns
from .run import Run
from .trace import Cycles

NEVER_AGAIN = 1 << 60

Changes = tuple[Cycles, Cycles]
"""Cycles in which a signal changes, ascending, and to what; it is 0 before."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Handshakes:
    """Signals of a stream over a run.

    While nothing is offered, ready is what the schedule says: that the next operation of the
    consumer takes a beat of the stream and lacks nothing else.

    Attributes:
        valid: Whether a beat is offered.
        ready: Whether one would be taken.
        taken: Cycle of each transfer.
        held: Beats put into the pipe or FIFO before the stream and not taken yet, as they are when
            a cycle begins; none for an input.
    """

    valid: Changes
    ready: Changes
    taken: Cycles
    held: Changes

    @property
    def transfer(self) -> Changes:
        """Whether a beat is transferred."""
        return _levels(self.taken, self.taken)


def handshakes(
    run: Run, stream: str, gaps: Patterns, ready: Patterns, total_cycles: int
) -> Handshakes:
    """Return the signals of a stream in a run of ``total_cycles``."""
    graph = run.program.graph
    ends = graph.streams[stream]
    taken = run.of(run.program.taken[stream])
    free = np.concatenate([[0], taken + 1])
    if ends.producer is None:
        pattern = gaps.of(graph.inputs.index(stream))
        offered = free[:-1] + pattern[np.arange(len(taken)) % len(pattern)]
        held = _held(taken[:0], taken[:0])
    else:
        made = run.of(run.program.made[stream])
        offered = made + ends.latency
        offered[: len(free)] = np.maximum(offered[: len(free)], free[: len(offered)])
        offered = offered[: len(taken) + 1]
        held = _held(made, taken)
    if stream in graph.outputs:
        calendar = np.resize(ready.of(graph.outputs.index(stream)), total_cycles)
        at = np.flatnonzero(np.diff(calendar, prepend=0))
        takes = at, calendar[at]
    else:
        takes = _levels(_would_take(run, stream, ends, len(taken)), taken)
    return Handshakes(valid=_levels(offered, taken), ready=takes, taken=taken, held=held)


def _levels(begins: Cycles, ends: Cycles) -> Changes:
    """Return a signal that is 1 from each begin to the end of the same number; then for good."""
    rises = begins[begins < NEVER_AGAIN]
    falls = ends + 1
    cycles = np.concatenate([rises, falls])
    values = np.repeat([1, 0], [len(rises), len(falls)])
    # Where it rises in the cycle in which it would fall, it stays.
    both = np.intersect1d(rises, falls)
    keep = ~np.isin(cycles, both)
    cycles, values = cycles[keep], values[keep]
    order = np.argsort(cycles, kind="stable")
    return cycles[order], values[order]


def _held(made: Cycles, taken: Cycles) -> Changes:
    cycles = np.concatenate([made + 1, taken + 1])
    steps = np.repeat([1, -1], [len(made), len(taken)])
    at, where = np.unique(cycles, return_inverse=True)
    change = np.zeros(len(at), np.int64)
    np.add.at(change, where, steps)
    return at, np.cumsum(change)


def _would_take(run: Run, stream: str, ends: StreamEnds, beats: int) -> Cycles:
    """Return when the consumer lacks nothing but each beat, and the beat after the last one."""
    program, thread = run.program, run.program.graph.threads[ends.consumer]
    begin, done = program.order.begin[ends.consumer], int(program.order.done[ends.consumer])
    cycles = run.of(program.order.place[begin : begin + done])
    gaps = np.resize(thread.gaps, len(cycles) + 1)
    lacks = np.concatenate([[thread.lead], cycles + gaps[1:]])
    for edge in program.graph.edges:
        is_stream = edge.kind == EdgeKind.BEATS and edge.name == stream
        if edge.target == ends.consumer and not is_stream:
            np.maximum(lacks, _waits(run, edge, len(lacks)), out=lacks)
    programs, number = np.divmod(np.arange(beats + 1), len(ends.taken_at))
    events = programs * len(thread.gaps) + ends.taken_at[number]
    there = events < len(lacks)
    would_take = np.full(beats + 1, NEVER_AGAIN, np.int64)
    would_take[there] = lacks[events[there]]
    return would_take


def _waits(run: Run, edge: Edge, count: int) -> Cycles:
    """Return until when each of the first ``count`` events of a thread waits on an edge."""
    made = run.of(run.program.made_on(run.program.graph.edges.index(edge)))
    length = len(run.program.graph.threads[edge.target].gaps)
    events = np.unique(edge.taken_at)
    upto = np.searchsorted(edge.taken_at, events, side="right")
    programs = np.arange(-(-count // length))[:, None]
    numbers = (programs * length + events).reshape(-1)
    tokens = (programs * len(edge.taken_at) + upto).reshape(-1) - edge.tokens - 1
    tokens, numbers = tokens[numbers < count], numbers[numbers < count]
    until = np.zeros(count, np.int64)
    is_made = (tokens >= 0) & (tokens < len(made))
    until[numbers[is_made]] = made[tokens[is_made]] + edge.delay
    until[numbers[tokens >= len(made)]] = NEVER_AGAIN
    return until
