"""Evaluating only the events that change their rate gives the cycles of evaluating them all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from popshift.flows.bench.dataflows import cnv, with_tight_line_buffers
from popshift.hw.errors import SimulationError
from popshift.hw.graph import Dataflow
from popshift.hw.passes import connect, size_fifos
from popshift.hw.schedule import Pipe, Schedule, Thread, table
from popshift.hw.sim import TimingModel, clock, run
from popshift.hw.stages import Fifo

from .timing_graphs import Timed, beats_type, bursty_net, random_graph

GRAPHS = 160
IMAGES = 400
IMAGES_AT_ONCE = 50


def with_deep_fifos(net: Dataflow, rng: np.random.Generator) -> Dataflow:
    """Return ``net`` with FIFOs that fill over many images, some with the beats of many."""
    stages = tuple(
        replace(stage, depth=int(rng.integers(1, 400))) if isinstance(stage, Fifo) else stage
        for stage in net.stages
    )
    return replace(net, stages=stages)


def every_event_alike(model: TimingModel, images: int, monkeypatch, **arguments) -> run.Run:
    """Compare each event of each image with plain evaluation, and return the run."""
    found = model.simulate(images=images, **arguments).cycles.run
    with monkeypatch.context() as patch:
        patch.setattr(run, "_can_follow", lambda *_: False)
        plain = model.simulate(images=images, **arguments).cycles.run
    assert plain.followed == 0
    assert len(plain.lines) == 0
    events = np.arange(found.program.events)
    for first in range(0, found.frames, IMAGES_AT_ONCE):
        frames = np.arange(first, min(first + IMAGES_AT_ONCE, found.frames))
        np.testing.assert_array_equal(found.at(frames, events), plain.at(frames, events))
    # Pairs are read by a path of their own.
    frames = np.random.default_rng(0).integers(0, found.frames, len(events))
    np.testing.assert_array_equal(found.cycles_of(frames, events), plain.cycles_of(frames, events))
    return found


@pytest.mark.parametrize("budget", [1, run.FIRST_BUDGET])
def test_random_graphs_with_deep_fifos(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the least budget all events are evaluated again and again, so that periods are found."""
    monkeypatch.setattr(run, "FIRST_BUDGET", budget)
    followed = changed = resumed = 0
    for seed in range(GRAPHS):
        rng = np.random.default_rng(seed)
        net = with_deep_fifos(bursty_net(rng) if seed % 4 == 0 else random_graph(rng), rng)
        gaps = {name: rng.integers(0, 3, 2) for name in net.inputs} if seed % 3 == 0 else {}
        try:
            found = every_event_alike(TimingModel(net), IMAGES, monkeypatch, gaps=gaps)
        except SimulationError:
            continue  # it deadlocks
        followed += found.followed
        changed += len(found.lines) > 0
        resumed += len(found.rows) > found.evaluated - found.followed
    print("followed", followed, changed, resumed)


@pytest.mark.parametrize("is_tight", [False, True])
def test_every_event_of_a_thousand_images_of_cnv(
    is_tight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = cnv(8192)
    if is_tight:
        net = with_tight_line_buffers(net)
        net = connect(net, fifo_depth=size_fifos(net).depths)
    found = every_event_alike(TimingModel(net), 1000, monkeypatch)
    assert found.followed > 100
    assert len(found.lines) > 80_000
    assert found.evaluated - found.followed < 10


@pytest.mark.parametrize("images", [1, 7, 30, 200, 700])
def test_fifos_between_ever_slower_stages_fill_one_after_the_other(images: int) -> None:
    """The clock simulator agrees, at every beat, while one after the other holds up those before."""
    beats, stages, here = 6, [], "x"
    for number, operations in enumerate((7, 8, 11)):
        thread = Thread(
            consumes={"s_axis": table(operations, slice(0, beats))},
            produces={"m_axis": table(operations, slice(operations - beats, None))},
        )
        fifo = Fifo(
            name=f"f{number}", inputs=(here,), outputs=(f"a{number}",),
            type=beats_type(beats), depth=50 * (number + 1),
        )  # fmt: skip
        stage = Timed(
            name=f"s{number}",
            inputs=(f"a{number}",),
            outputs=(f"y{number}",),
            timing=Schedule(threads=(thread,), pipes={"m_axis": Pipe(latency=1, capacity=2)}),
            beats_in=(beats,),
            beats_out=(beats,),
        )
        stages += [fifo, stage]
        here = f"y{number}"
    net = Dataflow(
        name="net", inputs={"x": beats_type(beats)}, outputs=(here,), stages=tuple(stages)
    )
    simulation = TimingModel(net).simulate(images=images)
    expected = clock.simulate(net, images=images)
    for name, cycles in expected.cycles.items():
        np.testing.assert_array_equal(simulation.cycles[name], cycles)
    print(simulation.cycles.run.evaluated, simulation.cycles.run.followed)
