"""A frame of events as straight-line code: for each event in order, what it waits for and how long.

A frame is an image, or the whole run where threads and images do not align.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numba import njit

from .event_graph import EventGraph, Events, StreamEnds
from .order import UNLIMITED, Array, GraphArrays, Order, count_events, find_order
from .waits import Waits

SLOTS = 3  # what an event waits for within its line of code; the rest are fixes
LINE = 2 * SLOTS  # distance and delay of each slot


FIX = 6  # event, ``Fix``, up to three numbers, edge
NO_EDGE = -1
PACE = -2  # in place of the edge: the wait of an image for the one before it


class Fix(IntEnum):
    """What is done to an event beyond its line of code, in this order."""

    START = 0  # not before a cycle
    WAIT = 1  # for one more event: distance, delay
    GAP = 2  # for the source: distance of its beat before, source, number of the beat in the frame
    READY = 3  # for the sink: sink


def sorted_fixes(parts: Sequence[Array]) -> Array:
    """Return the fixes of all parts, by event and kind."""
    fixes = np.concatenate(parts)
    # The parts are nearly in order, which a stable sort of one key makes use of.
    key = fixes[:, 0] * len(Fix) + fixes[:, 1]
    return np.ascontiguousarray(fixes[np.argsort(key, kind="stable")])


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Straight-line code of a frame.

    Event i of frame f is stored at ``f * events + i``; it waits for what is stored ``distance``
    before it, ``delay`` cycles long. Slot 0 is the event before it of the same thread.

    Attributes:
        graph: The event graph.
        arrays: The same as flat arrays.
        order: Order of the events.
        images: Images of a frame.
        is_repeated: Whether every frame is like the first; else there is only that one.
        surplus: A stream on which more beats move than its type says; None if there is none.
        code: Distance and delay of each slot, ``events x LINE``.
        edges: Edge of each slot but the first, ``events x (SLOTS - 1)``; -1 for a slot not used.
        more: Waits that no slot is left for: event, distance, delay, edge; shape ``(waits, 4)``.
        thread: Thread of each event.
    """

    graph: EventGraph
    arrays: GraphArrays
    order: Order
    images: int
    is_repeated: bool
    surplus: str | None
    code: Events
    edges: Events
    more: Array
    thread: Events

    @property
    def events(self) -> int:
        """Events of a frame."""
        return len(self.thread)

    @cached_property
    def taken(self) -> dict[str, Events]:
        """Per stream, the event that takes each of its beats in a frame."""
        return {
            name: self.places_of(ends.consumer, ends.taken_at)
            for name, ends in self.graph.streams.items()
        }

    @cached_property
    def made(self) -> dict[str, Events]:
        """Per stream, the event that makes each of its beats in a frame; empty for an input."""
        return {
            name: np.zeros(0, np.int32)
            if ends.producer is None
            else self.places_of(ends.producer, ends.made_at)
            for name, ends in self.graph.streams.items()
        }

    @cached_property
    def fixes(self) -> Array:
        """Starts and waits beyond the code, see ``Fix``: shape ``(fixes, FIX)``, ascending."""
        begins = [
            begin for begin, done in zip(self.order.begin, self.order.done, strict=False) if done
        ]
        starts = np.zeros((len(begins), FIX), np.int64)
        starts[:, 0] = self.order.place[begins]
        starts[:, 1] = Fix.START
        threads = [
            thread for thread, done in zip(self.graph.threads, self.order.done, strict=True) if done
        ]
        starts[:, 2] = [thread.lead for thread in threads]
        starts[:, 5] = NO_EDGE
        waits = np.zeros((len(self.more), FIX), np.int64)
        waits[:, 0] = self.more[:, 0]
        waits[:, 1] = Fix.WAIT
        waits[:, 2:4] = self.more[:, 1:3]
        waits[:, 5] = self.more[:, 3]
        return sorted_fixes([starts, waits])

    @cached_property
    def waits(self) -> Waits:
        """What each event waits for, and what waits for it, where sources have no gaps."""
        nothing = np.zeros(0, np.int64)
        return Waits.of(self.code.reshape(-1, LINE), self.fixes, nothing, nothing)

    @cached_property
    def far(self) -> Array:
        """Waits for an event two or more frames ago: event, event, delay, frames, edge."""
        rows = []
        numbers = np.arange(self.events)
        for slot in range(1, SLOTS):
            distance = self.code[2 * slot :: LINE]
            far = np.flatnonzero(distance > numbers + self.events)
            delay, edge = self.code[2 * slot + 1 :: LINE], self.edges[slot - 1 :: SLOTS - 1]
            rows.append(np.column_stack([far, distance[far], delay[far], edge[far]]))
        rows.append(self.more[self.more[:, 1] > self.more[:, 0] + self.events])
        event, distance, delay, edge = np.concatenate(rows).astype(np.int64).T
        frames_ago = -((event - distance) // max(self.events, 1))
        waited_for = event - distance + frames_ago * self.events
        return np.column_stack([event, waited_for, delay, frames_ago, edge])

    def taken_on(self, edge: int) -> Events:
        """Return the events of a frame that take tokens from an edge."""
        found = self.graph.edges[edge]
        return self.places_of(found.target, np.unique(found.taken_at))

    def made_on(self, edge: int) -> Events:
        """Return the event that makes each token on an edge in a frame."""
        found = self.graph.edges[edge]
        return self.places_of(found.source, found.made_at)

    def places_of(self, thread: int, at: Events) -> Events:
        """Return the places of events ``at`` of each program that ``thread`` does in a frame."""
        begin, done = self.order.begin[thread], int(self.order.done[thread])
        place: Events = self.order.place[begin : begin + done]
        length = int(self.arrays.program[thread])
        whole, rest = divmod(done, length)
        numbers = (np.arange(whole)[:, None] * length + at[None, :]).reshape(-1)
        last = whole * length + at[: int(np.searchsorted(at, rest))]
        found: Events = place[np.concatenate([numbers, last])]
        return found


def link(graph: EventGraph, images: int) -> Program:
    """Return the code of a frame of ``graph``: one image if they align and it can be done at all.

    Args:
        graph: Event graph.
        images: Images of the run.
    """
    arrays = GraphArrays.of(graph)
    if graph.is_aligned:
        programs = np.array([thread.programs for thread in graph.threads], np.int64)
        order = find_order(arrays, programs * arrays.program, arrays.tokens)
        if (order.done == programs * arrays.program).all():
            # With the beats of one image, what goes on after it is what goes on after all.
            after = count_events(arrays, run_limits(graph, arrays, 1), arrays.tokens)
            surplus = _surplus(graph, arrays, after, 1)
            return assemble(graph, arrays, order, images=1, is_repeated=True, surplus=surplus)
    order = find_order(arrays, run_limits(graph, arrays, images), arrays.tokens)
    surplus = _surplus(graph, arrays, order.done, images)
    return assemble(graph, arrays, order, images=images, is_repeated=False, surplus=surplus)


def _first_surplus(ends: StreamEnds, arrays: GraphArrays, images: int) -> int:
    """Return the event of its consumer that would take a beat of a stream after the last image."""
    programs, beat = divmod(ends.beats * images, len(ends.taken_at))
    return programs * int(arrays.program[ends.consumer]) + int(ends.taken_at[beat])


def run_limits(graph: EventGraph, arrays: GraphArrays, images: int) -> Array:
    """Return the events of each thread up to the first that takes a beat too many, inclusive."""
    limits = np.full(len(graph.threads), UNLIMITED, np.int64)
    for name, ends in graph.streams.items():
        # A source has no more beats to give.
        limit = _first_surplus(ends, arrays, images) + (name not in graph.inputs)
        limits[ends.consumer] = min(limits[ends.consumer], limit)
    return limits


def _surplus(graph: EventGraph, arrays: GraphArrays, done: Array, images: int) -> str | None:
    """Return the first stream of which too many beats were taken."""
    for name, ends in graph.streams.items():
        if done[ends.consumer] > _first_surplus(ends, arrays, images):
            return name
    return None


def assemble(
    graph: EventGraph,
    arrays: GraphArrays,
    order: Order,
    *,
    images: int,
    is_repeated: bool,
    surplus: str | None = None,
) -> Program:
    """Return the code of the events in ``order``."""
    events = int(order.begin[-1])
    code = np.zeros(events * LINE, np.int32)
    edges = np.full(events * (SLOTS - 1), -1, np.int32)
    thread = np.zeros(events, np.int32)
    gaps = np.concatenate([thread.gaps for thread in graph.threads])
    gap_begin = np.concatenate([[0], np.cumsum(arrays.program)])
    # An event may take from every edge of its thread.
    most = np.maximum(np.diff(arrays.in_begin) - (SLOTS - 1), 0)
    more = np.zeros((int((most * order.done).sum()), 4), np.int64)
    _own(order.begin, order.done, order.place, arrays.program, gap_begin, gaps, code, thread)
    found = _waits(
        order.begin, order.done, order.place, *arrays.arrays(), is_repeated, code, edges, more
    )
    return Program(
        graph=graph,
        arrays=arrays,
        order=order,
        images=images,
        is_repeated=is_repeated,
        surplus=surplus,
        code=code,
        edges=edges,
        more=more[:found][np.argsort(more[:found, 0], kind="stable")],
        thread=thread,
    )


@njit(cache=True)  # pragma: no cover - compiled
def _own(
    begin: Array,
    done: Array,
    place: Events,
    program: Array,
    gap_begin: Array,
    gaps: Events,
    code: Events,
    thread: Events,
) -> None:
    """Let every event wait for the one before it of its thread, in every slot."""
    events = len(thread)
    for k in range(len(done)):
        if done[k] == 0:
            continue
        before = place[begin[k] + done[k] - 1] - events
        within = 0
        for event in range(begin[k], begin[k] + done[k]):
            here = place[event]
            thread[here] = k
            for slot in range(here * LINE, (here + 1) * LINE, 2):
                code[slot] = here - before
                code[slot + 1] = gaps[gap_begin[k] + within]
            before = here
            within = within + 1 if within + 1 < program[k] else 0


@njit(cache=True)  # pragma: no cover - compiled
def _waits(
    begin: Array,
    done: Array,
    place: Events,
    program: Array,
    source: Array,
    target: Array,
    tokens: Array,
    delay: Array,
    made_begin: Array,
    made_at: Events,
    taken_begin: Array,
    taken_at: Events,
    count_begin: Array,
    made_before: Events,
    in_begin: Array,
    in_edges: Array,
    out_begin: Array,
    out_edges: Array,
    is_repeated: bool,
    code: Events,
    edges: Events,
    more: Array,
) -> int:
    """Fill the slots with what events wait for on edges; return how many found no slot."""
    events = len(code) // LINE
    used = np.zeros(events, np.int8)
    found = 0
    for e in range(len(source)):
        maker, taker = source[e], target[e]
        made = made_begin[e + 1] - made_begin[e]
        taken = taken_begin[e + 1] - taken_begin[e]
        if made == 0:
            continue
        made_in_frame = done[maker] // program[maker] * made
        # The token that the next event takes last: which frame made it, and where.
        token = -tokens[e]
        frames_ago = 0
        if is_repeated:
            frames_ago = (tokens[e] + made_in_frame - 1) // made_in_frame
            token += frames_ago * made_in_frame
        made_earlier = token // made * program[maker]
        made_number = token % made
        first = 0  # event of the program of the target
        while first < done[taker]:
            for x in range(taken):
                event = first + taken_at[taken_begin[e] + x]
                if event >= done[taker]:
                    break
                is_last = x + 1 == taken or taken_at[taken_begin[e] + x + 1] != event - first
                if is_last and token >= 0:
                    here = place[begin[taker] + event]
                    at = made_earlier + made_at[made_begin[e] + made_number]
                    distance = here - place[begin[maker] + at] + frames_ago * events
                    slot = used[here]
                    if slot < SLOTS - 1:
                        used[here] = slot + 1
                        code[here * LINE + 2 * slot + 2] = distance
                        code[here * LINE + 2 * slot + 3] = delay[e]
                        edges[here * (SLOTS - 1) + slot] = e
                    else:
                        more[found, 0] = here
                        more[found, 1] = distance
                        more[found, 2] = delay[e]
                        more[found, 3] = e
                        found += 1
                token += 1
                made_number += 1
                if made_number == made:
                    made_number = 0
                    made_earlier += program[maker]
                if is_repeated and token == made_in_frame:
                    token = 0
                    made_number = 0
                    made_earlier = 0
                    frames_ago -= 1
            first += program[taker]
    return found
