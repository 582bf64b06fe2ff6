"""Evaluating only the events that change their rate gives the cycles of evaluating them all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from popshift.flows.bench.dataflows import cnv, with_tight_line_buffers
from popshift.hw.errors import SimulationError
from popshift.hw.graph import Dataflow, Stage
from popshift.hw.passes import connect, size_fifos
from popshift.hw.schedule import Schedule, Thread, table
from popshift.hw.sim import TimingModel, clock, run
from popshift.hw.stages import Fifo

from .timing_graphs import Timed, beats_type, bursty_net, random_graph, random_pipe

GRAPHS = 160
CHAINS = 200
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
    assert followed > 150
    assert changed > 10
    assert (resumed > 5) == (budget == 1)


@pytest.mark.slow
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


def slower_and_slower(rng: np.random.Generator) -> Dataflow:
    """Return a chain of stages, each slower than the one before it, with deep FIFOs between.

    The FIFO before the last stage fills first, then the one before that, and so on.
    """
    beats, operations = int(rng.integers(1, 9)), 8
    stages: list[Stage] = []
    here = "x"
    for number in range(int(rng.integers(2, 6))):
        operations += int(rng.integers(1, 3))
        places = [np.sort(rng.permutation(operations)[:beats]) for _ in range(2)]
        takes, gives = (table(operations, at) for at in np.sort(places, axis=0))
        thread = Thread(consumes={"s_axis": takes}, produces={"m_axis": gives})
        depth = int(rng.integers(1, 120))
        stages.append(
            Fifo(
                name=f"f{number}",
                inputs=(here,),
                outputs=(f"a{number}",),
                type=beats_type(beats),
                depth=depth,
            )
        )
        here = f"y{number}"
        stages.append(
            Timed(
                name=f"s{number}",
                inputs=(f"a{number}",),
                outputs=(here,),
                timing=Schedule(threads=(thread,), pipes={"m_axis": random_pipe(rng)}),
                beats_in=(beats,),
                beats_out=(beats,),
            )
        )
    return Dataflow(
        name="net", inputs={"x": beats_type(beats)}, outputs=(here,), stages=tuple(stages)
    )


@pytest.mark.parametrize("budget", [1, run.FIRST_BUDGET])
def test_fifos_between_slower_and_slower_stages(
    budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock simulator agrees as well, on every beat."""
    monkeypatch.setattr(run, "FIRST_BUDGET", budget)
    followed = changed = 0
    for seed in range(CHAINS):
        rng = np.random.default_rng(seed)
        net, images = slower_and_slower(rng), int(rng.choice([9, 30, 100, 400]))
        model = TimingModel(net)
        found = every_event_alike(model, images, monkeypatch)
        followed += found.followed
        changed += len(found.lines) > 0
        cycles = model.simulate(images=images).cycles
        for name, expected in clock.simulate(net, images=images).cycles.items():
            np.testing.assert_array_equal(cycles[name], expected, err_msg=f"{seed} {name}")
    # The chains are worth their time only if they reach all of this.
    assert followed > 2000
    assert changed > 90
