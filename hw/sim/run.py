"""Runs straight-line code for some images, and keeps what is needed to know every cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..errors import SimulationError
from .changes import CYCLE, DRIFT, FRAME, follow, line_at
from .evaluate import MAX_PERIOD, NEVER, evaluate
from .event_graph import Events
from .order import Array
from .patterns import Patterns
from .program import FIX, LINE, NO_EDGE, Fix, Program, sorted_fixes
from .trace import Cycles
from .waits import Waits

FIRST_FRAMES = 4
FIRST_EVENTS = 1 << 25  # room for as many from the start: memory that is not written costs nothing
MAX_KEPT_EVENTS = 1 << 27  # 1 GiB
FIRST_LINES = 1 << 12
MAX_KEPT_LINES = 1 << 25  # 1 GiB
FIRST_BUDGET = 16  # frames whose evaluation costs about what is spent before periods are looked for


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """Cycles of the events of a run: of some frames as they were evaluated, and what follows.

    In frames that are not stored, events are on lines over the frames: on the one through the last
    two frames stored before, or on one that begins later, see ``follow``.

    Attributes:
        program: The code.
        frames: Frames of the run.
        numbers: Numbers of the frames that are stored, ascending.
        rows: Cycles of each event in these, ``(stored, events)``.
        newest: Newest line of each event, -1 for none.
        lines: Where lines begin, ``(lines, 4)``, see ``changes.FRAME``.
        evaluated: Frames in which events were evaluated, all or some.
        followed: How many of these only where something changed.
        period: Frames after which the last ones repeat; 0 if lines go on instead.
        shift: Cycles by which each event is later then.
    """

    program: Program
    frames: int
    numbers: Array
    rows: Array
    newest: Events
    lines: Array
    evaluated: int
    followed: int
    period: int
    shift: int

    def at(self, frames: Array, events: Events) -> Cycles:
        """Return the cycles of some events of a frame in some frames, ``(frames, events)``."""
        found = np.empty((len(frames), len(events)), np.int64)
        _cycles_at(*self._stored(), frames, events.astype(np.int64), found)
        return found

    def cycles_of(self, frames: Array, events: NDArray[np.integer[Any]]) -> Cycles:
        """Return the cycle of each event in its frame, both of the same length."""
        found = np.empty(len(frames), np.int64)
        _cycles_of(*self._stored(), frames, events.astype(np.int64), found)
        return found

    def _stored(self) -> tuple[Array, Array, Events, Array, int, int]:
        return self.rows, self.numbers, self.newest, self.lines, self.period, self.shift

    def of(self, events: Events) -> Cycles:
        """Return the cycles of some events of a frame, in every frame one after the other."""
        if not self.frames:
            return np.zeros(0, np.int64)
        return self.at(np.arange(self.frames), events).reshape(-1)


@njit(cache=True)  # pragma: no cover - compiled
def _cycles_at(
    rows: Array,
    numbers: Array,
    newest: Events,
    lines: Array,
    period: int,
    shift: int,
    frames: Array,
    events: Array,
    found: Array,
) -> None:
    for y in range(len(frames)):
        same, row, later = _row(numbers, period, shift, frames[y])
        for x in range(len(events)):
            found[y, x] = later + _cycle(rows, numbers, newest, lines, same, row, events[x])


@njit(cache=True)  # pragma: no cover - compiled
def _cycles_of(
    rows: Array,
    numbers: Array,
    newest: Events,
    lines: Array,
    period: int,
    shift: int,
    frames: Array,
    events: Array,
    found: Array,
) -> None:
    for x in range(len(frames)):
        same, row, later = _row(numbers, period, shift, frames[x])
        found[x] = later + _cycle(rows, numbers, newest, lines, same, row, events[x])


@njit(cache=True)  # pragma: no cover - compiled
def _row(numbers: Array, period: int, shift: int, frame: int) -> tuple[int, int, int]:
    """Return the frame that one is like, the row at or before that, and how much later it is."""
    rounds = 0
    if period > 0 and frame > numbers[-1]:
        rounds = (frame - numbers[-1] + period - 1) // period
    same = frame - rounds * period
    return same, int(np.searchsorted(numbers, same, side="right")) - 1, rounds * shift


@njit(cache=True)  # pragma: no cover - compiled
def _cycle(
    rows: Array, numbers: Array, newest: Events, lines: Array, frame: int, row: int, event: int
) -> int:
    number = numbers[row]
    if number == frame:
        return int(rows[row, event])
    line = line_at(newest, lines, event, frame, number)
    if line >= 0:
        return int(lines[line, CYCLE] + (frame - lines[line, FRAME]) * lines[line, DRIFT])
    drift = rows[row, event] - rows[row - 1, event]
    return int(rows[row, event] + (frame - number) * drift)


def run_frames(program: Program, frames: int, gaps: Patterns, ready: Patterns) -> Run:
    """Return the run of some frames of ``program``.

    Raises:
        SimulationError: The run has more events than can be kept, and no two images are alike.
    """
    events = program.events
    newest, lines = np.full(events, -1, np.int32), np.empty((FIRST_LINES, 4), np.int64)
    cycles = np.full(1, NEVER, np.int64)
    numbers: list[int] = []
    done = consecutive = skipped = room = used = evaluated = followed = 0
    period = shift = 0
    fixes = _fixes(program, gaps, ready)
    ready_waits = _ready_waits(ready)
    beats = np.array([len(program.taken[name]) for name in program.graph.inputs], np.int64)
    far = program.far
    reach = int(far[:, 3].max(initial=1))
    streaks = np.zeros(MAX_PERIOD + 1, np.int64)
    shifts = np.zeros(MAX_PERIOD + 1, np.int64)
    drifts = np.zeros(events if _can_follow(fixes, gaps, beats) else 0, np.int64)
    budget = FIRST_BUDGET * events
    while events and done + skipped < frames:
        if done == room:
            room = min(frames - skipped, max(2 * room, FIRST_EVENTS // events, FIRST_FRAMES))
            cycles = _grown(cycles, room, program)
        before = done
        done, period, streak = evaluate(
            cycles, consecutive, done, room, program.code, fixes, gaps.begin, gaps.values, beats,
            ready.begin, ready_waits, far, reach, streaks, shifts, drifts,
        )  # fmt: skip
        numbers.extend(range(before + skipped, done + skipped))
        evaluated += done - before
        if period:
            shift = int(shifts[period])
            break
        if streak and done + skipped < frames:
            waits = program.waits
            if len(fixes) > len(program.fixes):
                waits = Waits.of(program.code.reshape(-1, LINE), fixes, gaps.begin, gaps.values)
            last = done + skipped - 1
            until, active, lines, used = follow(
                cycles, 1 + (done - 1) * events, last, frames, drifts, streak, *waits.arrays(),
                newest, lines, used, budget,
            )  # fmt: skip
            evaluated, followed = evaluated + active, followed + active
            if used > MAX_KEPT_LINES:
                raise _too_many(program, until)
            if until == frames:
                break
            # The last frames before the next one to evaluate, which it may look back at.
            budget *= 2
            kept = np.arange(max(until - reach, last + 1), until)
            room = max(room, done + len(kept))
            cycles = _grown(cycles, room, program)
            rows = cycles[1:].reshape(-1, events)
            _cycles_at(
                rows[:done], np.array(numbers), newest, lines, 0, 0, kept, np.arange(events),
                rows[done : done + len(kept)],
            )  # fmt: skip
            numbers.extend(kept.tolist())
            if len(kept) < until - last - 1:
                consecutive = done
            done += len(kept)
            skipped = until - done
            streaks[:] = 0
    return Run(
        program=program,
        frames=frames if events else 0,
        numbers=np.array(numbers, np.int64),
        rows=cycles[1 : 1 + done * events].reshape(done, events),
        newest=newest,
        lines=lines[:used],
        evaluated=evaluated,
        followed=followed,
        period=period,
        shift=shift,
    )


def _grown(cycles: Array, frames: int, program: Program) -> Array:
    """Return ``cycles`` with room for ``frames`` frames.

    Raises:
        SimulationError: That is too much.
    """
    size = 1 + frames * program.events
    if size <= len(cycles):
        return cycles
    if size > max(MAX_KEPT_EVENTS, program.events + 1):
        raise _too_many(program, frames // 2)
    grown = np.empty(size, np.int64)
    grown[: len(cycles)] = cycles
    return grown


def _too_many(program: Program, frames: int) -> SimulationError:
    return SimulationError(
        f"{program.graph.name}: after {frames} images they still differ, and more of "
        f"{program.events} events each are too many to keep; simulate fewer images"
    )


def _can_follow(fixes: Array, gaps: Patterns, beats: Array) -> bool:
    """Return whether an event waits for nothing but the same events in each frame."""
    has_calendar = bool((fixes[:, 1] == Fix.READY).any())
    return not has_calendar and not (beats % np.diff(gaps.begin)).any()


def _fixes(program: Program, gaps: Patterns, ready: Patterns) -> Array:
    """Return the fixes of the program, and those of gaps and calendars that are felt."""
    parts = [program.fixes]
    for source, name in enumerate(program.graph.inputs):
        if gaps.of(source).any():
            taken = program.taken[name].astype(np.int64)
            distance = np.diff(taken, prepend=taken[-1:] - program.events)
            parts.append(_fix_each(taken, Fix.GAP, distance, source, np.arange(len(taken))))
    for sink, name in enumerate(program.graph.outputs):
        if not ready.of(sink).all():
            parts.append(_fix_each(program.taken[name].astype(np.int64), Fix.READY, sink))
    return parts[0] if len(parts) == 1 else sorted_fixes(parts)


def _fix_each(events: Array, kind: Fix, *numbers: Array | int) -> Array:
    """Return a fix of the same kind for each event."""
    fixes = np.zeros((len(events), FIX), np.int64)
    for column, values in enumerate((events, kind, *numbers)):
        fixes[:, column] = values
    fixes[:, 5] = NO_EDGE
    return fixes


def _ready_waits(ready: Patterns) -> Array:
    """Return, for each entry of the calendars, the cycles until the sink takes a beat again."""
    waits = []
    for sink in range(len(ready.begin) - 1):
        calendar = ready.of(sink)
        length = len(calendar)
        open_at = np.flatnonzero(np.tile(calendar, 2))
        cycles = np.arange(length)
        waits.append(open_at[np.searchsorted(open_at, cycles)] - cycles)
    return np.concatenate([*waits, np.zeros(0, np.int64)]).astype(np.int64)
