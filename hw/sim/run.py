"""Runs straight-line code for some images, and keeps what is needed to know every cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError
from .evaluate import MAX_PERIOD, NEVER, evaluate
from .event_graph import Events
from .order import Array
from .patterns import Patterns
from .program import FIX, NO_EDGE, Fix, Program, sorted_fixes
from .trace import Cycles

FIRST_FRAMES = 4
FIRST_EVENTS = 1 << 25  # room for as many from the start: memory that is not written costs nothing
MAX_KEPT_EVENTS = 1 << 27  # 1 GiB


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """Cycles of the events of a run: of some frames as they were evaluated, and what follows.

    Frames between two that are stored lie on the line between them, event by event.

    Attributes:
        program: The code.
        frames: Frames of the run.
        numbers: Numbers of the frames that are stored, ascending.
        cycles: Of each event in these, ``(stored, events)``.
        evaluated: How many frames were evaluated event by event.
        period: Frames after which the last ones repeat.
        shift: Cycles by which each event is later then; one value where it is the same for all.
    """

    program: Program
    frames: int
    numbers: Array
    cycles: Array
    evaluated: int
    period: int
    shift: Array

    def at(self, frames: Array, events: Events) -> Cycles:
        """Return the cycles of some events of a frame in some frames, ``(frames, events)``."""
        return self.cycles_of(frames[:, None], events[None, :])

    def cycles_of(self, frames: Array, events: NDArray[np.integer[Any]]) -> Cycles:
        """Return the cycle of each event in its frame, both broadcast."""
        later = np.maximum(frames - self.numbers[-1], 0)
        rounds = -(-later // self.period)
        same = frames - rounds * self.period
        rows = np.searchsorted(self.numbers, same, side="right") - 1
        found: Cycles = self.cycles[rows, events]
        skipped = same - self.numbers[rows]
        if skipped.any():
            # On the line to the next frame that is stored.
            above = np.minimum(rows + 1, len(self.numbers) - 1)
            steps = np.maximum(self.numbers[above] - self.numbers[rows], 1)
            found += (self.cycles[above, events] - found) // steps * skipped
        shift = self.shift if len(self.shift) == 1 else self.shift[events]
        found += rounds * shift
        return found

    def of(self, events: Events) -> Cycles:
        """Return the cycles of some events of a frame, in every frame one after the other."""
        if not self.frames:
            return np.zeros(0, np.int64)
        return self.at(np.arange(self.frames), events).reshape(-1)


def run_frames(program: Program, frames: int, gaps: Patterns, ready: Patterns) -> Run:
    """Return the run of some frames of ``program``.

    Raises:
        SimulationError: The run has more events than can be kept, and no two images are alike.
    """
    events = program.events
    if frames == 0 or events == 0:
        return Run(
            program=program,
            frames=frames if events else 0,
            numbers=np.zeros(0, np.int64),
            cycles=np.zeros((0, events), np.int64),
            evaluated=0,
            period=1,
            shift=np.zeros(1, np.int64),
        )
    fixes = _fixes(program, gaps, ready)
    waits = _waits(ready)
    beats = np.array([len(program.taken[name]) for name in program.graph.inputs], np.int64)
    far = program.far
    reach = int(far[:, 3].max(initial=1))
    streaks = np.zeros(MAX_PERIOD + 1, np.int64)
    shifts = np.zeros(MAX_PERIOD + 1, np.int64)
    drifts = np.zeros(events, np.int64)
    cycles = np.full(1, NEVER, np.int64)
    numbers: list[int] = []
    done = consecutive = skipped = room = 0
    period, shift = 1, np.zeros(1, np.int64)
    while done + skipped < frames:
        if done == room:
            room = min(frames - skipped, max(2 * room, FIRST_EVENTS // events, FIRST_FRAMES))
            cycles = _grown(cycles, room, program)
        before = done
        done, found, ahead = evaluate(
            cycles, consecutive, done, room, program.code, fixes, gaps.begin, gaps.values, beats,
            ready.begin, waits, far, reach, streaks, shifts, drifts,
        )  # fmt: skip
        numbers.extend(range(before + skipped, done + skipped))
        if found:
            period, shift = found, shifts[found : found + 1]
            break
        if ahead >= frames - done - skipped:
            shift = drifts
            break
        if ahead:
            # The last frames before the next one to evaluate, which it may look back at.
            room = max(room, done + reach)
            cycles = _grown(cycles, room, program)
            rows = cycles[1:].reshape(room, events)
            steps = np.arange(ahead - reach + 1, ahead + 1)
            rows[done : done + reach] = rows[done - 1] + steps[:, None] * drifts
            numbers.extend((done + skipped - 1 + steps).tolist())
            consecutive, done, skipped = done, done + reach, skipped + ahead - reach
            streaks[:] = 0
    return Run(
        program=program,
        frames=frames,
        numbers=np.array(numbers),
        cycles=cycles[1 : 1 + done * events].reshape(done, events),
        evaluated=len(numbers),
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
        raise SimulationError(
            f"{program.graph.name}: after {frames // 2} images they still differ, and more of "
            f"{program.events} events each are too many to keep; simulate fewer images"
        )
    grown = np.empty(size, np.int64)
    grown[: len(cycles)] = cycles
    return grown


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


def _waits(ready: Patterns) -> Array:
    """Return, for each entry of the calendars, the cycles until the sink takes a beat again."""
    waits = []
    for sink in range(len(ready.begin) - 1):
        calendar = ready.of(sink)
        length = len(calendar)
        open_at = np.flatnonzero(np.tile(calendar, 2))
        cycles = np.arange(length)
        waits.append(open_at[np.searchsorted(open_at, cycles)] - cycles)
    return np.concatenate([*waits, np.zeros(0, np.int64)]).astype(np.int64)
