"""What Yosys makes of stages, cell by cell, and how far the estimates are from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from popshift.flows.bench import lut
from popshift.flows.conformance import bench
from popshift.flows.synth.cells import Cells, count_cells, measure_stages
from popshift.hw import cost
from popshift.hw.cost import Cost
from popshift.hw.dtypes import BIPOLAR, IntArray, unsigned
from popshift.hw.errors import FoldingError
from popshift.hw.graph import Stage, StreamType
from popshift.hw.stages import Argmax, Fifo, MatVec, Threshold, Thresholds, Width


def cells(**counts: int) -> Cells:
    names = ("lut4", "ccu2c", "chains", "taps", "dpr16x4", "ff", "dp16kd", "dsp")
    return Cells(**{name: counts.get(name, 0) for name in names})


def matvec(name: str, shape: tuple[int, int], **fields: object) -> MatVec:
    return layer(name, BIPOLAR.random(shape, np.random.default_rng(0)), **fields)


def layer(name: str, weights: IntArray, **fields: object) -> MatVec:
    ends = {"inputs": (f"{name}_x",), "outputs": (f"{name}_y",)}
    return MatVec(name=name, **ends, weights=weights, **fields)


def coded(planes: int, rng: np.random.Generator) -> IntArray:
    """Return rows of planes whose scales have four bits."""
    signs = rng.choice([-1, 1], (8, planes, 32))
    return np.asarray(np.einsum("rp,rpc->rc", rng.integers(1, 16, (8, planes)), signs), np.int64)


def representative() -> tuple[Stage, ...]:
    beats = StreamType(dtype=unsigned(4), shape=(64,), lanes=1)
    levels: IntArray = np.arange(16)[:, None] * 5
    return (
        Fifo(name="fifo16", inputs=("a",), outputs=("b",), type=beats, depth=16),
        Fifo(name="fifo2", inputs=("c",), outputs=("d",), type=beats, depth=2),
        Width(name="up", inputs=("e",), outputs=("f",), type=beats, lanes=4),
        matvec("bits", (64, 64), input_dtype=BIPOLAR, kernel="xnor", simd=16, pe=2),
        matvec("add", (64, 64), input_dtype=unsigned(8), kernel="signed", simd=4, pe=2),
        Threshold(
            name="stairs",
            inputs=("g",),
            outputs=("h",),
            thresholds=Thresholds(levels=levels, is_rising=np.ones(16)),
            input_dtype=unsigned(7),
        ),
        Argmax(name="argmax", inputs=("i",), outputs=("j",), classes=10, input_dtype=unsigned(7)),
    )


@pytest.mark.slow
def test_cells_of_representative_stages(tmp_path: Path) -> None:
    """A change here is meant, or a loss: of LUTs, or of what Yosys recognizes."""
    assert measure_stages(bench(representative()), tmp_path) == {
        # 16 x 4 bits are one distributed memory. Pointers 4 + 4 bits, the read pointer a second
        # time at the memory, 5 bits of beats waiting, whose +1 or -1 is the chain of 3 pairs.
        "fifo16": cells(lut4=19, ccu2c=3, chains=1, dpr16x4=1, ff=4 + 4 + 4 + 5),
        # 2 x 4 bits stay in flip-flops: one LUT a bit selects, no counter needs a chain.
        "fifo2": cells(lut4=16, ff=2 * 4 + 1 + 1 + 1 + 2),
        # Three parts, the wide beat, its valid bit, a counter to 4.
        "up": cells(lut4=7, ff=3 * 4 + 16 + 1 + 2),
        # Weights, 128 x 32 bits, in one block RAM; two vectors of 4 beats of 16 bits and 2 beats of 2
        # bits in 4 + 4 distributed memories. Chains: two accumulators of 7 bits. Flip-flops: folds;
        # beats written and waiting, places, halves; beats; valid, last and done; beats as sums, and
        # weights; in each neuron two registers inside the popcount and the popcount, sums and totals;
        # the buffer.
        "bits": cells(
            lut4=122,
            ccu2c=2 * 4,
            chains=2,
            dpr16x4=4 + 4,
            ff=(2 + 5)
            + (2 + 4 + 2 + 2)
            + 16
            + (5 + 5 + 1)
            + (16 + 2 + 32)
            + 2 * ((7 + 2) + (2 + 1 + 1) + 5 + 7 + 7)
            + (2 + 2 + 1 + 1 + 1),
            dp16kd=1,
        ),
        # Chains: sums and differences of 9 bits of two pairs of lanes, which both neurons share, in
        # front of a register; in each neuron the sum of 11 bits and the accumulator of 15, with a 1
        # as carry of either; the counter of 32 waiting beats. A cleared accumulator needs no LUT a
        # bit. Two vectors of 16 beats of 32 bits are in block RAM.
        "add": cells(
            lut4=85,
            ccu2c=4 * 5 + 2 * 6 + 2 * 8 + 3,
            chains=4 + 2 + 2 + 1,
            ff=(4 + 5)
            + (4 + 6 + 2 + 2)
            + 32
            + (4 + 4 + 1)
            + (4 * 9 + 2 * 8)
            + 2 * (11 + 1 + 15 + 15)
            + (30 + 1 + 1),
            dp16kd=1 + 1,
        ),
        # Levels 0 to 75 take 7 bits of a LUT each; the chain compares 7 bits. Flip-flops: counter;
        # input, valid and levels twice, because block RAM needs a register behind it; counters,
        # pointers, address and 4 bits of the buffer.
        "stairs": cells(
            lut4=36, ccu2c=4, chains=1, ff=4 + 2 * (7 + 1 + 7) + (3 + 3 + 2 + 2 + 2 + 4)
        ),
        # The chain compares 6 bits with the best so far, a LUT the seventh. Flip-flops: three values, three indices,
        # first and last, valid, counter, buffer.
        "argmax": cells(
            lut4=25, ccu2c=3, chains=1, taps=1, ff=3 * 7 + 3 * 4 + 4 + 2 + 4 + (4 + 1 + 1)
        ),
    }


def unrolled(rng: np.random.Generator) -> tuple[Stage, ...]:
    ternary = rng.integers(-1, 2, (16, 24))
    powers = BIPOLAR.random((8, 16), rng) << rng.integers(0, 6, (8, 16))
    whole = {"kernel": "signed", "simd": 24, "pe": 16}
    small = {"simd": 16, "pe": 8}
    return (
        layer("graph1", ternary, input_dtype=unsigned(8), **whole),
        layer("graph2", ternary, input_dtype=BIPOLAR, **whole),
        layer(
            "graph3",
            rng.integers(-8, 8, (8, 16)),
            input_dtype=unsigned(4),
            kernel="signed",
            **small,
        ),
        layer("graph4", powers, input_dtype=unsigned(8), kernel="shift", **small),
        matvec("unrolled", (16, 64), input_dtype=BIPOLAR, kernel="xnor", simd=64, pe=16),
    )


@pytest.mark.slow
def test_kernels_take_no_dsp_block_and_about_the_estimated_luts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    signs, wide = BIPOLAR.random((8, 32), rng), {"input_dtype": unsigned(8), "simd": 8, "pe": 2}
    narrow = wide | {"input_dtype": unsigned(2)}
    stages = (
        layer("signed4", rng.integers(-7, 8, (8, 32)), kernel="signed", **wide),
        layer("odd", 2 * signs + signs[::-1], kernel="signed", **wide),
        layer("shift7", signs << rng.integers(0, 7, (8, 32)), kernel="shift", **wide),
        layer("shift2", rng.integers(-1, 2, (8, 32)), kernel="shift", **wide),
        layer("planes1", signs, kernel="planes", **narrow),
        layer("planes2", 2 * signs + signs[::-1], kernel="planes", **narrow),
        layer("planes3", rng.integers(-3, 4, (8, 32)), kernel="planes", **narrow),
        layer("adder", rng.integers(-100, 100, (8, 32)), kernel="adder", **wide),
        *unrolled(rng),
        layer("coded2", coded(2, rng), kernel="coded", **wide),
        layer("coded3", coded(3, rng), kernel="coded", **narrow),
        layer("coded3_four", coded(3, rng), kernel="coded", **wide | {"simd": 16}),
    )
    found = measure_stages(bench(stages), tmp_path)
    assert {name: cells.dsp for name, cells in found.items()} == {s.name: 0 for s in stages}
    for stage in stages:
        estimate, actual = stage.cost(), found[stage.name].cost
        assert abs(estimate.lut - actual.lut) <= max(20, actual.lut / 5), (stage.name, actual)


def test_nextpnr_counts_the_beginnings_and_taps_of_carry_chains_and_write_ports():
    """Sums that nextpnr reported: 16-bit adder 18, 16-bit comparator 21, 16 x 16 memory 24."""
    assert cells(ccu2c=8, chains=1).cost == Cost(lut=18)
    assert cells(lut4=1, ccu2c=8, chains=1, taps=1).cost == Cost(lut=21)
    assert cells(dpr16x4=4, ff=16).cost == Cost(lut=24, ff=16)
    # The example cnv-w1a1 with its UART.
    whole = cells(lut4=5717, ccu2c=896, chains=171, taps=39, dpr16x4=76, ff=9932, dp16kd=172)
    assert whole.cost == Cost(lut=8385, ff=9932, bram=172)


def test_chains_and_taps_are_counted_from_connections():
    def carry(cin: object, cout: int) -> dict[str, object]:
        return {
            "type": "CCU2C",
            "connections": {"CIN": [cin], "COUT": [cout]},
            "port_directions": {"CIN": "input", "COUT": "output"},
        }

    lut4 = {
        "type": "LUT4",
        "connections": {"A": [3], "Z": [9]},
        "port_directions": {"A": "input", "Z": "output"},
    }
    module = {
        # Two chains: 0 -> 2 -> 3 -> 4 with 3 read by a LUT and 4 by nothing, and 1 -> 5, which leaves
        # by a port.
        "cells": {
            "a": carry("0", 2),
            "b": carry(2, 3),
            "c": carry(3, 4),
            "d": carry("1", 5),
            "e": lut4,
        },
        "ports": {"y": {"direction": "output", "bits": [5]}},
    }
    assert count_cells(module) == cells(lut4=1, ccu2c=4, chains=2, taps=2)


@pytest.mark.slow
def test_estimates_are_close(tmp_path: Path) -> None:
    network = lut.digits_mlp()
    found = lut.measure((*network.stages, *lut.random_stages(8, seed=1)), tmp_path)
    whole, small = found[: len(network.stages)], found[len(network.stages) :]
    # The network within 5 %, each of its stages within 20 % or 20 LUTs, flip-flops within 1 %,
    # block RAMs exactly.
    estimated, actual = (
        sum((one.estimate for one in whole), Cost()),
        sum((one.actual for one in whole), Cost()),
    )
    assert abs(estimated.lut - actual.lut) <= actual.lut / 20
    assert [one.stage.name for one in whole if not one.is_close] == []
    assert abs(estimated.ff - actual.ff) <= actual.ff / 100
    assert estimated.bram == actual.bram
    # Of small stages nine in ten; the others hold weights or levels that simplify by luck.
    assert len(small) == 64
    assert sum(one.is_close for one in small) >= 58
    assert [one.stage.name for one in small if one.estimate.bram != one.actual.bram] == []
    for one in small:
        assert one.actual.lut / 2 - 20 <= one.estimate.lut <= 2 * one.actual.lut + 20
        assert abs(one.estimate.ff - one.actual.ff) <= max(20, one.actual.ff / 3)
    # Neurons of equal weights share their registers, which the estimate does not know.
    close = [abs(o.estimate.ff - o.actual.ff) <= max(20, o.actual.ff / 20) for o in small]
    assert sum(close) >= 58


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every stage take 25 LUTs more than estimated, without synthesis."""

    def more(stages: Sequence[Stage], folder: Path) -> list[lut.Measured]:
        return [lut.Measured(stage, stage.cost(), stage.cost() + Cost(lut=25)) for stage in stages]

    monkeypatch.setattr(lut, "measure", more)


