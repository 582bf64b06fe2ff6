"""FIFO depths in Verilator: the RTL keeps and loses the rate, and stands still, as was foretold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from popshift.flows.compare import compare_cycles
from popshift.flows.conformance import side_by_side
from popshift.flows.verilate import RtlTrace, compile_model
from popshift.hw.emit import emit
from popshift.hw.graph import Dataflow
from popshift.hw.passes import FifoSizing, apply_folding, connect, fold, size_fifos
from popshift.hw.passes.connect import without_fifos
from popshift.hw.passes.fold import cycles_per_image
from popshift.hw.sim import StalledError, simulate
from popshift.hw.stages import Window

from .test_bypass import random_folding, random_net, residual
from .test_fold_conv import CNV_FOLDING, CONVOLUTIONS, network
from .test_passes_fifos import FAST_FOLDING


def in_verilator(nets: Mapping[str, Dataflow], images: int, folder: Path) -> RtlTrace:
    """Run some networks in one model, and compare every beat with the simulator.

    A beat that never comes in the one must never come in the other.
    """
    together = side_by_side([replace(net, name=name) for name, net in nets.items()])
    try:
        expected = simulate(together, images=images).cycles
    except StalledError as error:
        expected = error.trace.cycles
    emit(together, folder / "rtl")
    model = compile_model(folder / "rtl", together, folder, optimise="-O0")
    rng = np.random.default_rng(0)
    given = [kind.dtype.random((images, *kind.shape), rng) for kind in together.inputs.values()]
    rtl = model.run(*given)
    assert compare_cycles(together, expected, rtl.cycles).first == ()
    return rtl


def with_tight_line_buffers(net: Dataflow) -> Dataflow:
    """Return ``net`` with the fewest words in its line buffers, so that layers wait."""
    stages = tuple(
        stage.with_(depth=stage.lines.least_capacity) if isinstance(stage, Window) else stage
        for stage in net.stages
    )
    return replace(net, stages=stages)


def convolutions() -> Dataflow:
    net = network([(3, 8, ""), (8, 8, "pool"), (8, 16, ""), (16, 16, "")], [16, 10], side=16)
    return with_tight_line_buffers(fold(net, fps=40_000, clock_mhz=100))


def bypass() -> Dataflow:
    return fold(residual(size=8, layers=3), fps=1e5, clock_mhz=100)


def one_less(net: Dataflow, sizing: FifoSizing) -> dict[str, Dataflow]:
    """Return ``net`` with each FIFO, in turn, of a beat less, by stream."""
    return {
        fifo.stream: connect(net, fifo_depth=sizing.depths | {fifo.stream: fifo.depth - 1})
        for fifo in sizing.fifos
        if fifo.depth
    }


@pytest.mark.slow
@pytest.mark.parametrize(("make", "fifos"), [(convolutions, 3), (bypass, 1)])
def test_sized_fifos_keep_the_rate_of_the_slowest_stage_and_a_beat_less_loses_it(
    make, fifos: int, tmp_path: Path
) -> None:
    images, settled = 24, 8
    net = make()
    slowest = max(cycles_per_image(stage) for stage in net.stages)
    sizing = size_fifos(net, effort="minimal", measure="bits")
    assert sizing.is_minimal
    smaller = one_less(net, sizing)
    assert len(smaller) == fifos
    nets = {"sized": connect(net, fifo_depth=sizing.depths), **smaller}
    rtl = in_verilator(nets, images, tmp_path)
    reported = {fifo.stream: fifo.interval_with_one_less for fifo in sizing.fifos}
    for name, one in nets.items():
        ends = rtl.cycles[f"{name}_{one.outputs[0]}"].reshape(images, -1)[:, -1]
        interval = Fraction(int(ends[-1] - ends[settled - 1]), images - settled)
        if name == "sized":
            assert set(np.diff(ends[settled - 1 :]).tolist()) == {slowest}
        else:
            assert interval > slowest
            assert math.ceil(interval) == reported[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folding", "interval"),
    [
        (CNV_FOLDING, 32_768),
        pytest.param(FAST_FOLDING, 8_192, marks=pytest.mark.long),
    ],
)
def test_cnv_keeps_its_rate_in_rtl_and_loses_it_without_a_beat_of_its_fifo(
    folding: dict[str, dict[str, int]], interval: int, tmp_path: Path
) -> None:
    """As it is, it needs no FIFOs; with the fewest words in its line buffers it needs one.

    That it keeps its rate without FIFOs in Verilator is among the tests of the whole system.
    """
    images = 3
    net = apply_folding(network(CONVOLUTIONS, [512, 512, 10], side=32), folding)
    assert max(cycles_per_image(stage) for stage in net.stages) == interval
    plain = size_fifos(net, effort="minimal", measure="bits")
    assert not any(plain.depths.values())
    tight = with_tight_line_buffers(net)
    sizing = size_fifos(tight, effort="minimal", measure="bits")
    assert sizing.is_minimal
    ((_, less),) = one_less(tight, sizing).items()
    nets = {"sized": connect(tight, fifo_depth=sizing.depths), "less": less}
    rtl = in_verilator(nets, images, tmp_path)
    found = {name: np.diff(rtl.cycles[f"{name}_{one.outputs[0]}"]) for name, one in nets.items()}
    assert set(found["sized"].tolist()) == {interval}
    (fifo,) = (fifo for fifo in sizing.fifos if fifo.depth)
    assert fifo.interval_with_one_less is not None
    assert fifo.interval_with_one_less > interval
    assert set(found["less"].tolist()) == {fifo.interval_with_one_less}


@pytest.mark.slow
def test_rtl_stands_still_in_a_deadlock_and_flows_with_the_depth_that_is_said_to_cure_it(
    tmp_path: Path,
) -> None:
    images = 3
    net = residual()
    with pytest.raises(StalledError) as stalled:
        simulate(connect(net, fifo_depth={"x_0": 3}), images=images)
    before, _, after = str(stalled.value).partition("FIFO x_0_fifo is too small: a depth of ")
    # All around: from the fork through what is full to the sum, and back through the layers.
    for wait in (
        "fork_x waits for x_0_fifo to take a beat of x_0, which is full with 2; ",
        "x_0_fifo waits for s4 to take a beat of x_0_fifo_out, which is full with 3; ",
        "s4 waits for a beat of s3_out from s3; ",
        "s0 waits for a beat of x_1 from fork_x; ",
    ):
        assert wait in before
    cure = int(after.split()[0])
    assert after.startswith(f"{cure} ends this, it has 3; incomplete streams: ")
    depths = (3, cure - 1, cure)
    nets = {f"depth{depth}": connect(net, fifo_depth={"x_0": depth}) for depth in depths}
    rtl = in_verilator(nets, images, tmp_path)
    beats = {name: len(rtl.cycles[f"{name}_{one.outputs[0]}"]) for name, one in nets.items()}
    whole = images * net.streams[net.outputs[0]].beats
    assert beats["depth3"] < whole
    assert beats[f"depth{cure - 1}"] < whole
    assert beats[f"depth{cure}"] == whole
    # The run went on until nothing had moved for longer than any stage can take.
    assert rtl.total_cycles > max(int(c.max(initial=0)) for c in rtl.cycles.values()) + 64


@pytest.mark.slow
def test_random_networks_without_fifos_stop_at_the_same_beats_in_rtl(tmp_path: Path) -> None:
    nets: dict[str, Dataflow] = {}
    stuck = 0
    for seed in (0, 1, 2, 3, 5, 53, 61):
        net = without_fifos(random_folding(random_net(seed), np.random.default_rng(seed)))
        nets[f"net{seed}"] = net
        try:
            simulate(net, images=2)
        except StalledError:
            stuck += 1
    assert 0 < stuck < len(nets)
    in_verilator(nets, 2, tmp_path)
