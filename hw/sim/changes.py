"""Evaluates only the events that change their rate, while all others go on as before.

While a buffer fills, what is before it runs at another rate than what is behind. Each event then
*drifts*: it is a constant of its own later in every frame, until it has to wait for another event
than before. From a frame in which all events drift on, their cycles are lines over the frames. An
event is evaluated again only in a frame in which

- a line that it waits for would overtake its own, which is known from their slopes, or
- an event that it waits for left its line, as many frames before as it looks back.

If it leaves its own line, a new one begins, and whatever waits for it is due as well. This is
exact: the maximum of lines is convex, so an event stays on its line as long as what held it there
does and nothing has overtaken it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .event_graph import Events
from .order import Array

NEVER_DUE = 1 << 60
BLOCK = 64  # events that are looked through if one of them may be due
FRAME, CYCLE, DRIFT, BEFORE = range(4)  # of a line: where it begins, its slope, the one before it


@njit(cache=True)  # pragma: no cover - compiled
def follow(
    cycles: Array,
    base: int,
    first: int,
    stop: int,
    drifts: Array,
    streak: int,
    begin: Events,
    other: Events,
    frames_ago: Events,
    delay: Events,
    next_begin: Events,
    next_event: Events,
    next_frames: Events,
    newest: Events,
    lines: Array,
    used: int,
    budget: int,
) -> tuple[int, int, Array, int]:
    """Find the lines of all events in the frames after ``first``, up to ``stop - 1``.

    Args:
        cycles: See ``evaluate``.
        base: Where frame ``first`` begins in it, the frames before it as far as any event looks.
        first: Frame from which on lines are known.
        stop: Frame after the last one.
        drifts: Per event, how much later it was in ``first`` than in the frame before.
        streak: Frames up to ``first`` in which all drifts were as in the frame before.
        begin: See ``Waits``.
        other: See ``Waits``.
        frames_ago: See ``Waits``.
        delay: See ``Waits``.
        next_begin: See ``Waits``.
        next_event: See ``Waits``.
        next_frames: See ``Waits``.
        newest: Per event, its newest line; kept between calls.
        lines: Lines so far, see ``FRAME``.
        used: How many these are.
        budget: Evaluations of an event, or looks at a block, after which to stop with a frame.

    Returns:
        The frame up to which lines are known, exclusive; how many frames had an event that was
        evaluated; the lines; how many these are.
    """
    events = len(drifts)
    blocks = (events + BLOCK - 1) // BLOCK
    due = np.empty(events, np.int64)
    block_due = np.full(blocks, NEVER_DUE, np.int64)
    oldest = first - streak - 1
    for event in range(events):
        due[event] = _due(
            cycles, base, first, oldest, drifts, event, first, cycles[base + event], drifts[event],
            begin, other, frames_ago, delay, newest, lines,
        )  # fmt: skip
        block_due[event // BLOCK] = min(block_due[event // BLOCK], due[event])
    frame = first
    work = active = 0
    while work < budget:
        frame = int(block_due.min())
        if frame >= stop:
            return stop, active, lines, used
        active += 1
        work += blocks
        for block in range(blocks):
            if block_due[block] > frame:
                continue
            until = min((block + 1) * BLOCK, events)
            for event in range(block * BLOCK, until):
                if due[event] > frame:
                    continue
                work += 1
                now = np.int64(-NEVER_DUE)
                for wait in range(begin[event], begin[event + 1]):
                    at = frame - frames_ago[wait]
                    if at < oldest:
                        place = base + (at - first) * events + other[wait]
                        came = cycles[max(place, 0)]
                    else:
                        came = _look(
                            cycles, base, first, drifts, other[wait], at, newest, lines
                        )[0]  # fmt: skip
                    now = max(now, came + delay[wait])
                last, drift, _ = _look(
                    cycles, base, first, drifts, event, frame - 1, newest, lines
                )  # fmt: skip
                if now - last != drift:
                    drift = now - last
                    if used == len(lines):
                        grown = np.empty((2 * used, 4), np.int64)
                        grown[:used] = lines
                        lines = grown
                    lines[used, FRAME], lines[used, CYCLE] = frame, now
                    lines[used, DRIFT], lines[used, BEFORE] = drift, newest[event]
                    newest[event] = used
                    used += 1
                    for x in range(next_begin[event], next_begin[event + 1]):
                        taker, then = next_event[x], frame + next_frames[x]
                        due[taker] = min(due[taker], then)
                        block_due[taker // BLOCK] = min(block_due[taker // BLOCK], then)
                due[event] = _due(
                    cycles, base, first, oldest, drifts, event, frame, now, drift,
                    begin, other, frames_ago, delay, newest, lines,
                )  # fmt: skip
            block_due[block] = NEVER_DUE
            for event in range(block * BLOCK, until):
                block_due[block] = min(block_due[block], due[event])
    return frame + 1, active, lines, used


@njit(cache=True)  # pragma: no cover - compiled
def _look(
    cycles: Array,
    base: int,
    first: int,
    drifts: Array,
    event: int,
    frame: int,
    newest: Events,
    lines: Array,
) -> tuple[int, int, int]:
    """Return the cycle of an event in a frame, its slope there, and where the next line begins."""
    ends = NEVER_DUE
    line = newest[event]
    while line >= 0 and lines[line, FRAME] > max(frame, first):
        ends = lines[line, FRAME]
        line = lines[line, BEFORE]
    if line >= 0 and lines[line, FRAME] > first:
        drift = lines[line, DRIFT]
        return lines[line, CYCLE] + (frame - lines[line, FRAME]) * drift, drift, ends
    return cycles[base + event] + (frame - first) * drifts[event], drifts[event], ends


@njit(cache=True)  # pragma: no cover - compiled
def _due(
    cycles: Array,
    base: int,
    first: int,
    oldest: int,
    drifts: Array,
    event: int,
    frame: int,
    now: int,
    drift: int,
    begin: Events,
    other: Events,
    frames_ago: Events,
    delay: Events,
    newest: Events,
    lines: Array,
) -> int:
    """Return the next frame in which an event may leave its line, as far as is known now.

    It stays as long as it waits for an event of the same slope and no steeper one has used up the
    slack to it. A wait that looks back beyond ``oldest`` is taken for one for that frame, which is
    never shorter.
    """
    until = NEVER_DUE
    is_held = False
    for wait in range(begin[event], begin[event + 1]):
        at = max(frame - frames_ago[wait], oldest)
        came, slope, ends = _look(cycles, base, first, drifts, other[wait], at, newest, lines)
        slack = now - came - delay[wait]
        if slack < 0:
            return frame + 1
        if slack == 0 and slope == drift and at == frame - frames_ago[wait]:
            is_held = True
        if slope > drift:
            until = min(until, frame + slack // (slope - drift) + 1)
        if ends < NEVER_DUE:
            until = min(until, ends + frames_ago[wait])
    return int(until) if is_held else frame + 1


@njit(cache=True)  # pragma: no cover - compiled
def line_at(newest: Events, lines: Array, event: int, frame: int, after: int) -> int:
    """Return the line of an event in a frame; -1 if none begins after frame ``after``."""
    line = int(newest[event])
    while line >= 0 and lines[line, FRAME] > frame:
        line = lines[line, BEFORE]
    return line if line >= 0 and lines[line, FRAME] > after else -1