def test_json_has_a_row_for_the_network_and_each_stage(
    measured: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lut.main(as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    network = lut.digits_mlp()
    assert report["stages"] == len(network.stages) + 64 == len(report["rows"]) - 1
    assert set(report["rows"][0]) == {"work", "popshift", "peer", "peer_name", "ratio"}
    whole, first = report["rows"][:2]
    assert whole["work"] == "digits-mlp"
    assert whole["popshift"] == network.cost().lut
    assert whole["peer"] == network.cost().lut + 25 * len(network.stages)
    assert first["work"] == "x_fifo: 4 x uint5 depth 16"
    assert first["ratio"] == first["popshift"] / first["peer"]
    # 25 LUTs are a fifth of 125: only stages as large as that are close.
    assert 0 < report["close"] < report["stages"]


def test_table_has_estimated_and_measured_luts(
    measured: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert lut.main(as_json=False) == 0
    printed = capsys.readouterr().out
    assert "xnor 256x256 simd 32 pe 2" in printed
    assert all(word in printed for word in ("estimated", "measured", "ratio"))


def test_a_read_only_memory_moves_to_block_ram_where_it_saves_enough():
    # 16 words of a bit are one LUT, 64 words nine: 11 bits of 64 words are worth a block RAM.
    assert cost.memory(16, 200) == Cost(lut=200, ff=200)
    assert cost.memory(64, 10) == Cost(lut=90, ff=10)
    assert cost.memory(64, 11) == Cost(bram=1)
    # 1024 words of 64 bits: 18 bits a block.
    assert cost.memory(1024, 64) == Cost(bram=4)
    # 16384 words: a bit a block, so that nothing selects among blocks. More take two rows of them.
    assert cost.memory(16384, 36) == Cost(bram=36)
    assert cost.memory(24576, 24) == Cost(lut=24, ff=1, bram=48)
    assert cost.memory(1, 64) == Cost()
    # Two words have two columns that are not constant, whatever the width.
    assert cost.memory(2, 1000) == Cost(lut=2, ff=2)


def test_fields_that_leave_the_weights_alone_keep_what_was_computed_from_them():
    narrow = matvec("fc", (6, 4), input_dtype=unsigned(3), kernel="signed", simd=2, pe=3)
    wider = narrow.with_(simd=4, pe=1, outputs=("z",))
    assert (wider.simd, wider.pe, wider.outputs) == (4, 1, ("z",))
    assert wider.weights is narrow.weights
    assert wider.__dict__["accumulator_range"] is narrow.__dict__["accumulator_range"]
    assert (narrow.simd, narrow.pe) == (2, 3)
    ones = narrow.with_(weights=np.ones((6, 4)))
    assert ones.accumulator_range == (0, 28)
    with pytest.raises(FoldingError, match="simd=3 must divide MW=4"):
        narrow.with_(simd=3)
    with pytest.raises(TypeError):
        narrow.with_(lanes=3)
