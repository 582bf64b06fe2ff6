"""The fast exact simulator: every event once, nothing in the cycles between.

A dataflow is linked once into straight-line code of one image (``program``), which is evaluated
image by image until the images repeat (``evaluate``); what follows is extrapolated, exactly. Cycles
equal those of ``clock.simulate`` on every beat of every stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import SimulationError
from ..graph import Dataflow
from .evaluate import MAX_PERIOD, NEVER, evaluate
from .event_graph import EventGraph, Events, event_graph
from .order import Array
from .patterns import Pattern, Patterns, gap_patterns, ready_patterns
from .program import Fix, Program, link
from .trace import Cycles, StalledError, Trace, incomplete_streams

FIRST_FRAMES = 4
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
        last = len(self.numbers) - 1
        later = np.maximum(frames - self.numbers[last], 0) if last >= 0 else frames
        rounds = -(-later // self.period)
        same = frames - rounds * self.period
        rows = np.searchsorted(self.numbers, same, side="right") - 1
        found: Cycles = self.cycles[np.ix_(rows, events)]
        between = np.flatnonzero(self.numbers[rows] != same)
        if len(between):
            row = rows[between]
            above = self.cycles[np.ix_(row + 1, events)]
            steps = self.numbers[row + 1] - self.numbers[row]
            part = same[between] - self.numbers[row]
            found[between] += (above - found[between]) // steps[:, None] * part[:, None]
        shift = self.shift if len(self.shift) == 1 else self.shift[events]
        found += rounds[:, None] * shift[None, :]
        return found

    def of(self, events: Events) -> Cycles:
        """Return the cycles of some events of a frame, in every frame one after the other."""
        return self.at(np.arange(self.frames), events).reshape(-1)


class StreamCycles(Mapping[str, Cycles]):
    """The cycle of each beat by stream, made when it is asked for."""

    def __init__(self, run: Run, max_cycles: int) -> None:
        self._run = run
        self._max_cycles = max_cycles

    @property
    def evaluated_images(self) -> int:
        """Images whose events were evaluated, one by one."""
        return self._run.evaluated * self._run.program.images

    @property
    def is_extrapolated(self) -> bool:
        """Whether the rest follows from those."""
        return self._run.evaluated < self._run.frames

    def __getitem__(self, stream: str) -> Cycles:
        cycles = self._run.of(self._run.program.taken[stream])
        return cycles[: np.searchsorted(cycles, self._max_cycles)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._run.program.graph.streams)

    def __len__(self) -> int:
        return len(self._run.program.graph.streams)


@dataclass(frozen=True, kw_only=True)
class Simulation(Trace):
    """A finished simulation: a trace whose cycles are made on demand, and figures of each image.

    Attributes:
        begins: Cycle in which the first beat of each image enters.
        ends: Cycle in which the last beat of each image leaves.
    """

    cycles: StreamCycles
    begins: Cycles
    ends: Cycles

    @property
    def latency_cycles(self) -> int:
        """Cycles from the first beat of the first image to its last one."""
        return int(self.ends[0] - self.begins[0])

    @cached_property
    def interval_cycles(self) -> int:
        """The most cycles between the ends of two images in the second half of the run.

        By then the pipeline is full.
        """
        half = len(self.ends) // 2
        return int(np.diff(self.ends[max(half - 1, 0) :]).max(initial=0))


class TimingModel:
    """The timing of a dataflow, linked once and simulated as often as one likes."""

    def __init__(self, dataflow: Dataflow) -> None:
        self.graph: EventGraph = event_graph(dataflow)
        self._linked: Program | None = None

    def program(self, images: int) -> Program:
        """Return the code for ``images`` images."""
        linked = self._linked
        if linked is None or not (linked.is_repeated or linked.images == images):
            linked = self._linked = link(self.graph, images)
        return linked

    def simulate(
        self,
        *,
        images: int,
        gaps: Mapping[str, Pattern] | None = None,
        ready: Mapping[str, Pattern] | None = None,
        max_cycles: int = 1 << 40,
    ) -> Simulation:
        """Return the cycle of every beat on every stream; see ``clock.simulate``."""
        graph = self.graph
        if images < 0:
            raise SimulationError(f"{graph.name}: images={images} must be >= 0")
        offers = gap_patterns(graph.name, graph.inputs, gaps)
        takes = ready_patterns(graph.name, graph.outputs, ready)
        program = self.program(images)
        if program.surplus is not None and images:
            name = program.surplus
            raise SimulationError(f"{graph.name}: schedule yields too many beats on {name!r}")
        result = evaluated(program, images if program.is_repeated else 1, offers, takes)
        moved = {name: len(events) * result.frames for name, events in program.taken.items()}
        wanted = {name: ends.beats * images for name, ends in graph.streams.items()}
        total_cycles = 1 + _last_transfer(result)
        cycles = StreamCycles(result, max_cycles)
        if total_cycles > max_cycles:
            moved = {name: len(found) for name, found in cycles.items()}
            total_cycles = 1 + max((int(c[-1]) for c in cycles.values() if len(c)), default=-1)
            reason = f"max_cycles={max_cycles} passed"
        elif moved != wanted:
            reason = f"deadlock after cycle {total_cycles - 1}"
        else:
            return Simulation(
                cycles=cycles,
                total_cycles=total_cycles,
                begins=_of_images(result, graph, graph.inputs, 0).min(axis=0),
                ends=_of_images(result, graph, graph.outputs, -1).max(axis=0),
            )
        raise StalledError(
            f"{graph.name}: {reason}; {incomplete_streams(wanted, moved)}",
            Trace(cycles=cycles, total_cycles=total_cycles),
        )


def _of_images(run: Run, graph: EventGraph, streams: Sequence[str], beat: int) -> Cycles:
    """Return the cycle of one beat of every image, ``(streams, images)``."""
    rows = []
    for name in streams:
        events = run.program.taken[name].reshape(-1, graph.streams[name].beats)
        rows.append(run.of(events[:, beat]))
    return np.array(rows)


def _last_transfer(run: Run) -> int:
    """Return the cycle of the last transfer; -1 if there is none."""
    events = [taken[-1] for taken in run.program.taken.values() if len(taken)]
    if not run.frames or not events:
        return -1
    return int(run.at(np.array([run.frames - 1]), np.array(events)).max())


def evaluated(program: Program, frames: int, gaps: Patterns, ready: Patterns) -> Run:
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
            room = min(frames - skipped, max(2 * room, FIRST_FRAMES))
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
    graph, events = program.graph, program.events
    fixes = [program.fixes]
    for source, name in enumerate(graph.inputs):
        if gaps.of(source).any():
            taken = program.taken[name].astype(np.int64)
            distance = np.diff(taken, prepend=taken[-1:] - events)
            numbers = np.arange(len(taken))
            kind, sources = np.full(len(taken), Fix.GAP), np.full(len(taken), source)
            fixes.append(np.column_stack([taken, kind, distance, sources, numbers]))
    for sink, name in enumerate(graph.outputs):
        if not ready.of(sink).all():
            taken = program.taken[name].astype(np.int64)
            kind, sinks = np.full(len(taken), Fix.READY), np.full(len(taken), sink)
            nothing = np.zeros(len(taken), np.int64)
            fixes.append(np.column_stack([taken, kind, sinks, nothing, nothing]))
    every = np.concatenate(fixes)
    return np.ascontiguousarray(every[np.lexsort((every[:, 1], every[:, 0]))])


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
