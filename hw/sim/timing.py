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
    """Cycles of the events of a run.

    Attributes:
        program: The code.
        frames: Frames of the run.
        cycles: Of each event of the frames that were evaluated, ``(evaluated, events)``.
        period: Frames after which the last ones repeat; 0 if they were evaluated to the end.
        shift: Cycles by which they are later then.
    """

    program: Program
    frames: int
    cycles: Array
    period: int
    shift: int

    def last(self, events: list[int]) -> int:
        """Return the greatest cycle of some events in the last frame; -1 if there are none."""
        evaluated = len(self.cycles)
        rounds = -(-(self.frames - evaluated) // self.period) if self.period else 0
        frame = self.frames - 1 - rounds * self.period
        return int(self.cycles[frame, events].max(initial=-1)) + rounds * self.shift

    def of(self, events: Events) -> Cycles:
        """Return the cycles of some events of a frame, in every frame one after the other."""
        evaluated = len(self.cycles)
        known = self.cycles[:, events]
        if evaluated == self.frames:
            return known.reshape(-1)
        later = np.arange(evaluated, self.frames)
        rounds = (later - evaluated) // self.period + 1
        rest = known[later - rounds * self.period] + (rounds * self.shift)[:, None]
        return np.concatenate([known, rest]).reshape(-1)


class StreamCycles(Mapping[str, Cycles]):
    """The cycle of each beat by stream, made when it is asked for."""

    def __init__(self, run: Run, max_cycles: int) -> None:
        self._run = run
        self._max_cycles = max_cycles

    @property
    def evaluated_images(self) -> int:
        """Images whose events were evaluated, one by one."""
        return len(self._run.cycles) * self._run.program.images

    @property
    def is_extrapolated(self) -> bool:
        """Whether the rest follows from those."""
        return len(self._run.cycles) < self._run.frames

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
        last_taken = [int(events[-1]) for events in program.taken.values() if len(events)]
        total_cycles = 1 + (result.last(last_taken) if result.frames else -1)
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


def evaluated(program: Program, frames: int, gaps: Patterns, ready: Patterns) -> Run:
    """Return the run of some frames of ``program``.

    Raises:
        SimulationError: The run has more events than can be kept, and no two images are alike.
    """
    if frames == 0 or program.events == 0:
        nothing = np.zeros((frames, program.events), np.int64)
        return Run(program=program, frames=frames, cycles=nothing, period=0, shift=0)
    events = program.events
    fixes = _fixes(program, gaps, ready)
    waits = _waits(ready)
    beats = np.array([len(program.taken[name]) for name in program.graph.inputs], np.int64)
    far = program.far
    reach = int(far[:, 3].max(initial=1))
    streaks = np.zeros(MAX_PERIOD + 1, np.int64)
    shifts = np.zeros(MAX_PERIOD + 1, np.int64)
    kept, done, period = 0, 0, 0
    cycles = np.full(1, NEVER, np.int64)
    while done < frames and not period:
        kept = min(frames, max(2 * kept, FIRST_FRAMES))
        if kept * events > max(MAX_KEPT_EVENTS, events):
            raise SimulationError(
                f"{program.graph.name}: {frames} images of {events} events each are too many to "
                f"keep, and after {done} they still differ; simulate fewer"
            )
        before, cycles = cycles, np.empty(1 + kept * events, np.int64)
        cycles[: len(before)] = before
        done, period = evaluate(
            cycles, done, kept, program.code, fixes, gaps.begin, gaps.values, beats,
            ready.begin, waits, far, reach, streaks, shifts,
        )  # fmt: skip
    return Run(
        program=program,
        frames=frames,
        cycles=cycles[1 : 1 + done * events].reshape(done, events),
        period=period,
        shift=int(shifts[period]),
    )


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
