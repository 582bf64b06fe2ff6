"""Straight-line code of an image whose waits follow the FIFOs, and what holds its events up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...errors import SimulationError
from ...sim.critical import follow
from ...sim.evaluate import MAX_PERIOD, NEVER, evaluate
from ...sim.event_graph import EventGraph, Events
from ...sim.order import Array, GraphArrays, Order
from ...sim.program import FIX, PACE, Fix, Program, assemble, sorted_fixes
from .slots import UNBOUNDED, Fifos, Slot, Verdict
from .waits import far_waits, find_waits, free_own_waits, set_own_waits, set_waits

_FIRST_FRAMES = 3
_MAX_FRAMES = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waits:
    """The waits of a frame on one edge that depends on a FIFO.

    Attributes:
        at: Where each wait is: its place in the code, or, below 0, its fix, -1 for the first.
        taken: Event of each wait.
        made: Event that makes each token of a frame.
    """

    at: Array
    taken: Events
    made: Events


class Plan:
    """Code of a frame whose waits can be set for other FIFOs, as long as its order allows them."""

    def __init__(
        self, graph: EventGraph, arrays: GraphArrays, slots: Sequence[Slot], order: Order
    ) -> None:
        program = assemble(graph, arrays, order, images=1, is_repeated=True)
        self._program = program
        self._slots = slots
        self._fixes = _paced_fixes(program)
        self._paces = np.flatnonzero(self._fixes[:, 5] == PACE)
        edges = len(graph.edges)
        asked = [
            edge
            for slot in slots
            for edge in (slot.beats, slot.places, slot.producer)
            if edge is not None
        ]
        self._waits = self._find_waits(asked)
        is_asked = np.zeros(edges + 1, np.bool_)
        is_asked[asked] = True
        self._fixed_far = program.far[~is_asked[program.far[:, 4]]][:, :4]
        self._far: dict[int, Array] = {}
        # Behind the edges, a number for each slot: the wait of a beat for the one before it.
        self._slot_of = np.full(edges + len(slots), -1, np.int64)
        self._rank = np.ones(edges + len(slots), np.int64)
        for index, slot in enumerate(slots):
            self._slot_of[[slot.beats, slot.places, edges + index]] = index
            self._rank[[slot.places, edges + index]] = 2
        self._own_edge = np.full(program.events, -1, np.int32)
        self._set: list[tuple[int, int] | None] = [None] * len(slots)
        self._is_alone = [False] * len(slots)
        self._cycles = np.empty(1 + _FIRST_FRAMES * program.events, np.int64)
        self._cycles[0] = NEVER

    def _find_waits(self, asked: Sequence[int]) -> dict[int, _Waits]:
        """Return the waits on some edges."""
        program = self._program
        taken = {edge: program.taken_on(edge) for edge in asked}
        number = np.full(len(program.graph.edges) + 1, -1, np.int64)
        number[list(asked)] = np.arange(len(asked))
        sizes = [len(events) for events in taken.values()]
        begin = np.cumsum([0, *sizes]).astype(np.int64)
        at = np.zeros(int(begin[-1]), np.int64)
        find_waits(program.edges, self._fixes, number, begin[:-1].copy(), at)
        return {
            edge: _Waits(at=at[start:end], taken=taken[edge], made=program.made_on(edge))
            for edge, start, end in zip(asked, begin, begin[1:], strict=False)
        }

    def set_fifos(self, fifos: Fifos) -> bool:
        """Set the waits for ``fifos`` and return whether the order allows them."""
        for index, wanted in enumerate(zip(fifos.depths, fifos.latencies, strict=True)):
            if self._set[index] != wanted:
                self._set[index] = None
                if not self._set_slot(index, *wanted):
                    return False
                self._set[index] = wanted
        return True

    def _set_slot(self, index: int, depth: int, latency: int) -> bool:
        slot = self._slots[index]
        places = UNBOUNDED if depth == UNBOUNDED else slot.capacity + depth
        if not self._set_edge(slot.places, places, 2 if depth else 1):
            return False
        self._set_edge(slot.beats, 0, slot.latency + latency)
        if slot.producer is not None:
            tokens = slot.capacity if depth else UNBOUNDED
            self._set_edge(slot.producer, tokens, slot.latency + 1)
        assert depth <= 1 or depth > latency
        self._set_alone(index, is_alone=0 < depth <= latency)
        return True

    def _set_edge(self, edge: int, tokens: int, delay: int) -> bool:
        waits, program = self._waits[edge], self._program
        is_valid = set_waits(
            program.code, self._fixes, waits.at, waits.taken, waits.made, program.events, tokens,
            delay,
        )  # fmt: skip
        self._far[edge] = far_waits(program.code, self._fixes, waits.at, waits.taken)
        return bool(is_valid)

    def _set_alone(self, index: int, *, is_alone: bool) -> None:
        """Let each beat come two cycles after the one before where the FIFO holds only one."""
        edges = self._program.graph.edges
        self._is_alone[index] = is_alone
        beats = self._slots[index].beats
        code, own_edge = self._program.code, self._own_edge
        free_own_waits(code, self._waits[beats].taken, own_edge)
        for other, slot in enumerate(self._slots):
            # The consumer may take from other slots in the same event.
            if self._is_alone[other] and edges[slot.beats].target == edges[beats].target:
                set_own_waits(code, self._waits[slot.beats].taken, own_edge, len(edges) + other)

    def verdict(self, interval: int) -> Verdict:
        """Return whether the FIFOs that are set keep ``interval``."""
        program, events = self._program, self._program.events
        self._fixes[self._paces, 3] = interval
        far = np.concatenate([self._fixed_far, *self._far.values()])
        reach = int(far[:, 3].max(initial=1))
        streaks = np.zeros(MAX_PERIOD + 1, np.int64)
        shifts = np.zeros(MAX_PERIOD + 1, np.int64)
        nothing, always = np.zeros(0, np.int64), np.zeros(1, np.int64)
        done, frames = 0, _FIRST_FRAMES
        while True:
            if len(self._cycles) < 1 + frames * events:
                before, self._cycles = self._cycles, np.empty(1 + frames * events, np.int64)
                self._cycles[: len(before)] = before
            done, period, _ = evaluate(
                self._cycles, 0, done, frames, program.code, self._fixes, always, nothing, nothing,
                always, nothing, far, reach, streaks, shifts, nothing,
            )  # fmt: skip
            if period and shifts[period] == period * interval:
                return Verdict(is_kept=True, interval=Fraction(interval))
            found = self._cycle(done)
            if found is not None and found.interval is not None and found.interval > interval:
                return found
            if frames >= _MAX_FRAMES:
                raise SimulationError(
                    f"{program.graph.name}: undecided after {frames} images; this is a mistake"
                )
            frames = done + 2

    def _cycle(self, frames: int) -> Verdict | None:
        """Return the cycle of waits that the latest event closes, if there is one."""
        program = self._program
        used = np.zeros(len(self._slot_of), np.bool_)
        stepped = np.zeros(program.events, np.bool_)
        cycles, images = follow(
            self._cycles, frames, program.code, program.edges, self._fixes, self._own_edge,
            self._rank, used, stepped,
        )  # fmt: skip
        if images == 0:
            return None
        full: set[int] = set()
        late: set[int] = set()
        for edge in np.flatnonzero(used & (self._slot_of >= 0)):
            index = int(self._slot_of[edge])
            slot, fifo = self._slots[index], self._set[index]
            assert fifo is not None
            if edge != slot.beats:
                full.add(index)
            if edge != slot.places and fifo[1]:
                late.add(index)
        return Verdict(
            is_kept=False,
            interval=Fraction(int(cycles), int(images)),
            full=frozenset(full),
            late=frozenset(late),
        )


def _paced_fixes(program: Program) -> Array:
    """Return the fixes of a program with the waits of images for the ones before."""
    paces = np.zeros((len(program.graph.inputs), FIX), np.int64)
    paces[:, 0] = [program.taken[name][0] for name in program.graph.inputs]
    paces[:, 1] = Fix.WAIT
    paces[:, 2] = program.events
    paces[:, 5] = PACE
    return sorted_fixes([program.fixes, paces])
