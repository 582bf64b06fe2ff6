"""What a simulation says of each cycle: signals as in the RTL, and what stages do with their time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from popshift.flows.conformance import side_by_side
from popshift.flows.patterns import random_patterns
from popshift.flows.verilate import compile_model
from popshift.hw.dtypes import IntArray
from popshift.hw.emit import emit
from popshift.hw.graph import Dataflow
from popshift.hw.passes import connect, fold, size_fifos
from popshift.hw.passes.fold import cycles_per_image
from popshift.hw.sim import StalledError, simulate
from popshift.hw.stages import Fifo

from .networks import small_network
from .test_bypass import random_folding, random_net, residual
from .timing_graphs import random_graph

RESET_CYCLES = 1  # of the harness


def levels(path: Path, cycles: int, begin: int = 0) -> Mapping[str, IntArray]:
    """Return the value of each signal of a VCD in some cycles, by name: two steps of time a cycle.

    A cycle is seen at its begin, before the edge of the clock in its middle.
    """
    names: dict[str, list[str]] = {}
    changes: dict[str, list[tuple[int, int]]] = {}
    time = 0
    for words in (line.split() for line in path.read_text().splitlines() if line.strip()):
        if words[0] == "$var":
            names.setdefault(words[3], []).append(words[4])
            changes[words[3]] = []
        elif words[0][0] == "#":
            time = int(words[0][1:])
        elif words[0][0] == "b":
            changes[words[1]].append((time, int(words[0][1:], 2)))
        elif words[0][0] in "01":
            changes[words[0][1:]].append((time, int(words[0][0])))
    at = 2 * (begin + np.arange(cycles))
    found = {}
    for key, known in changes.items():
        if known:
            times, values = (np.array(column) for column in zip(*known, strict=True))
            found |= dict.fromkeys(names[key], values[np.searchsorted(times, at, "right") - 1])
    return found


def nets() -> Dataflow:
    """Return every kind of stage, branches, deep and shallow FIFOs, sums that wait, side by side."""
    found = [replace(small_network(), name="small"), replace(connect(residual()), name="residual")]
    for seed in range(3):
        net = random_folding(random_net(seed), np.random.default_rng(seed))
        found.append(replace(connect(net), name=f"net{seed}"))
    return side_by_side(found)


@pytest.mark.slow
def test_valid_and_ready_of_every_stream_are_those_of_the_rtl_in_every_cycle(
    tmp_path: Path,
) -> None:
    images = 2
    together = nets()
    emit(together, tmp_path / "rtl")
    model = compile_model(tmp_path / "rtl", together, tmp_path, optimise="-O0", is_traced=True)
    rng = np.random.default_rng(0)
    given = [kind.dtype.random((images, *kind.shape), rng) for kind in together.inputs.values()]
    for gaps, ready in (({}, {}), random_patterns(together, rng)):
        expected = simulate(together, images=images, gaps=gaps, ready=ready)
        cycles = expected.total_cycles
        expected.write_vcd(tmp_path / "simulated.vcd")
        model.run(*given, gaps=gaps, ready=ready, trace=tmp_path / "rtl.vcd")
        simulated = levels(tmp_path / "simulated.vcd", cycles)
        rtl = levels(tmp_path / "rtl.vcd", cycles, RESET_CYCLES)
        for stream in together.streams:
            for signal in ("tvalid", "tready"):
                name = f"{stream}_{signal}"
                np.testing.assert_array_equal(simulated[name], rtl[name], err_msg=name)
            moved = np.flatnonzero(simulated[f"{stream}_transfer"])
            np.testing.assert_array_equal(moved, expected.cycles[stream])


def test_a_fifo_holds_what_went_in_and_not_out() -> None:
    together = nets()
    found = simulate(together, images=2, gaps={"small_x": [3, 0, 1]})
    fifos = [stage for stage in together.stages if isinstance(stage, Fifo)]
    assert len(fifos) >= 4
    now = np.arange(found.total_cycles)
    for fifo in fifos:
        at, held = found.handshakes(fifo.outputs[0]).held
        went_in, went_out = (
            np.searchsorted(found.cycles[stream], now) for stream in (*fifo.inputs, *fifo.outputs)
        )
        seen = np.append(0, held)[np.searchsorted(at, now, "right")]
        np.testing.assert_array_equal(seen, went_in - went_out)
        assert held.max() <= fifo.depth


def test_the_slowest_stage_works_all_the_time_and_what_is_around_it_waits() -> None:
    net = fold(residual(size=8, layers=3), fps=1e5, clock_mhz=100)
    sized = connect(net, fifo_depth=size_fifos(net).depths)
    found = simulate(sized, images=30)
    cycles = {stage.name: cycles_per_image(stage) for stage in sized.stages}
    slowest = max(cycles.values())
    seen = set()
    for activity in found.activities():
        whole = activity.images * slowest
        assert activity.busy + activity.starved + activity.blocked == whole
        assert activity.busy <= activity.images * cycles[activity.stage]
        if cycles[activity.stage] == slowest:
            assert activity.utilisation == 1
        seen |= {what for what in ("starved", "blocked") if getattr(activity, what)}
    assert seen == {"starved", "blocked"}
    limit = found.critical_cycle()
    assert limit is not None
    assert limit.interval == slowest
    assert [cycles[stage] for stage in limit.stages] == [slowest]


def test_a_fifo_that_is_too_small_is_on_the_critical_cycle() -> None:
    net = fold(residual(size=8, layers=3), fps=1e5, clock_mhz=100)
    depths = size_fifos(net, effort="minimal", measure="bits").depths
    less = connect(net, fifo_depth=depths | {"x_0": depths["x_0"] - 1})
    limit = simulate(less, images=100).critical_cycle()
    assert limit is not None
    assert "x_0_fifo_out" in limit.full
    assert str(limit).startswith("fork_x, ")
    assert "wait for each other: " in str(limit)


def test_the_critical_cycle_takes_what_images_take_in_the_long_run() -> None:
    checked = several = 0
    for seed in range(80):
        net = random_graph(np.random.default_rng(seed))
        try:
            found = simulate(net, images=1200)
        except StalledError:
            continue
        limit = found.critical_cycle()
        if limit is not None:
            assert limit.interval == Fraction(int(found.ends[-1] - found.ends[-841]), 840), seed
            checked += 1
            several += len(limit.stages) > 1
    assert checked >= 30
    assert several >= 5
