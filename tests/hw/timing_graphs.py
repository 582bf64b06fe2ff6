"""Random dataflows for tests of time alone: the schedules of real stages, and of forks and joins.

Their stages hold only a schedule. Streams carry as many beats as the schedules move, whatever the
stage that a schedule was taken from would compute.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from popshift.hw.cost import Cost
from popshift.hw.dtypes import IntArray, unsigned
from popshift.hw.graph import Dataflow, Stage, StreamType
from popshift.hw.module import Module
from popshift.hw.schedule import Buffer, Pipe, Schedule, Thread, table
from popshift.hw.stages import STAGES, Fifo

Generator = np.random.Generator


@dataclass(frozen=True, kw_only=True, eq=False)
class Timed(Stage):
    """A stage that is nothing but a schedule.

    Attributes:
        timing: Its schedule.
        beats_in: Beats of an image at each input.
        beats_out: Beats of an image at each output.
    """

    kind: ClassVar[str] = "timed"

    timing: Schedule
    beats_in: tuple[int, ...]
    beats_out: tuple[int, ...]

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        return tuple(beats_type(beats) for beats in self.beats_in)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        return tuple(beats_type(beats) for beats in self.beats_out)

    def schedule(self) -> Schedule:
        return self.timing

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        raise NotImplementedError

    def cost(self) -> Cost:
        raise NotImplementedError

    def module(self) -> Module:
        raise NotImplementedError

    @classmethod
    def random(cls, name: str, rng: Generator) -> Timed:
        raise NotImplementedError


def beats_type(beats: int, bits: int = 1) -> StreamType:
    """Return the type of a stream of ``beats`` beats an image."""
    return StreamType(dtype=unsigned(bits), shape=(beats,), lanes=1)


@dataclass(frozen=True)
class Part:
    """A schedule in a random graph: its name, streams and rates.

    Attributes:
        rates: Programs of its first thread with a port, per unit of the graph.
    """

    name: str
    schedule: Schedule | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    depth: int = 0


def fork(outputs: int, capacity: int) -> Schedule:
    """Return the schedule of a fork: a beat in, the same beat at every output."""
    names = [f"m_axis_{i}" for i in range(outputs)]
    thread = Thread(consumes={"s_axis": table(1, 0)}, produces=dict.fromkeys(names, table(1, 0)))
    return Schedule(
        threads=(thread,), pipes=dict.fromkeys(names, Pipe(latency=1, capacity=capacity))
    )


def lossy_split(rng: Generator) -> tuple[Schedule, tuple[int, int], int]:
    """Return a schedule whose beats go to one of two outputs, to both or to none, and its rates."""
    length = int(rng.integers(2, 7))
    moves = (rng.random((2, length)) < 0.6).astype(np.int32)
    moves[[0, 1], rng.integers(0, length, 2)] = 1
    thread = Thread(
        consumes={"s_axis": table(length, slice(None))},
        produces={"m_axis_0": moves[0], "m_axis_1": moves[1]},
    )
    pipes = {f"m_axis_{i}": random_pipe(rng) for i in range(2)}
    counts = (int(moves[0].sum()), int(moves[1].sum()))
    return Schedule(threads=(thread,), pipes=pipes), counts, length


def join(rng: Generator, first: int, second: int) -> Schedule:
    """Return a schedule that takes ``first`` and ``second`` beats a program, in a random order."""
    length = max(first, second) + int(rng.integers(0, 3))
    moves = np.zeros((2, length), np.int32)
    moves[0, rng.permutation(length)[:first]] = 1
    moves[1, rng.permutation(length)[:second]] = 1
    # What leaves before anything has come would never end.
    first_taken = int(np.flatnonzero(moves.any(axis=0))[0])
    out = table(length, int(rng.integers(first_taken, length)))
    thread = Thread(consumes={"s_axis_0": moves[0], "s_axis_1": moves[1]}, produces={"m_axis": out})
    return Schedule(threads=(thread,), pipes={"m_axis": random_pipe(rng)})


def buffered_add(rng: Generator) -> Schedule:
    """Return the schedule of a sum whose second input has a buffer of its own."""
    one = table(1, 0)
    waiting = Buffer(
        writer=1, reader=0, capacity=int(rng.integers(1, 4)), latency=1, needs=one, releases=one
    )
    return Schedule(
        threads=(
            Thread(consumes={"s_axis_0": one}, produces={"m_axis": one}),
            Thread(consumes={"s_axis_1": one}, produces={}),
        ),
        pipes={"m_axis": random_pipe(rng)},
        buffers=(waiting,),
    )


def random_pipe(rng: Generator) -> Pipe:
    """Return a pipe of up to 5 cycles, some too small for the full rate."""
    return Pipe(latency=int(rng.integers(1, 6)), capacity=int(rng.integers(1, 7)))


class GraphMaker:
    """Grows a random graph part by part; streams have rates in beats per unit."""

    def __init__(self, rng: Generator) -> None:
        self.rng = rng
        self.parts: list[Part] = []
        self.rate: dict[str, Fraction] = {}
        self.loose: list[str] = []
        self.inputs: list[str] = []
        self.kinds = [kind for kind in sorted(STAGES) if kind != "fifo"]

    def source(self) -> None:
        """Add an input."""
        name = f"x{len(self.inputs)}"
        self.inputs.append(name)
        self.loose.append(name)
        self.rate[name] = Fraction(int(self.rng.integers(1, 5)))

    def grow(self) -> None:
        """Add one part to some loose streams."""
        rng = self.rng
        choice = rng.random()
        if choice < 0.3 and len(self.loose) > 1:
            self._join()
        elif choice < 0.5 and len(self.loose) < 4:
            self._split()
        elif choice < 0.75:
            stream = self._take()
            depth = int(rng.choice([1, 2, 3, 5, 8, 20]))
            self._add(None, (stream,), (self.rate[stream],), depth=depth)
        else:
            self._stage()

    def _take(self) -> str:
        return self.loose.pop(int(self.rng.integers(0, len(self.loose))))

    def _add(
        self,
        schedule: Schedule | None,
        inputs: tuple[str, ...],
        rates: Sequence[Fraction],
        depth: int = 0,
    ) -> None:
        name = f"p{len(self.parts)}"
        outputs = tuple(f"{name}_{i}" for i in range(len(rates)))
        self.rate.update(zip(outputs, rates, strict=True))
        self.parts.append(Part(name, schedule, inputs, outputs, depth))
        self.loose.extend(outputs)

    def _stage(self) -> None:
        while True:
            stage = STAGES[str(self.rng.choice(self.kinds))].random("s", self.rng)
            if len(stage.inputs) == len(stage.outputs) == 1:
                break
        beats = stage.input_types[0].beats, stage.output_types[0].beats
        stream = self._take()
        rate = self.rate[stream] * beats[1] / beats[0]
        if rate.denominator > 64 or rate > 500:
            self.loose.append(stream)
            return
        self._add(stage.schedule(), (stream,), (rate,))

    def _split(self) -> None:
        stream = self._take()
        rate = self.rate[stream]
        if self.rng.random() < 0.7:
            outputs = int(self.rng.integers(2, 4))
            self._add(fork(outputs, int(self.rng.integers(1, 4))), (stream,), [rate] * outputs)
        else:
            schedule, counts, length = lossy_split(self.rng)
            self._add(schedule, (stream,), [rate * count / length for count in counts])

    def _join(self) -> None:
        first, second = self._take(), self._take()
        ratio = self.rate[first] / self.rate[second]
        if max(ratio.numerator, ratio.denominator) > 12:
            self.loose += [first, second]
            return
        programs = self.rate[first] / ratio.numerator
        if ratio == 1 and self.rng.random() < 0.5:
            schedule = buffered_add(self.rng)
        else:
            schedule = join(self.rng, ratio.numerator, ratio.denominator)
        self._add(schedule, (first, second), (programs,))


def random_graph(rng: Generator, *, parts: int = 8, is_aligned: bool = True) -> Dataflow:
    """Return a random dataflow of up to ``parts`` stages that may deadlock.

    Args:
        rng: Source of randomness.
        parts: Steps of growth.
        is_aligned: Whether an image is a whole number of programs of each thread.
    """
    while True:
        maker = GraphMaker(rng)
        for _ in range(int(rng.integers(1, 3))):
            maker.source()
        for _ in range(int(rng.integers(1, parts + 1))):
            maker.grow()
        scale = math.lcm(*(rate.denominator for rate in maker.rate.values()))
        if is_aligned:
            scale = math.lcm(scale, *_program_scales(maker))
        beats = {name: int(rate * scale) for name, rate in maker.rate.items()}
        if sum(beats.values()) < 4000:
            return _dataflow(maker, beats)


def _program_scales(maker: GraphMaker) -> list[int]:
    """Return factors that make the programs of every thread whole."""
    scales = []
    for part in maker.parts:
        if part.schedule is None:
            continue
        ports = dict(zip(port_list("s_axis", part.inputs), part.inputs, strict=True))
        ports |= dict(zip(port_list("m_axis", part.outputs), part.outputs, strict=True))
        for thread in part.schedule.threads:
            for port, moves in (*thread.consumes.items(), *thread.produces.items()):
                if moves.any():
                    scales.append((maker.rate[ports[port]] / int(moves.sum())).denominator)
    return scales


def port_list(prefix: str, streams: Sequence[str]) -> list[str]:
    """Return the names of the ports of some streams."""
    if len(streams) == 1:
        return [prefix]
    return [f"{prefix}_{i}" for i in range(len(streams))]


def _dataflow(maker: GraphMaker, beats: dict[str, int]) -> Dataflow:
    stages: list[Stage] = []
    for part in maker.parts:
        if part.schedule is None:
            kind = beats_type(beats[part.inputs[0]], bits=int(maker.rng.choice([1, 40])))
            kind = beats_type(beats[part.inputs[0]])
            stages.append(
                Fifo(name=part.name, inputs=part.inputs, outputs=part.outputs, type=kind,
                     depth=part.depth)
            )  # fmt: skip
            continue
        stages.append(
            Timed(
                name=part.name,
                inputs=part.inputs,
                outputs=part.outputs,
                timing=part.schedule,
                beats_in=tuple(beats[name] for name in part.inputs),
                beats_out=tuple(beats[name] for name in part.outputs),
            )
        )
    return Dataflow(
        name="graph",
        inputs={name: beats_type(beats[name]) for name in maker.inputs},
        outputs=tuple(maker.loose),
        stages=tuple(stages),
    )


def bursty_net(rng: Generator, *, streams: int = 5) -> Dataflow:
    """Return a net of stages that take and give beats in bursts, with stages between that pass on.

    A burst may be stored on either side of a stage that passes on, so that FIFOs stand for each
    other. In half of the nets a fork and a sum enclose a part.
    """
    beats = int(rng.choice([6, 8, 12, 16, 24]))
    stages: list[Stage] = []
    here = "x"

    def add(schedule: Schedule, inputs: tuple[str, ...], outputs: int = 1) -> tuple[str, ...]:
        name = f"s{len(stages)}"
        names = tuple(f"{name}_{i}" for i in range(outputs))
        stages.append(
            Timed(
                name=name,
                inputs=inputs,
                outputs=names,
                timing=schedule,
                beats_in=(beats,) * len(inputs),
                beats_out=(beats,) * outputs,
            )
        )
        return names

    def passing() -> Schedule:
        thread = Thread(consumes={"s_axis": table(1, 0)}, produces={"m_axis": table(1, 0)})
        pipe = Pipe(latency=int(rng.integers(1, 3)), capacity=int(rng.integers(1, 4)))
        return Schedule(threads=(thread,), pipes={"m_axis": pipe})

    def bursty() -> Schedule:
        size = int(rng.choice([d for d in range(2, beats + 1) if beats % d == 0]))
        length = size + int(rng.integers(0, 2 * size))
        moves = table(length, slice(0, size)), table(length, slice(length - size, None))
        thread = Thread(consumes={"s_axis": moves[0]}, produces={"m_axis": moves[1]})
        pipe = Pipe(latency=int(rng.integers(1, 4)), capacity=int(rng.integers(1, 5)))
        return Schedule(threads=(thread,), pipes={"m_axis": pipe})

    def chain(at: str, length: int) -> str:
        for _ in range(length):
            (at,) = add(bursty() if rng.random() < 0.5 else passing(), (at,))
        return at

    if rng.random() < 0.5:
        here = chain(here, streams + 1)
    else:
        before = int(rng.integers(0, 2))
        here = chain(here, before)
        left, right = add(fork(2, 2), (here,), outputs=2)
        inside = streams - 2 - before
        split = int(rng.integers(0, inside + 1)) if inside > 0 else 0
        left, right = chain(left, split), chain(right, max(inside - split, 0))
        (here,) = add(buffered_add(rng), (left, right))
    return Dataflow(
        name="net", inputs={"x": beats_type(beats)}, outputs=(here,), stages=tuple(stages)
    )
