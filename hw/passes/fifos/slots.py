"""Places for FIFOs in an event graph, and what FIFOs there can do to a rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ...sim.event_graph import Edge, EdgeKind, EventGraph, Events, StreamEnds
from ..connect import FifoPlace

UNBOUNDED = -1  # depth of a FIFO that never lacks a place


@dataclass(frozen=True)
class Fifos:
    """A FIFO in every slot.

    Attributes:
        depths: Beats; 0 for none, ``UNBOUNDED`` for enough.
        latencies: Cycles.
    """

    depths: tuple[int, ...]
    latencies: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What some FIFOs do to the rate.

    Attributes:
        is_kept: Whether the images follow each other in the asked interval.
        interval: Cycles of an image on the cycle of waits that was found; None for a deadlock.
        full: Slots whose places are waited for on that cycle: one of them must become deeper, ...
        late: ... or one of these slots lose its latency.
    """

    is_kept: bool
    interval: Fraction | None
    full: frozenset[int] = frozenset()
    late: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Edges of a slot, by index.

    Attributes:
        beats: Its beats.
        places: Its places.
        again: What keeps a place until its beat could have left the FIFO.
        producer: The same for the producer's own pipe; None where its program is no faster.
        latency: Of the producer's pipe.
        capacity: Of the producer's pipe.
    """

    beats: int
    places: int
    again: int
    producer: int | None
    latency: int
    capacity: int


def with_slots(
    graph: EventGraph, places: Sequence[FifoPlace]
) -> tuple[EventGraph, tuple[Slot, ...]]:
    """Return the graph with the edges that FIFOs may need, and the slots."""
    edges = list(graph.edges)
    numbers = {(edge.kind, edge.name): number for number, edge in enumerate(edges)}
    slots = []
    for place in places:
        ends = graph.streams[place.before]
        assert ends.producer is not None
        beats = numbers[EdgeKind.BEATS, place.before]
        room = numbers[EdgeKind.PLACES, place.before]
        capacity = edges[room].tokens
        again = len(edges)
        edges.append(_own(place.before, ends.consumer, ends.taken_at, 1, 2))
        producer = None
        if not _is_slower(graph, ends, capacity, ends.latency + 1):
            producer = len(edges)
            edges.append(
                _own(place.before, ends.producer, ends.made_at, capacity, ends.latency + 1)
            )
        slots.append(
            Slot(
                beats=beats,
                places=room,
                again=again,
                producer=producer,
                latency=ends.latency,
                capacity=capacity,
            )
        )
    return replace(graph, edges=tuple(edges)), tuple(slots)


def _own(name: str, thread: int, at: Events, tokens: int, delay: int) -> Edge:
    return Edge(
        kind=EdgeKind.RATE,
        name=name,
        source=thread,
        target=thread,
        tokens=tokens,
        delay=delay,
        made_at=at,
        taken_at=at,
    )


def _is_slower(graph: EventGraph, ends: StreamEnds, beats: int, cycles: int) -> bool:
    """Return whether the producer's program takes ``cycles`` for ``beats`` beats anyway."""
    assert ends.producer is not None
    thread = graph.threads[ends.producer]
    at = np.cumsum(thread.gaps)[ends.made_at]
    later = np.arange(len(at)) + beats
    rounds, number = np.divmod(later, len(at))
    return bool((at[number] + rounds * thread.operations - at >= cycles).all())
