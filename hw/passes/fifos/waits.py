"""Compiled parts of a plan: waits found, set and followed back."""

from __future__ import annotations

import numpy as np
from numba import njit

from ...sim.event_graph import Events
from ...sim.order import Array
from ...sim.program import LINE, SLOTS


@njit(cache=True)  # pragma: no cover - compiled
def find_waits(edges: Events, fixes: Array, number: Array, next_at: Array, at: Array) -> None:
    """Write where the waits on some edges are, edge by edge, in the order of their events.

    Args:
        edges: See ``Program``.
        fixes: See ``Program.fixes``.
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
            one = number[fixes[fix, 5]] if fixes[fix, 5] >= 0 else -1
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
