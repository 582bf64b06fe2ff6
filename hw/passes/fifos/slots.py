"""Places for FIFOs in an event graph, and what FIFOs there can do to a rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...sim.event_graph import Edge, EdgeKind, EventGraph, StreamEnds
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

    @property
    def merits(self) -> NDArray[np.int64]:
        """Numbers of which more are never worse: depths, then how early beats come.

        A beat that has a FIFO for itself holds up the one after it as well.
        """
        depths, latencies = np.array(self.depths, np.int64), np.array(self.latencies, np.int64)
        is_alone = (depths > 0) & (depths <= latencies)
        depths[depths == UNBOUNDED] = np.iinfo(np.int64).max
        return np.concatenate([depths, -latencies - (is_alone << 32)])


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
        producer: What keeps a place of the producer's own pipe until its beat could have left it;
            None where the producer's program is no faster.
        latency: Of the producer's pipe.
        capacity: Of the producer's pipe.
    """

    beats: int
    places: int
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
        room = numbers[EdgeKind.PLACES, place.before]
        capacity = edges[room].tokens
        producer = None
        if not _is_slower(graph, ends, capacity, ends.latency + 1):
            producer = len(edges)
            edges.append(
                Edge(
                    kind=EdgeKind.RATE,
                    name=place.before,
                    source=ends.producer,
                    target=ends.producer,
                    tokens=capacity,
                    delay=ends.latency + 1,
                    made_at=ends.made_at,
                    taken_at=ends.made_at,
                )
            )
        slots.append(
            Slot(
                beats=numbers[EdgeKind.BEATS, place.before],
                places=room,
                producer=producer,
                latency=ends.latency,
                capacity=capacity,
            )
        )
    return replace(graph, edges=tuple(edges)), tuple(slots)


def _is_slower(graph: EventGraph, ends: StreamEnds, beats: int, cycles: int) -> bool:
    """Return whether the producer's program takes ``cycles`` for ``beats`` beats anyway."""
    assert ends.producer is not None
    thread = graph.threads[ends.producer]
    at = np.cumsum(thread.gaps)[ends.made_at]
    rounds, number = np.divmod(np.arange(len(at)) + beats, len(at))
    return bool((at[number] + rounds * thread.operations - at >= cycles).all())
