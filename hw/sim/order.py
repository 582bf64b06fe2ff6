"""An order in which the events of an image can be evaluated: a static schedule of the event graph.

Whether an event can fire at all depends on counts of tokens alone, never on cycles [1]_. So the
order is found once, without any time: of the threads that have their tokens the one farthest behind
goes on, so that little is stored and the order also serves other depths of FIFOs. After an image
every edge holds as many tokens as before it, so that the same order serves every image. Where
threads and images do not align, the whole run is one frame.

References:
    .. [1] Lee, Messerschmitt, "Static Scheduling of Synchronous Data Flow Programs for Digital
       Signal Processing", IEEE Trans. Computers 36(1), 1987.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .event_graph import EventGraph, Events

Array = NDArray[np.int64]
UNLIMITED = 1 << 62


@dataclass(frozen=True, kw_only=True, eq=False)
class GraphArrays:
    """An event graph as flat arrays, the form that compiled code reads.

    Attributes:
        program: Events of a program, per thread.
        source: Thread that makes the tokens, per edge.
        target: Thread that takes them, per edge.
        tokens: Tokens at reset, per edge.
        delay: Cycles, per edge.
        made_begin: Where the tokens of an edge begin in ``made_at``, and the total.
        made_at: Event of each token of a program of the source.
        taken_begin: Where the tokens of an edge begin in ``taken_at``, and the total.
        taken_at: Event of each token of a program of the target.
        count_begin: Where the counts of an edge begin in ``made_before``.
        made_before: Tokens made before each event of a program of the source, and by all.
        in_begin: Where the edges that a thread takes from begin in ``in_edges``, and the total.
        in_edges: Edges by target.
        out_begin: Where the edges that a thread makes for begin in ``out_edges``, and the total.
        out_edges: Edges by source.
    """

    program: Array
    source: Array
    target: Array
    tokens: Array
    delay: Array
    made_begin: Array
    made_at: Events
    taken_begin: Array
    taken_at: Events
    count_begin: Array
    made_before: Events
    in_begin: Array
    in_edges: Array
    out_begin: Array
    out_edges: Array

    @classmethod
    def of(cls, graph: EventGraph) -> Self:
        """Return the arrays of ``graph``."""
        edges = graph.edges
        program = [len(thread.gaps) for thread in graph.threads]
        counts = [
            np.searchsorted(edge.made_at, np.arange(program[edge.source] + 1)) for edge in edges
        ]
        source = np.array([edge.source for edge in edges], np.int64)
        target = np.array([edge.target for edge in edges], np.int64)
        threads = np.arange(len(program) + 1)
        by_target, by_source = np.argsort(target, kind="stable"), np.argsort(source, kind="stable")
        return cls(
            program=np.array(program, np.int64),
            source=source,
            target=target,
            tokens=np.array([edge.tokens for edge in edges], np.int64),
            delay=np.array([edge.delay for edge in edges], np.int64),
            made_begin=_begins([len(edge.made_at) for edge in edges]),
            made_at=_joined([edge.made_at for edge in edges]),
            taken_begin=_begins([len(edge.taken_at) for edge in edges]),
            taken_at=_joined([edge.taken_at for edge in edges]),
            count_begin=_begins([len(count) for count in counts]),
            made_before=_joined(counts),
            in_begin=np.searchsorted(target[by_target], threads),
            in_edges=by_target,
            out_begin=np.searchsorted(source[by_source], threads),
            out_edges=by_source,
        )

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """Return all fields in order."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)


