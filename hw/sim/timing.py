"""The fast exact simulator: every event once, nothing in the cycles between.

A dataflow is linked once into straight-line code of one image (``program``), which is evaluated
image by image until the images repeat (``evaluate``), or where something changes while they do not
(``changes``); what follows is extrapolated, exactly. Cycles equal those of ``clock.simulate`` on
every beat of every stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import SimulationError
from ..graph import Dataflow
from .activity import StageActivity, stage_activities
from .critical import CriticalCycle, critical_cycle
from .deadlock import explain
from .event_graph import EventGraph, event_graph
from .handshakes import Handshakes, handshakes
from .patterns import Pattern, Patterns, gap_patterns, ready_patterns
from .program import Program, link
from .run import Run, run_frames
from .trace import Cycles, StalledError, Trace, incomplete_streams
from .vcd import write_vcd


class StreamCycles(Mapping[str, Cycles]):
    """The cycle of each beat by stream, made when it is asked for."""

    def __init__(self, run: Run, max_cycles: int) -> None:
        self.run = run
        self._max_cycles = max_cycles

    @property
    def evaluated_images(self) -> int:
        """Images of which events were evaluated, all or some."""
        return self.run.evaluated * self.run.program.images

    @property
    def is_extrapolated(self) -> bool:
        """Whether the rest follows from those."""
        return self.run.evaluated < self.run.frames

    def __getitem__(self, stream: str) -> Cycles:
        cycles = self.run.of(self.run.program.taken[stream])
        return cycles[: np.searchsorted(cycles, self._max_cycles)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.run.program.graph.streams)

    def __len__(self) -> int:
        return len(self.run.program.graph.streams)


@dataclass(frozen=True, kw_only=True)
class Simulation(Trace):
    """A finished simulation: a trace whose cycles are made on demand, and figures of each image.

    Attributes:
        begins: Cycle in which the first beat of each image enters.
        ends: Cycle in which the last beat of each image leaves.
        gaps: Of the sources.
        ready: Of the sinks.
    """

    cycles: StreamCycles
    begins: Cycles
    ends: Cycles
    gaps: Patterns
    ready: Patterns

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

    def activities(self) -> list[StageActivity]:
        """Return what each stage does with its cycles in the last images, which repeat."""
        return stage_activities(self.cycles.run, self.gaps)

    def critical_cycle(self) -> CriticalCycle | None:
        """Return the cycle of waits that limits the rate; None for too few images."""
        return critical_cycle(self.cycles.run)

    def handshakes(self, stream: str) -> Handshakes:
        """Return valid, ready and the beats held of a stream, over the whole run."""
        return handshakes(self.cycles.run, stream, self.gaps, self.ready, self.total_cycles)

    def write_vcd(self, path: Path) -> None:
        """Write the signals of every stream as a waveform."""
        graph = self.cycles.run.program.graph
        streams = {name: self.handshakes(name) for name in graph.streams}
        write_vcd(path, graph.name, streams, self.total_cycles)


class TimingModel:
    """The timing of a dataflow, linked once and simulated as often as one likes."""

    def __init__(self, dataflow: Dataflow) -> None:
        self.dataflow = dataflow
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
        result = run_frames(program, images if program.is_repeated else 1, offers, takes)
        moved = {name: len(events) * result.frames for name, events in program.taken.items()}
        wanted = {name: ends.beats * images for name, ends in graph.streams.items()}
        total_cycles = 1 + _last_transfer(result)
        cycles = StreamCycles(result, max_cycles)
        if total_cycles > max_cycles:
            moved = {name: len(found) for name, found in cycles.items()}
            total_cycles = 1 + max((int(c[-1]) for c in cycles.values() if len(c)), default=-1)
            reason = f"max_cycles={max_cycles} passed"
        elif moved != wanted:
            why = explain(self.dataflow, program)
            reason = f"deadlock after cycle {total_cycles - 1}: {why}"
        else:
            return Simulation(
                cycles=cycles,
                total_cycles=total_cycles,
                begins=_of_images(result, graph, graph.inputs, 0).min(axis=0),
                ends=_of_images(result, graph, graph.outputs, -1).max(axis=0),
                gaps=offers,
                ready=takes,
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
