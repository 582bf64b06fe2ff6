"""Why a dataflow stops: the cycle of stages that wait for each other, and the FIFO that ends it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Dataflow
from .event_graph import Edge, EdgeKind, EventGraph
from .order import Array, GraphArrays, count_events
from .program import Program, run_limits

_CONNECTIONS = ("fifo", "width")


@dataclass(frozen=True, kw_only=True)
class Cure:
    """More places on one stream, with which all beats come through.

    Attributes:
        stream: The stream that is full.
        places: Places that it needs besides those it has.
    """

    stream: str
    places: int


@dataclass(frozen=True, kw_only=True)
class Deadlock:
    """A cycle of waits that never ends.

    Attributes:
        edges: What is waited for, each by the thread that would make the tokens of the one before.
        cures: Streams on the cycle that end it when they alone get more places, fewest first.
    """

    edges: tuple[Edge, ...]
    cures: tuple[Cure, ...]


def find_deadlock(program: Program) -> Deadlock | None:
    """Return the cycle of waits that stopped ``program``; None if a source has no more beats."""
    graph, waits_for = program.graph, program.order.waits_for
    for first in np.flatnonzero(waits_for >= 0):
        path: list[Edge] = []
        seen: dict[int, int] = {}
        thread = int(first)
        while thread not in seen and waits_for[thread] >= 0:
            seen[thread] = len(path)
            path.append(graph.edges[int(waits_for[thread])])
            thread = path[-1].source
        if thread in seen:
            cycle = tuple(path[seen[thread] :])
            return Deadlock(edges=cycle, cures=_cures(program, cycle))
    return None


def _cures(program: Program, cycle: tuple[Edge, ...]) -> tuple[Cure, ...]:
    graph, arrays = program.graph, program.arrays
    limits = run_limits(graph, arrays, program.images)
    cures = []
    for edge in cycle:
        if edge.kind == EdgeKind.PLACES:
            number = graph.edges.index(edge)
            beats = graph.streams[edge.name].beats * program.images
            places = _least_places(graph, arrays, limits, number, beats, program.images)
            if places is not None:
                cures.append(Cure(stream=edge.name, places=places))
    return tuple(sorted(cures, key=lambda cure: cure.places))


def _least_places(
    graph: EventGraph, arrays: GraphArrays, limits: Array, edge: int, most: int, images: int
) -> int | None:
    """Return the fewest places more on an edge with which all beats move; None if none do."""

    def is_enough(places: int) -> bool:
        tokens = arrays.tokens.copy()
        tokens[edge] += places
        done = count_events(arrays, limits, tokens)
        return all(
            _taken(graph, arrays, name, done) >= ends.beats * images
            for name, ends in graph.streams.items()
        )

    if not is_enough(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high


def _taken(graph: EventGraph, arrays: GraphArrays, name: str, done: Array) -> int:
    """Return how many beats of a stream were taken when its consumer had done ``done`` events."""
    ends = graph.streams[name]
    programs, rest = divmod(int(done[ends.consumer]), int(arrays.program[ends.consumer]))
    return programs * len(ends.taken_at) + int(np.searchsorted(ends.taken_at, rest))


def explain(dataflow: Dataflow, program: Program) -> str:
    """Return who waits for whom, and which FIFO would end it."""
    deadlock = find_deadlock(program)
    if deadlock is None:
        return "the source has no more beats"
    threads = program.graph.threads
    lines = []
    for edge in deadlock.edges:
        waiting, holding = threads[edge.target].stage, threads[edge.source].stage
        # An output's sink has no stage.
        who, whom = waiting or "the sink", holding or "the sink"
        lines.append(
            {
                EdgeKind.BEATS: f"{who} waits for a beat of {edge.name} from {whom}",
                EdgeKind.PLACES: f"{who} waits for {whom} to take a beat of {edge.name}, which is "
                f"full with {edge.tokens}",
                EdgeKind.WORDS: f"{who} waits for words in its buffer",
                EdgeKind.ROOM: f"{who} waits for room in its buffer of {edge.tokens} words",
                EdgeKind.RATE: f"{who} waits for itself",
            }[edge.kind]
        )
    return "; ".join([*dict.fromkeys(lines), _advice(dataflow, deadlock)])


def _advice(dataflow: Dataflow, deadlock: Deadlock) -> str:
    if not deadlock.cures:
        return "no FIFO alone ends this; let the FIFOs be sized, or mend the stages"
    # Places before a FIFO are as good as its own, and it is the one that can be given more.
    fewest = [cure for cure in deadlock.cures if cure.places == deadlock.cures[0].places]
    for cure in fewest:
        stage = dataflow.producer(cure.stream)
        depth = getattr(stage, "depth", None)
        if stage is not None and stage.kind == "fifo" and depth is not None:
            needed = depth + cure.places
            return f"FIFO {stage.name} is too small: a depth of {needed} ends this, it has {depth}"
    stream = _logical(dataflow, fewest[0].stream)
    return f"a FIFO of depth {fewest[0].places} on {stream} ends this"


def _logical(dataflow: Dataflow, stream: str) -> str:
    """Return the stream that connections carry to ``stream``: FIFOs are given by its name."""
    stage = dataflow.producer(stream)
    while stage is not None and stage.kind in _CONNECTIONS:
        (stream,) = stage.inputs
        stage = dataflow.producer(stream)
    return stream
