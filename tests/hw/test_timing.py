"""The fast simulator equals the clock simulator on every beat of every stream."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.flows.patterns import random_patterns
from popshift.hw.errors import SimulationError
from popshift.hw.graph import Dataflow
from popshift.hw.schedule import Pipe, Schedule, Thread, table
from popshift.hw.sim import StalledError, TimingModel, Trace, clock, simulate
from popshift.hw.stages import Fifo

from .networks import small_network
from .timing_graphs import Timed, beats_type, random_graph

GRAPHS = 1200
GRAPHS_OF_A_TEST = 120


def outcome(run, dataflow: Dataflow, **arguments) -> tuple[str, Trace | None]:
    """Return how a simulation ends, and what moved."""
    try:
        return "done", run(dataflow, **arguments)
    except StalledError as error:
        return "stalled", error.trace
    except SimulationError as error:
        return str(error), None


def assert_equal_traces(expected: Trace, found: Trace, where: object = "") -> int:
    """Compare every beat of every stream and return how many there are."""
    assert set(expected.cycles) == set(found.cycles)
    for name, cycles in expected.cycles.items():
        np.testing.assert_array_equal(found.cycles[name], cycles, err_msg=f"{where} {name}")
    assert found.total_cycles == expected.total_cycles, where
    return sum(map(len, expected.cycles.values()))


@pytest.mark.parametrize("chunk", range(GRAPHS // GRAPHS_OF_A_TEST))
def test_random_graphs_move_every_beat_in_the_cycle_of_the_clock_simulator(chunk: int) -> None:
    stalled = repeated = beats = 0
    for seed in range(chunk * GRAPHS_OF_A_TEST, (chunk + 1) * GRAPHS_OF_A_TEST):
        rng = np.random.default_rng(seed)
        is_aligned = rng.random() < 0.8
        net = random_graph(rng, is_aligned=bool(is_aligned))
        gaps, ready = random_patterns(net, rng)
        arguments = {
            "images": int(rng.choice([1, 2, 5, 9, 40])),
            "gaps": gaps if rng.random() < 0.4 else {},
            "ready": ready if rng.random() < 0.4 else {},
        }
        if is_aligned and rng.random() < 0.1:
            arguments["max_cycles"] = int(rng.integers(1, 2000))
        how, expected = outcome(clock.simulate, net, **arguments)
        found_how, found = outcome(simulate, net, **arguments)
        assert found_how == how, seed
        if expected is None or found is None:
            continue
        beats += assert_equal_traces(expected, found, seed)
        stalled += how == "stalled"
        repeated += how == "done" and found.cycles.is_extrapolated
    # The graphs are worth their time only if they reach all of this.
    assert stalled >= 3
    assert repeated >= 10
    assert beats > 100_000


def test_every_stage_of_a_network_is_in_the_trace() -> None:
    net = small_network()
    for images in (0, 1, 7):
        assert_equal_traces(clock.simulate(net, images=images), simulate(net, images=images))


def test_a_thousand_images_take_no_more_work_than_a_few() -> None:
    model = TimingModel(small_network())
    few, many = model.simulate(images=30), model.simulate(images=1000)
    assert many.cycles.evaluated_images == few.cycles.evaluated_images < 10
    assert_equal_traces(clock.simulate(small_network(), images=1000), many)


def test_figures_of_each_image_need_no_beats() -> None:
    trace = clock.simulate(small_network(), images=12)
    found = simulate(small_network(), images=12)
    np.testing.assert_array_equal(found.begins, trace.cycles["x"].reshape(12, -1)[:, 0])
    np.testing.assert_array_equal(found.ends, trace.cycles["y"].reshape(12, -1)[:, -1])
    assert found.latency_cycles == found.ends[0] - found.begins[0]
    assert found.interval_cycles == 16


def test_gaps_and_calendars_that_fit_the_images_repeat_as_well() -> None:
    net = small_network()
    gaps, ready = {"x": [3, 0]}, {"y": [1, 0, 0, 1]}
    found = simulate(net, images=200, gaps=gaps, ready=ready)
    assert found.cycles.is_extrapolated
    assert_equal_traces(clock.simulate(net, images=200, gaps=gaps, ready=ready), found)


def test_a_deep_fifo_that_fills_over_many_images_is_filled_in_leaps() -> None:
    """The source is faster than the slow stage by a cycle in 13: 65 images fill the FIFO."""
    beats = 12
    slow = Thread(consumes={"s_axis": table(13, slice(0, 12))}, produces={"m_axis": table(13, -1)})
    fifo = Fifo(name="f", inputs=("x",), outputs=("a",), type=beats_type(beats), depth=64)
    stage = Timed(
        name="slow",
        inputs=("a",),
        outputs=("y",),
        timing=Schedule(threads=(slow,), pipes={"m_axis": Pipe(latency=1, capacity=2)}),
        beats_in=(beats,),
        beats_out=(1,),
    )
    net = Dataflow(
        name="net", inputs={"x": beats_type(beats)}, outputs=("y",), stages=(fifo, stage)
    )
    found = simulate(net, images=300)
    assert found.cycles.evaluated_images < 25
    assert_equal_traces(clock.simulate(net, images=300), found)
    intervals = np.diff(found.cycles["x"].reshape(300, beats)[:, 0])
    assert set(intervals[:60].tolist()) == {12}
    assert set(intervals[-200:].tolist()) == {13}


def test_a_surplus_beat_is_named_by_both() -> None:
    early = Thread(consumes={"s_axis": table(2, 1)}, produces={"m_axis": table(2, 0)})
    stage = Timed(
        name="early",
        inputs=("x",),
        outputs=("y",),
        timing=Schedule(threads=(early,), pipes={"m_axis": Pipe(latency=1, capacity=1)}),
        beats_in=(3,),
        beats_out=(3,),
    )
    net = Dataflow(name="net", inputs={"x": beats_type(3)}, outputs=("y",), stages=(stage,))
    for run in (clock.simulate, simulate):
        with pytest.raises(SimulationError, match="too many beats on 'y'"):
            run(net, images=2)


def test_a_thread_that_moves_nothing_is_refused() -> None:
    idle = Thread(consumes={"s_axis": table(2, slice(0, 0))}, produces={})
    real = Thread(consumes={"s_axis": table(1, 0)}, produces={"m_axis": table(1, 0)})
    stage = Timed(
        name="s",
        inputs=("x",),
        outputs=("y",),
        timing=Schedule(threads=(idle, real), pipes={"m_axis": Pipe(latency=1, capacity=1)}),
        beats_in=(3,),
        beats_out=(3,),
    )
    net = Dataflow(name="net", inputs={"x": beats_type(3)}, outputs=("y",), stages=(stage,))
    with pytest.raises(SimulationError, match="net: a thread of s moves no beat and no word"):
        simulate(net, images=1)
