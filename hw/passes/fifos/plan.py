"""Straight-line code of an image whose waits follow the FIFOs, and what holds its events up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numba import njit

from ...errors import SimulationError
from ...sim.evaluate import MAX_PERIOD, NEVER, evaluate
from ...sim.event_graph import EventGraph, Events
from ...sim.order import Array, GraphArrays, Order
from ...sim.program import LINE, SLOTS, Fix, assemble
from .slots import UNBOUNDED, Fifos, Slot, Verdict

_FIRST_FRAMES = 3
_MAX_FRAMES = 200
_PACE = -2  # the edge of a wait for the source


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waits:
    """The waits of a frame on one edge that depends on a FIFO.

    Attributes:
        line: Where distance and delay of each wait are in the code; -1 if they are a fix.
        fix: The fix that each wait is; -1 if it is in the code.
        taken: Event of each wait.
        made: Event that makes each token of a frame.
    """

    line: Events
    fix: Events
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
        self._code = program.code
        starts = program.fixes[program.fixes[:, 1] == Fix.START]
        rows = [np.column_stack([starts, np.full(len(starts), -1)])]
        for name in graph.inputs:
            # The first beat of an image, after the first beat of the image before.
            first = int(program.taken[name][0])
            rows.append(np.array([[first, Fix.WAIT, program.events, 0, 0, _PACE]]))
        more = np.zeros((len(program.more), 6), np.int64)
        more[:, 0] = program.more[:, 0]
        more[:, 1] = Fix.WAIT
        more[:, 2:4] = program.more[:, 1:3]
        more[:, 5] = program.more[:, 3]
        fixes = np.concatenate([*rows, more])
        fixes = fixes[np.lexsort((fixes[:, 1], fixes[:, 0]))]
        self._fixes = np.ascontiguousarray(fixes[:, :5])
        self._fix_edges = np.ascontiguousarray(fixes[:, 5])
        self._waits = self._find_waits(arrays)
        self._rank = np.ones(len(arrays.source), np.int64)
        self._slot_of_edge = np.full(len(arrays.source), -1, np.int64)
        for index, slot in enumerate(slots):
            for edge in (slot.beats, slot.places, slot.again):
                self._slot_of_edge[edge] = index
            self._rank[[slot.places, slot.again]] = 2
        self._fifos: Fifos | None = None
        self._cycles = np.full(1 + _FIRST_FRAMES * program.events, NEVER, np.int64)

    def _find_waits(self, arrays: GraphArrays) -> dict[int, _Waits]:
        """Return the waits on each edge that a FIFO changes."""
        program = self._program
        asked = {
            edge
            for slot in self._slots
            for edge in (slot.beats, slot.places, slot.again, slot.producer)
            if edge is not None
        }
        is_asked = np.zeros(len(arrays.source) + 1, np.bool_)
        is_asked[list(asked)] = True
        at = np.flatnonzero(is_asked[program.edges])
        edges = program.edges[at]
        by_edge = np.argsort(edges, kind="stable")
        at, edges = at[by_edge], edges[by_edge]
        waits = {}
        for edge in asked:
            begin, end = np.searchsorted(edges, [edge, edge + 1])
            events, slot = np.divmod(at[begin:end], SLOTS - 1)
            lines = events * LINE + 2 * slot + 2
            rows = np.flatnonzero((self._fix_edges == edge) & (self._fixes[:, 1] == Fix.WAIT))
            every = np.concatenate([events, self._fixes[rows, 0]])
            order = np.argsort(every, kind="stable")
            nowhere = np.full(len(rows), -1)
            made = program.places_of(int(arrays.source[edge]), program.graph.edges[edge].made_at)
            waits[edge] = _Waits(
                line=np.concatenate([lines, nowhere])[order].astype(np.int32),
                fix=np.concatenate([np.full(len(lines), -1), rows])[order].astype(np.int32),
                taken=every[order].astype(np.int32),
                made=made,
            )
        return waits

    def set_fifos(self, fifos: Fifos) -> bool:
        """Set the waits for ``fifos`` and return whether the order allows them."""
        before = self._fifos
        self._fifos = None
        for index, slot in enumerate(self._slots):
            depth, latency = fifos.depths[index], fifos.latencies[index]
            if before is not None and (depth, latency) == (
                before.depths[index],
                before.latencies[index],
            ):
                continue
            has_fifo = depth != 0 or latency != 0
            self._set(slot.beats, 0, slot.latency + latency)
            places = UNBOUNDED if depth == UNBOUNDED else slot.capacity + depth
            is_valid = self._set(slot.places, places, 2 if has_fifo else 1)
            self._set(slot.again, depth if 0 < depth <= latency else UNBOUNDED, latency + 1)
            if slot.producer is not None:
                tokens = slot.capacity if has_fifo else UNBOUNDED
                self._set(slot.producer, tokens, slot.latency + 1)
            if not is_valid:
                return False
        self._fifos = fifos
        return True

    def _set(self, edge: int, tokens: int, delay: int) -> bool:
        waits = self._waits[edge]
        return bool(
            _set_waits(
                self._code, self._fixes, waits.line, waits.fix, waits.taken, waits.made,
                self._program.events, tokens, delay,
            )
        )  # fmt: skip

    def verdict(self, interval: int) -> Verdict:
        """Return whether the FIFOs that are set keep ``interval``."""
        program, events = self._program, self._program.events
        for row in np.flatnonzero(self._fix_edges == _PACE):
            self._fixes[row, 3] = interval
        far = self._far()
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

    def _far(self) -> Array:
        """Return the waits for events two or more frames ago, see ``Program.far``."""
        rows = [np.zeros((0, 4), np.int64)]
        for waits in self._waits.values():
            rows.append(
                _far_waits(self._code, self._fixes, waits.line, waits.fix, waits.taken,
                           self._program.events)
            )  # fmt: skip
        return np.concatenate(rows)

    def _cycle(self, frames: int) -> Verdict | None:
        """Return the cycle of waits that the latest event closes, if there is one."""
        program = self._program
        path = np.zeros(frames * program.events, np.int64)
        seen = np.full(program.events, -1, np.int64)
        steps, cycles, images = _follow(
            self._cycles, frames, program.code, program.edges, self._fixes, self._fix_edges,
            self._rank, seen, path,
        )  # fmt: skip
        if images == 0:
            return None
        full: set[int] = set()
        late: set[int] = set()
        assert self._fifos is not None
        for edge in np.unique(path[:steps]):
            slot = int(self._slot_of_edge[edge]) if edge >= 0 else -1
            if slot < 0:
                continue
            if edge != self._slots[slot].beats:
                full.add(slot)
            if edge != self._slots[slot].places and self._fifos.latencies[slot]:
                late.add(slot)
        return Verdict(
            is_kept=False,
            interval=Fraction(int(cycles), int(images)),
            full=frozenset(full),
            late=frozenset(late),
        )


@njit(cache=True)  # pragma: no cover - compiled
def _set_waits(
    code: Events,
    fixes: Array,
    line: Events,
    fix: Events,
    taken: Events,
    made: Events,
    events: int,
    tokens: int,
    delay: int,
) -> bool:
    """Let each event wait for the token ``tokens`` before its own; not at all if negative.

    Returns:
        Whether none waits for an event that comes later in the order.
    """
    beats = len(made)
    frames_ago = 0
    number = 0
    if tokens > 0:
        frames_ago = (tokens + beats - 1) // beats
        number = frames_ago * beats - tokens
    is_valid = True
    for beat in range(len(taken)):
        here = taken[beat]
        if tokens < 0:
            distance = code[here * LINE]
            wait = code[here * LINE + 1]
        else:
            distance = here - made[number] + frames_ago * events
            wait = delay
            is_valid = is_valid and distance > 0
        if line[beat] >= 0:
            code[line[beat]] = distance
            code[line[beat] + 1] = wait
        else:
            fixes[fix[beat], 2] = distance
            fixes[fix[beat], 3] = wait
        number += 1
        if number == beats:
            number = 0
            frames_ago -= 1
    return is_valid


@njit(cache=True)  # pragma: no cover - compiled
def _far_waits(
    code: Events, fixes: Array, line: Events, fix: Events, taken: Events, events: int
) -> Array:
    """Return the waits for events two or more frames ago: event, event, delay, frames."""
    found = np.zeros((len(taken), 4), np.int64)
    count = 0
    for beat in range(len(taken)):
        if line[beat] >= 0:
            distance, delay = np.int64(code[line[beat]]), np.int64(code[line[beat] + 1])
        else:
            distance, delay = fixes[fix[beat], 2], fixes[fix[beat], 3]
        before = taken[beat] - distance
        if before < -events:
            frames_ago = -(before // events)
            found[count, 0] = taken[beat]
            found[count, 1] = before + frames_ago * events
            found[count, 2] = delay
            found[count, 3] = frames_ago
            count += 1
    return found[:count]


@njit(cache=True)  # pragma: no cover - compiled
def _follow(
    cycles: Array,
    frames: int,
    code: Events,
    edges: Events,
    fixes: Array,
    fix_edges: Array,
    rank: Array,
    seen: Array,
    path: Array,
) -> tuple[int, int, int]:
    """Follow what the latest event of the last frame waited for until an event comes again.

    Of several waits that ended in the same cycle, the one of least rank is followed: that of the
    thread itself, then others, then those that FIFOs bound, the source last.

    Args:
        cycles: Of every event, see ``evaluate``.
        frames: Frames in it, at least 2.
        code: See ``Program``.
        edges: See ``Program``.
        fixes: See ``evaluate``.
        fix_edges: Edge of each fix.
        rank: Per edge.
        seen: -1 for every event of a frame; scratch.
        path: Receives the edges of the cycle, -1 where a thread waited for itself.

    Returns:
        Edges in ``path``, and the cycles and images that the cycle takes; no images if the first
        frame was reached before an event came again.
    """
    events = len(seen)
    base = (frames - 1) * events
    latest, at = -(1 << 62), base
    for event in range(events):
        delay = int(cycles[1 + base + event] - cycles[1 + base - events + event])
        if delay > latest:
            latest, at = delay, base + event
    first = -1
    end = at
    steps = 0
    while True:
        event = at % events
        if first < 0:
            if seen[event] >= 0:
                # Once more around, this time with the edges.
                first = at
                end = int(seen[event])
                at = end
            seen[event] = at
        elif at == first:
            return steps, int(cycles[1 + end] - cycles[1 + at]), (end - at) // events
        now = cycles[1 + at]
        line = event * LINE
        best, chosen, before = 9, -1, -1
        if at >= code[line] and cycles[1 + at - code[line]] + code[line + 1] == now:
            best, before = 0, at - int(code[line])
        for slot in range(SLOTS - 1):
            if best == 0:
                break
            edge = int(edges[event * (SLOTS - 1) + slot])
            distance, delay = int(code[line + 2 * slot + 2]), int(code[line + 2 * slot + 3])
            if edge < 0 or at < distance or cycles[1 + at - distance] + delay != now:
                continue
            if rank[edge] < best:
                best, chosen, before = int(rank[edge]), edge, at - distance
        fix = np.searchsorted(fixes[:, 0], event)
        while best > 0 and fix < len(fixes) and fixes[fix, 0] == event:
            distance, delay, edge = int(fixes[fix, 2]), int(fixes[fix, 3]), int(fix_edges[fix])
            if fixes[fix, 1] == 1 and at >= distance and cycles[1 + at - distance] + delay == now:
                order = int(rank[edge]) if edge >= 0 else 3
                if order < best:
                    best, chosen, before = order, edge, at - distance
            fix += 1
        if before < 0:
            return 0, 0, 0
        if first >= 0:
            path[steps] = chosen
            steps += 1
        at = before
