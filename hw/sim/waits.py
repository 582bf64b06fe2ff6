"""What each event of a frame waits for, and what waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from .event_graph import Events
from .order import Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Waits:
    """The waits of straight-line code, in both directions.

    Attributes:
        begin: Where the waits of each event begin, and the total.
        other: Event waited for, per wait.
        frames_ago: Frames before that of the event that waits, per wait.
        delay: Cycles, per wait.
        next_begin: Where those that wait for each event begin, and the total.
        next_event: Events by the one that they wait for.
        next_frames: Frames after that of the one waited for.
    """

    begin: Events
    other: Events
    frames_ago: Events
    delay: Events
    next_begin: Events
    next_event: Events
    next_frames: Events

    @classmethod
    def of(cls, code: Events, fixes: Array, gap_begin: Array, gaps: Array) -> Self:
        """Return the waits of some code.

        Args:
            code: See ``Program``, ``(events, LINE)``.
            fixes: See ``Program.fixes``. Starts and calendars of sinks are no waits.
            gap_begin: Where the gaps of each source begin in ``gaps``, and the total.
            gaps: Idle cycles before a beat; they must repeat with the frames.
        """
        begin, other, frames_ago, delay = _waits(code, fixes, gap_begin, gaps)
        next_begin, next_event, next_frames = _reversed(begin, other, frames_ago)
        return cls(
            begin=begin,
            other=other,
            frames_ago=frames_ago,
            delay=delay,
            next_begin=next_begin,
            next_event=next_event,
            next_frames=next_frames,
        )

    def arrays(self) -> tuple[Events, ...]:
        """Return all fields in order."""
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)


@njit(cache=True)  # pragma: no cover - compiled
def _waits(
    code: Events, fixes: Array, gap_begin: Array, gaps: Array
) -> tuple[Events, Events, Events, Events]:
    events, length = code.shape
    begin = np.zeros(events + 1, np.int32)
    most = events * length // 2 + len(fixes)
    other, ago = np.empty(most, np.int32), np.empty(most, np.int32)
    delays = np.empty(most, np.int32)
    found = fix = 0
    for event in range(events):
        begin[event] = found
        for slot in range(0, length, 2):
            distance, delay = code[event, slot], code[event, slot + 1]
            # A slot that is not used is like the first one.
            if slot == 0 or distance != code[event, 0] or delay != code[event, 1]:
                _add(events, event, distance, delay, found, other, ago, delays)
                found += 1
        while fix < len(fixes) and fixes[fix, 0] == event:
            kind, distance, delay = fixes[fix, 1], fixes[fix, 2], fixes[fix, 3]
            if kind == 2:
                source, number = fixes[fix, 3], fixes[fix, 4]
                pattern = gap_begin[source + 1] - gap_begin[source]
                delay = gaps[gap_begin[source] + number % pattern] + 1
            if kind in (1, 2):
                _add(events, event, distance, delay, found, other, ago, delays)
                found += 1
            fix += 1
    begin[events] = found
    return begin, other[:found].copy(), ago[:found].copy(), delays[:found].copy()


@njit(cache=True)  # pragma: no cover - compiled
def _add(
    events: int,
    event: int,
    distance: int,
    delay: int,
    place: int,
    other: Events,
    ago: Events,
    delays: Events,
) -> None:
    frames = (distance - event + events - 1) // events
    ago[place], other[place], delays[place] = frames, event - distance + frames * events, delay


@njit(cache=True)  # pragma: no cover - compiled
def _reversed(begin: Events, other: Events, ago: Events) -> tuple[Events, Events, Events]:
    events = len(begin) - 1
    next_begin = np.zeros(events + 1, np.int32)
    for wait in range(len(other)):
        next_begin[other[wait] + 1] += 1
    for event in range(events):
        next_begin[event + 1] += next_begin[event]
    place = next_begin.copy()
    next_event, next_frames = np.empty(len(other), np.int32), np.empty(len(other), np.int32)
    for event in range(events):
        for wait in range(begin[event], begin[event + 1]):
            at = place[other[wait]]
            place[other[wait]] += 1
            next_event[at], next_frames[at] = event, ago[wait]
    return next_begin, next_event, next_frames