def _begins(lengths: Sequence[int]) -> Array:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _joined(arrays: Sequence[NDArray[np.integer[Any]]]) -> Events:
    return np.concatenate([*arrays, np.zeros(0, np.int32)]).astype(np.int32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """Which events of a frame can fire, and a place for each so that nothing waits for a later one.

    Attributes:
        done: Events that each thread can do.
        waits_for: Per thread, the edge that lacks a token; -1 for a thread that has done all.
        begin: Where the events of each thread begin in ``place``, and the total.
        place: Place of each event in the order.
    """

    done: Array
    waits_for: Array
    begin: Array
    place: Events


def find_order(graph: GraphArrays, limits: Array, tokens: Array) -> Order:
    """Return an order of as many events as can fire, at most ``limits`` of each thread.

    Args:
        graph: The event graph.
        limits: Per thread, ``UNLIMITED`` for as many as there are tokens for.
        tokens: Per edge, tokens at reset.
    """
    waits_for = None
    if (limits == UNLIMITED).any():
        limits, waits_for = _count(graph, limits, tokens)
    begin = _begins(list(limits))
    place = np.full(int(begin[-1]), -1, np.int32)
    done, waiting = _run(*graph.arrays(), limits, tokens, begin, place)
    return Order(
        done=done,
        waits_for=waiting if waits_for is None else waits_for,
        begin=begin,
        place=place,
    )


def count_events(graph: GraphArrays, limits: Array, tokens: Array) -> Array:
    """Return how many events of each thread can fire; see ``find_order``."""
    return _count(graph, limits, tokens)[0]


def _count(graph: GraphArrays, limits: Array, tokens: Array) -> tuple[Array, Array]:
    nowhere = np.zeros(0, np.int32)
    done, waits_for = _run(
        *graph.arrays(), limits, tokens, np.zeros(len(limits), np.int64), nowhere
    )
    return done, waits_for


@njit(cache=True)  # pragma: no cover - compiled
def _run(
    program: Array,
    source: Array,
    target: Array,
    at_reset: Array,
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
    limits: Array,
    tokens: Array,
    begin: Array,
    place: Events,
) -> tuple[Array, Array]:
    threads, edges = len(program), len(source)
    done = np.zeros(threads, np.int64)
    within = np.zeros(threads, np.int64)  # of the program
    waits_for = np.full(threads, -1, np.int64)
    # Of each edge: the target's first event that lacks a token, as the events of earlier programs
    # and the token's number in this one.
    earlier = np.zeros(edges, np.int64)
    number = np.zeros(edges, np.int64)
    lacking = np.zeros(edges, np.int64)
    for e in range(edges):
        taken = taken_begin[e + 1] - taken_begin[e]
        earlier[e] = tokens[e] // taken * program[target[e]]
        number[e] = tokens[e] % taken
        lacking[e] = earlier[e] + taken_at[taken_begin[e] + number[e]]
    can_run = np.ones(threads, np.bool_)
    places = 0
    thread = threads - 1
    while thread >= 0:
        if not can_run[thread]:
            thread -= 1
            continue
        can_run[thread] = False
        stop = limits[thread]
        waits_for[thread] = -1
        for x in range(in_begin[thread], in_begin[thread + 1]):
            e = in_edges[x]
            if lacking[e] < stop:
                stop = lacking[e]
                waits_for[thread] = e
        first = done[thread]
        if stop <= first:
            thread -= 1
            continue
        # Not further than to the first token that a thread behind it waits for.
        before = within[thread]
        for x in range(out_begin[thread], out_begin[thread + 1]):
            e = out_edges[x]
            other = target[e]
            is_made = made_begin[e + 1] > made_begin[e]
            if other <= thread or waits_for[other] != e or not is_made:
                continue
            made = made_before[count_begin[e] + before]
            next_made = first - before
            if made == made_begin[e + 1] - made_begin[e]:
                made = 0
                next_made += program[thread]
            next_made += made_at[made_begin[e] + made]
            if next_made + 1 < stop:
                stop = next_made + 1
                waits_for[thread] = -1
                can_run[thread] = True
        if len(place):
            for event in range(begin[thread] + first, begin[thread] + stop):
                place[event] = places
                places += 1
        done[thread] = stop
        after = before + stop - first
        programs = 0
        if after >= program[thread]:
            programs = after // program[thread]
            after -= programs * program[thread]
        within[thread] = after
        here = thread
        for x in range(out_begin[here], out_begin[here + 1]):
            e = out_edges[x]
            counts = count_begin[e]
            made = programs * (made_begin[e + 1] - made_begin[e])
            made += made_before[counts + after] - made_before[counts + before]
            if made == 0:
                continue
            taken = taken_begin[e + 1] - taken_begin[e]
            other = target[e]
            number[e] += made
            if number[e] >= taken:
                whole = number[e] // taken
                number[e] -= whole * taken
                earlier[e] += whole * program[other]
            lacking[e] = earlier[e] + taken_at[taken_begin[e] + number[e]]
            if waits_for[other] == e:
                can_run[other] = True
                thread = max(thread, other)
    return done, waits_for
