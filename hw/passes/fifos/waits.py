"""Compiled parts of a plan: waits found, set and followed back."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...sim.event_graph import Events
from ...sim.order import Array
from ...sim.program import LINE, SLOTS

# Edges of fixes that are no waits on edges: no wait at all, and that for the source.
START = -1
PACE = -2


@njit(cache=True)  # pragma: no cover - compiled
def find_waits(
    edges: Events, fixes: Array, fix_edges: Array, number: Array, next_at: Array, at: Array
) -> None:
    """Write where the waits on some edges are, edge by edge, in the order of their events.

    Args:
        edges: See ``Program``.
        fixes: See ``evaluate``.
        fix_edges: Edge of each fix.
        number: Per edge, its number among those that are looked for, or -1; one entry more.
        next_at: Per number, where in ``at`` its waits begin; changed.
        at: Receives the place in the code, or the fix: -1 for the first.
    """
    fix = 0
    for event in range(len(edges) // (SLOTS - 1)):
        for slot in range(SLOTS - 1):
            one = number[edges[event * (SLOTS - 1) + slot]]
            if one >= 0:
                at[next_at[one]] = event * LINE + 2 * slot + 2
                next_at[one] += 1
        while fix < len(fixes) and fixes[fix, 0] == event:
            one = number[fix_edges[fix]] if fix_edges[fix] >= 0 else -1
            if one >= 0:
                at[next_at[one]] = -1 - fix
                next_at[one] += 1
            fix += 1


@njit(cache=True)  # pragma: no cover - compiled
def set_waits(
    code: Events,
    fixes: Array,
    at: Array,
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
        distance = code[here * LINE]
        wait = 0  # for the event before it of the same thread: no wait
        if tokens >= 0:
            distance = here - made[number] + frames_ago * events
            wait = delay
            is_valid = is_valid and distance > 0
        if at[beat] >= 0:
            code[at[beat]] = distance
            code[at[beat] + 1] = wait
        else:
            fixes[-1 - at[beat], 2] = distance
            fixes[-1 - at[beat], 3] = wait
        number += 1
        if number == beats:
            number = 0
            frames_ago -= 1
    return is_valid


@njit(cache=True)  # pragma: no cover - compiled
def free_own_waits(code: Events, taken: Events, own_edge: Events) -> None:
    """Let events wait a cycle for the one before of their thread where ``set_own_waits`` did."""
    for beat in range(len(taken)):
        if own_edge[taken[beat]] >= 0:
            own_edge[taken[beat]] = -1
            code[taken[beat] * LINE + 1] = 1


@njit(cache=True)  # pragma: no cover - compiled
def set_own_waits(code: Events, taken: Events, own_edge: Events, edge: int) -> None:
    """Let a beat that follows another one at once come two cycles after it."""
    before = taken[len(taken) - 1]
    for beat in range(len(taken)):
        here = taken[beat]
        own = here - code[here * LINE]
        if own < 0:
            own += len(own_edge)
        if own == before and code[here * LINE + 1] == 1:
            code[here * LINE + 1] = 2
            own_edge[here] = edge
        before = here


@njit(cache=True)  # pragma: no cover - compiled
def far_waits(code: Events, fixes: Array, at: Array, taken: Events) -> Array:
    """Return the waits for events two or more frames ago: event, event, delay, frames."""
    events = len(code) // LINE
    found = np.zeros((len(taken), 4), np.int64)
    count = 0
    for beat in range(len(taken)):
        if at[beat] >= 0:
            distance, delay = int(code[at[beat]]), int(code[at[beat] + 1])
        else:
            distance, delay = int(fixes[-1 - at[beat], 2]), int(fixes[-1 - at[beat], 3])
        before = int(taken[beat]) - distance
        if before < -events:
            frames_ago = -(before // events)
            found[count, 0] = taken[beat]
            found[count, 1] = before + frames_ago * events
            found[count, 2] = delay
            found[count, 3] = frames_ago
            count += 1
    return found[:count].copy()


@njit(cache=True)  # pragma: no cover - compiled
def follow(
    cycles: Array,
    frames: int,
    code: Events,
    edges: Events,
    fixes: Array,
    fix_edges: Array,
    own_edge: Events,
    rank: Array,
    used: NDArray[np.bool_],
) -> tuple[int, int]:
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
        own_edge: Per event, the number of the slot that makes it wait for the event before it of
            its thread; -1 if that is the thread's own.
        rank: Per edge or number.
        used: Receives which edges or numbers are on the cycle.

    Returns:
        The cycles and images that the cycle takes; no images if the first frame was reached before
        an event came again.
    """
    events = len(own_edge)
    seen = np.full(events, -1, np.int64)
    base = (frames - 1) * events
    latest, at = -(1 << 62), base
    for event in range(events):
        delay = int(cycles[1 + base + event] - cycles[1 + base - events + event])
        if delay > latest:
            latest, at = delay, base + event
    first = -1
    end = at
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
            return int(cycles[1 + end] - cycles[1 + at]), (end - at) // events
        now = cycles[1 + at]
        line = event * LINE
        best, chosen, before = 9, -1, -1
        if at >= code[line] and cycles[1 + at - code[line]] + code[line + 1] == now:
            chosen = int(own_edge[event])
            best = int(rank[chosen]) if chosen >= 0 else 0
            before = at - int(code[line])
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
            return 0, 0
        if first >= 0 and chosen >= 0:
            used[chosen] = True
        at = before
