"""Evaluates straight-line code of events frame by frame, until the frames repeat."""

from __future__ import annotations

import numpy as np
from numba import njit

from .event_graph import Events
from .order import Array
from .program import LINE

NEVER = -(1 << 60)  # the cycle of what happened before the first frame
MAX_PERIOD = 8  # images after which a steady state may repeat


@njit(cache=True)  # pragma: no cover - compiled
def evaluate(
    cycles: Array,
    consecutive: int,
    first: int,
    stop: int,
    code: Events,
    fixes: Array,
    gap_begin: Array,
    gaps: Array,
    gap_beats: Array,
    ready_begin: Array,
    ready_wait: Array,
    far: Array,
    reach: int,
    streaks: Array,
    shifts: Array,
    drifts: Array,
) -> tuple[int, int, int]:
    """Evaluate frames ``first`` to ``stop - 1``, or until it is known how those after them differ.

    Frames repeat with period p when each is a constant later than the one p before it, for as many
    frames as an event can look back: then all that follow are as well, by induction.

    While a buffer fills, what is before it runs at another rate than what is behind: each event is
    a constant of its own later than in the frame before. What follows then is found by ``follow``.

    Args:
        cycles: Entry 0 is ``NEVER``, frame f begins at ``1 + f * events``.
        consecutive: Frame from which on there is none left out.
        first: First frame to evaluate.
        stop: Frame after the last one.
        code: See ``Program``.
        fixes: See ``Program.fixes``.
        gap_begin: Where the gaps of each source begin in ``gaps``, and the total.
        gaps: Idle cycles before a beat.
        gap_beats: Beats of a frame, per source.
        ready_begin: Where the calendar of each sink begins in ``ready_wait``, and the total.
        ready_wait: Cycles until the sink takes a beat again.
        far: Waits for events two or more frames ago, see ``Program.far``.
        reach: Frames that an event looks back, at least 1.
        streaks: Per period, frames so far that repeat; first, frames that drift as the one before
            them. Kept between calls.
        shifts: Per period, by how many cycles; kept between calls.
        drifts: Receives, per event, how much later it is than in the frame before; empty to look
            for periods alone.

    Returns:
        The frame after the last one evaluated; the period, 0 if none was found; for how many frames
        all ``drifts`` have been as in the frame before, 0 if that is not known for long enough.
    """
    events = len(code) // LINE
    fixed = len(fixes)
    for frame in range(first, stop):
        base = 1 + frame * events
        done = 0
        fix = 0
        while done < events:
            until = fixes[fix, 0] + 1 if fix < fixed else events
            for event in range(done, until):
                here = base + event
                line = event * LINE
                t0 = cycles[np.uint64(max(here - code[line], 0))] + code[line + 1]
                t1 = cycles[np.uint64(max(here - code[line + 2], 0))] + code[line + 3]
                t2 = cycles[np.uint64(max(here - code[line + 4], 0))] + code[line + 5]
                cycles[np.uint64(here)] = max(t0, t1, t2)
            done = until
            while fix < fixed and fixes[fix, 0] < done:
                here = base + fixes[fix, 0]
                kind = fixes[fix, 1]
                if kind == 0:
                    cycles[here] = max(cycles[here], fixes[fix, 2])
                elif kind == 1:
                    before = max(here - fixes[fix, 2], 0)
                    cycles[here] = max(cycles[here], cycles[before] + fixes[fix, 3])
                elif kind == 2:
                    source, number = fixes[fix, 3], fixes[fix, 4]
                    beat = frame * gap_beats[source] + number
                    length = gap_begin[source + 1] - gap_begin[source]
                    offered = gaps[gap_begin[source] + beat % length]
                    if beat > 0:
                        offered += cycles[here - fixes[fix, 2]] + 1
                    cycles[here] = max(cycles[here], offered)
                else:
                    sink = fixes[fix, 2]
                    length = ready_begin[sink + 1] - ready_begin[sink]
                    cycles[here] += ready_wait[ready_begin[sink] + cycles[here] % length]
                fix += 1
        for period in range(1, min(MAX_PERIOD, frame - consecutive) + 1):
            earlier = base - period * events
            shift = cycles[base] - cycles[earlier]
            is_same = True
            for event in range(events):
                if cycles[base + event] - cycles[earlier + event] != shift:
                    is_same = False
                    break
            for source in range(len(gap_beats)):
                length = gap_begin[source + 1] - gap_begin[source]
                is_same = is_same and period * gap_beats[source] % length == 0
            for sink in range(len(ready_begin) - 1):
                is_same = is_same and shift % (ready_begin[sink + 1] - ready_begin[sink]) == 0
            if not is_same:
                streaks[period] = 0
                continue
            streaks[period] = streaks[period] + 1 if shifts[period] == shift else 1
            shifts[period] = shift
            streak = streaks[period]
            if streak >= reach or _is_slack(cycles, base, events, period, streak, far):
                return frame + 1, period, 0
            break
        if len(drifts) and frame > consecutive + 1:
            streaks[0] = streaks[0] + 1 if _drifts_on(cycles, base, drifts) else 0
            # The longer frames drifted alike, the more is known about waits for old ones.
            if streaks[0] > 0 and streaks[0] + 1 >= min(reach, MAX_PERIOD):
                return frame + 1, 0, streaks[0]
    return stop, 0, 0


@njit(cache=True)  # pragma: no cover - compiled
def _is_slack(cycles: Array, base: int, events: int, period: int, streak: int, far: Array) -> bool:
    """Return whether waits for old frames are not felt, or are for frames that repeat already.

    A wait that looks back farther than frames repeat is taken for one for the oldest of these,
    which is never shorter. If it is not felt in a whole period, it never will be.
    """
    for frame in range(period):
        here = base - frame * events
        for wait in range(len(far)):
            before = here - min(far[wait, 3], streak) * events + far[wait, 1]
            is_felt = cycles[here + far[wait, 0]] < cycles[before] + far[wait, 2]
            if is_felt and far[wait, 3] > streak:
                return False
    return True


@njit(cache=True)  # pragma: no cover - compiled
def _drifts_on(cycles: Array, base: int, drifts: Array) -> bool:
    """Find how much later each event is than a frame ago; return whether it was so before."""
    events = len(drifts)
    for event in range(events):
        before = cycles[base - events + event]
        drifts[event] = cycles[base + event] - before
        if drifts[event] != before - cycles[base - 2 * events + event]:
            return False
    return True
