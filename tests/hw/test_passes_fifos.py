"""FIFO sizing: verdicts equal simulations, optima equal brute force, a beat less costs the rate."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from popshift.hw.errors import SimulationError
from popshift.hw.graph import Dataflow
from popshift.hw.passes import apply_folding, connect, size_fifos
from popshift.hw.passes.connect import without_fifos
from popshift.hw.passes.fifos.levels import grid, level
from popshift.hw.passes.fifos.model import FifoModel
from popshift.hw.passes.fifos.proof import cheapest
from popshift.hw.passes.fifos.search import Search
from popshift.hw.passes.fifos.slots import Fifos
from popshift.hw.schedule import Buffer, Pipe, Schedule, Thread, table
from popshift.hw.sim import StalledError, simulate
from popshift.hw.stages import Window

from .networks import small_network
from .test_fold_conv import CNV_FOLDING, CONVOLUTIONS, network
from .timing_graphs import Timed, beats_type, bursty_net, random_graph

# Four times the lanes of FINN's folding, 8,192 cycles an image.
FAST_FOLDING = {
    f"MVAU_{i}": {"PE": pe, "SIMD": simd}
    for i, (pe, simd) in enumerate(
        [(64, 3), (64, 64), (32, 64), (32, 64), (16, 32), (4, 32), (4, 4), (4, 8), (5, 1)]
    )
}


def long_run_interval(dataflow: Dataflow, images: int = 1200) -> float | None:
    """Return the cycles of an image in the long run; None for a deadlock."""
    try:
        ends = simulate(dataflow, images=images).ends
    except StalledError:
        return None
    # What repeats every one to eight or ten images is measured over whole repetitions.
    return (int(ends[-1]) - int(ends[-841])) / 840


def random_fifos(model: FifoModel, rng: np.random.Generator) -> Fifos:
    depths = [int(d) for d in rng.choice([0, 0, 1, 2, 3, 5, 8, 33, 64], len(model.places))]
    levels = [level(p.type, d, "luts") for p, d in zip(model.places, depths, strict=True)]
    return Fifos(tuple(depths), tuple(one.latency for one in levels))


def with_depths(dataflow: Dataflow, model: FifoModel, fifos: Fifos) -> Dataflow:
    streams = [place.stream for place in model.places]
    return connect(dataflow, fifo_depth=dict(zip(streams, fifos.depths, strict=True)))


@pytest.mark.parametrize("maker", [random_graph, bursty_net])
def test_a_verdict_is_what_the_simulation_of_the_fifos_shows(maker) -> None:
    checked = deadlocks = lost = late = blocked = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        net = maker(rng)
        try:
            model = FifoModel(net)
        except SimulationError:
            blocked += 1
            continue
        for _ in range(5):
            fifos = random_fifos(model, rng)
            verdict = model.check(fifos)
            interval = long_run_interval(with_depths(net, model, fifos))
            checked += 1
            if interval is None:
                assert not verdict.is_kept
                assert verdict.interval is None
                assert verdict.full
                deadlocks += 1
                continue
            assert verdict.is_kept == (interval <= model.interval), seed
            least = model.least_interval(fifos)
            assert least == math.ceil(max(interval, model.interval)), seed
            if not verdict.is_kept:
                assert verdict.interval is not None
                assert model.interval < verdict.interval <= least
                lost += 1
                late += bool(verdict.late)
    assert checked >= 100
    assert blocked <= 10
    if maker is bursty_net:
        assert min(deadlocks, lost, late) >= 10


def test_one_deep_fifos_in_block_ram_and_in_lut_ram_have_their_own_delays() -> None:
    """A chain at one beat a cycle: one beat of depth halves the rate, being late costs none."""
    relay = Thread(consumes={"s_axis": table(1, 0)}, produces={"m_axis": table(1, 0)})
    names = ["x", "a", "b", "y"]
    timed = [
        Timed(name=f"t{i}", inputs=(names[i],), outputs=(names[i + 1],), beats_in=(100,),
              beats_out=(100,),
              timing=Schedule(threads=(relay,), pipes={"m_axis": Pipe(latency=1, capacity=2)}))
        for i in range(3)
    ]  # fmt: skip
    net = Dataflow(name="net", inputs={"x": beats_type(100)}, outputs=("y",), stages=tuple(timed))
    model = FifoModel(net)
    assert model.interval == 100
    for depths, latencies, interval in (
        ((0, 0), (0, 0), 100),
        ((1, 0), (1, 0), 200),
        ((2, 0), (1, 0), 100),
        ((64, 0), (4, 0), 100),
    ):
        assert model.least_interval(Fifos(depths, latencies)) == interval


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(4))
def test_the_cheapest_fifos_equal_brute_force(chunk: int) -> None:
    needed_cuts = beyond_bounds = 0
    for seed in range(60 * chunk, 60 * (chunk + 1)):
        rng = np.random.default_rng(seed)
        model = FifoModel(bursty_net(rng, streams=int(rng.integers(2, 5))))
        measure = ("luts", "bits")[rng.integers(0, 2)]
        levels = []
        for place in model.places:
            kind = beats_type(place.type.beats, bits=int(rng.choice([1, 8, 40])))
            levels.append([one for one in grid(kind, measure) if one.depth <= 64])
        while math.prod(map(len, levels)) > 600:
            longest = max(levels, key=len)
            del longest[int(rng.integers(1, len(longest) - 1))]
        search = Search(model, levels)
        every = itertools.product(*(range(len(some)) for some in levels))
        kept = [choice for choice in every if search.check(choice).is_kept]
        least = min(map(search.price, kept))
        first = search.descend(search.dive())
        proof = cheapest(search, first, seconds=60)
        assert search.check(proof.choice).is_kept
        assert search.price(proof.choice) == proof.lower_bound == least, seed
        for slot, bound in enumerate(search.bounds):
            assert min(choice[slot] for choice in kept) >= bound, seed
        needed_cuts += proof.cuts > 0
        beyond_bounds += least > search.price(search.bounds)
    assert needed_cuts >= 3
    assert beyond_bounds >= 3


@pytest.fixture(scope="module", params=["3 k", "12 k"])
def cnv(request) -> tuple[Dataflow, int]:
    net = network(CONVOLUTIONS, [512, 512, 10], side=32)
    if request.param == "3 k":
        return apply_folding(net, CNV_FOLDING), 32_768
    return apply_folding(net, FAST_FOLDING), 8_192


def test_cnv_needs_no_fifos_because_its_layers_keep_what_they_repeat(cnv) -> None:
    net, interval = cnv
    sizing = size_fifos(net, effort="minimal")
    assert sizing.is_minimal
    assert sizing.interval_cycles == interval
    assert sizing.bits == sizing.total == sizing.lower_bound == 0
    assert long_run_interval(without_fifos(net)) == interval


def test_tight_line_buffers_of_cnv_get_proven_minimal_fifos_with_which_no_layer_waits(cnv) -> None:
    """With the fewest words in their line buffers, layers wait for each other."""
    net, interval = cnv
    stages = tuple(
        stage.with_(depth=stage.lines.least_capacity) if isinstance(stage, Window) else stage
        for stage in net.stages
    )
    net = replace(net, stages=stages)
    sizing = size_fifos(net, effort="minimal", measure="bits")
    assert sizing.is_minimal
    assert sizing.interval_cycles == interval
    assert sizing.grid_total == sizing.lower_bound
    assert 0 < sizing.bits < 10_000
    assert long_run_interval(without_fifos(net)) > interval
    assert long_run_interval(connect(net, fifo_depth=sizing.depths)) == interval
    needed = [fifo for fifo in sizing.fifos if fifo.depth]
    less = [fifo.interval_with_one_less for fifo in needed]
    assert any(cycles is None or cycles > interval for cycles in less)


def test_fifos_are_proven_minimal_and_one_beat_less_costs_what_is_reported() -> None:
    lost = 0
    for seed in range(8):
        net = bursty_net(np.random.default_rng(seed))
        sizing = size_fifos(net, effort="minimal")
        interval = sizing.interval_cycles
        assert sizing.is_minimal
        assert interval == sizing.interval_without_limit
        assert sizing.grid_total == sizing.lower_bound
        assert sizing.total <= sizing.grid_total
        assert long_run_interval(connect(net, fifo_depth=sizing.depths)) == interval
        for fifo in sizing.fifos:
            assert fifo.depth >= fifo.least_depth
            if fifo.depth:
                less = connect(net, fifo_depth=sizing.depths | {fifo.stream: fifo.depth - 1})
                found = long_run_interval(less)
                # What is reported is the next whole number of cycles.
                assert fifo.interval_with_one_less == (None if found is None else math.ceil(found))
                lost += found is None or found > interval
    assert lost >= 8


def test_a_budget_is_kept_at_the_shortest_interval() -> None:
    net, interval = bursty_net(np.random.default_rng(2)), 66
    whole = size_fifos(net, measure="bits")
    sizing = size_fifos(net, measure="bits", budget=whole.bits / 2)
    assert sizing.interval_without_limit == interval
    assert sizing.interval_cycles > interval
    assert sizing.grid_total <= whole.bits / 2
    assert long_run_interval(connect(net, fifo_depth=sizing.depths)) <= sizing.interval_cycles
    assert size_fifos(net, measure="bits", budget=2 * whole.bits).interval_cycles == interval


def test_an_interval_that_no_fifos_keep_is_refused() -> None:
    with pytest.raises(SimulationError, match=r"small: one image in 15 cycles .* it takes 16"):
        size_fifos(small_network(), interval=15)


def bursts() -> Dataflow:
    """A net that takes 48 cycles an image and needs two FIFOs for it."""
    return bursty_net(np.random.default_rng(8))


def test_a_slower_interval_needs_fewer_fifos() -> None:
    fast, slow = (size_fifos(bursts(), interval=interval) for interval in (48, 400))
    assert (fast.interval_cycles, slow.interval_cycles) == (48, 400)
    assert slow.interval_without_limit == 48
    assert slow.total < fast.total
    assert str(slow).endswith(
        f"one image in 400 cycles; {slow.total:,.1f} LUT equivalents; on the grid of powers of two "
        f"{slow.grid_total:,.1f}, the least"
    )


def test_a_report_is_plain_values_and_a_table() -> None:
    sizing = size_fifos(bursts())
    report = sizing.as_json()
    assert sum(depth > 0 for depth in sizing.depths.values()) == 2
    assert report["depths"] == sizing.depths
    assert [fifo["stream"] for fifo in report["fifos"]] == [f.stream for f in sizing.fifos]
    assert report["bits"] == sum(fifo.depth * fifo.width_bits for fifo in sizing.fifos)
    assert len(str(sizing).splitlines()) == len(sizing.fifos) + 2


def test_a_stage_that_blocks_itself_is_named() -> None:
    buffer = Buffer(
        writer=0, reader=1, capacity=1, latency=1,
        needs=np.array([2, 2], np.int32), releases=np.array([1, 2], np.int32),
    )  # fmt: skip
    writer = Thread(consumes={"s_axis": table(2, slice(None))}, produces={})
    reader = Thread(consumes={}, produces={"m_axis": table(2, slice(None))})
    stage = Timed(
        name="s", inputs=("x",), outputs=("y",), beats_in=(2,), beats_out=(2,),
        timing=Schedule(threads=(writer, reader), buffers=(buffer,),
                        pipes={"m_axis": Pipe(latency=1, capacity=2)}),
    )  # fmt: skip
    net = Dataflow(name="net", inputs={"x": beats_type(2)}, outputs=("y",), stages=(stage,))
    with pytest.raises(SimulationError, match="net: deadlock, whatever the FIFOs"):
        size_fifos(net)


def test_beats_in_another_order_than_they_are_taken_need_a_fifo_to_wait_in() -> None:
    """One stage gives two beats to one stream, then two to the other; the next wants them first."""
    halves = table(4, slice(0, 2)), table(4, slice(2, 4))
    pipe = Pipe(latency=1, capacity=1)
    give = Timed(
        name="give", inputs=("x",), outputs=("a", "b"), beats_in=(3,), beats_out=(6, 6),
        timing=Schedule(
            threads=(
                Thread(
                    consumes={"s_axis": table(4, 0)},
                    produces={"m_axis_0": halves[0], "m_axis_1": halves[1]},
                ),
            ),
            pipes={"m_axis_0": pipe, "m_axis_1": pipe},
        ),
    )  # fmt: skip
    take = Timed(
        name="take", inputs=("a", "b"), outputs=("y",), beats_in=(6, 6), beats_out=(3,),
        timing=Schedule(
            threads=(
                Thread(
                    consumes={"s_axis_0": halves[1], "s_axis_1": halves[0]},
                    produces={"m_axis": table(4, -1)},
                ),
            ),
            pipes={"m_axis": pipe},
        ),
    )  # fmt: skip
    net = Dataflow(name="net", inputs={"x": beats_type(3)}, outputs=("y",), stages=(give, take))
    with pytest.raises(StalledError):
        simulate(net, images=1)
    sizing = size_fifos(net, effort="minimal")
    assert sizing.is_minimal
    assert sizing.depths.keys() >= {"a"}
    assert long_run_interval(connect(net, fifo_depth=sizing.depths)) == sizing.interval_cycles
    less = {fifo.stream: fifo.interval_with_one_less for fifo in sizing.fifos}
    for stream, depth in sizing.depths.items():
        if not depth:
            continue
        smaller = connect(net, fifo_depth=sizing.depths | {stream: depth - 1})
        assert long_run_interval(smaller) == less[stream]
