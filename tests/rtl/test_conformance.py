"""Every stage with random parameters: RTL integers == execute, RTL cycles == clock simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pylibfst import ffi, lib, string
from pylibfst.helpers import fstReaderIterBlocks, get_scopes_signals2

from popshift.flows.conformance import (
    bench,
    check,
    random_bench,
    random_layers,
    random_unrolled_layers,
)
from popshift.flows.verilate import compile_model
from popshift.hw.dtypes import BIPOLAR
from popshift.hw.emit import emit
from popshift.hw.stages import STAGES, MatVec
from popshift.hw.stages.kernels import KERNELS

from .mutants import directed

# One model of many stages compiles much faster than many models. The long run has 200 of each kind
# and of each kernel of layers, in two; CI the first 25 of them.
BATCHES = ((0, 25), *(pytest.param(seed, 100, marks=pytest.mark.long) for seed in (0, 1)))


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "count"), BATCHES)
@pytest.mark.parametrize("kind", sorted({*STAGES} - {"matvec"}))
def test_rtl_equals_execute_and_clock(kind: str, seed: int, count: int, tmp_path: Path) -> None:
    stages = random_bench(kind, count, seed).stages
    result = check(bench((*stages, *(directed(kind) if seed == 0 else ()))), tmp_path, seed=seed)
    assert result.first == ()
    assert result.mismatches == 0
    assert result.elements > 1000 * count


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "count"), BATCHES)
@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_rtl_of_a_kernel_equals_execute_and_clock(
    kernel: str, seed: int, count: int, tmp_path: Path
) -> None:
    stages = random_layers(kernel, count, seed).stages
    result = check(bench((*stages, *(directed(kernel) if seed == 0 else ()))), tmp_path, seed=seed)
    assert result.first == ()
    assert result.mismatches == 0
    assert result.elements > 1000 * count


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "count"), BATCHES)
@pytest.mark.parametrize("kernel", ["shift", "signed", "xnor"])
def test_rtl_of_constant_weights_equals_execute_and_clock(
    kernel: str, seed: int, count: int, tmp_path: Path
) -> None:
    stages = random_unrolled_layers(kernel, count, seed).stages
    result = check(bench(stages), tmp_path, seed=seed)
    assert result.first == ()
    assert result.mismatches == 0
    assert result.elements > 300 * count


def test_popcount_of_128_equal_bits_is_128(tmp_path: Path) -> None:
    """Another compiler holds this popcount in 8 signed bits and returns -128."""
    rng = np.random.default_rng(0)
    weights = BIPOLAR.random((3, 128), rng)
    stage = MatVec(
        name="fc0",
        inputs=("x",),
        outputs=("y",),
        weights=weights,
        input_dtype=BIPOLAR,
        kernel="xnor",
        simd=32,
        pe=3,
    )
    dataflow = bench((stage,))
    emit(dataflow, tmp_path / "rtl")
    model = compile_model(tmp_path / "rtl", dataflow, tmp_path)
    popcounts = model.run(np.concatenate([weights, -weights])).values["y"]
    assert np.diagonal(popcounts[:3]).tolist() == [128, 128, 128]
    assert np.diagonal(popcounts[3:]).tolist() == [0, 0, 0]


def test_a_model_is_reused_until_its_sources_change(tmp_path: Path) -> None:
    dataflow = random_bench("fifo", 1, 0)
    emit(dataflow, tmp_path / "rtl")
    first = compile_model(tmp_path / "rtl", dataflow, tmp_path)
    made = first.program.stat().st_mtime_ns
    assert compile_model(tmp_path / "rtl", dataflow, tmp_path).program.stat().st_mtime_ns == made
    source = tmp_path / "rtl" / "stream_fifo.sv"
    source.write_text(source.read_text() + "\n// changed\n")
    assert compile_model(tmp_path / "rtl", dataflow, tmp_path).program != first.program


def read_fst(path: Path) -> dict[str, list[tuple[int, str]]]:
    """Return the value changes of every signal."""
    reader = lib.fstReaderOpen(str(path).encode())
    assert reader != ffi.NULL
    _, signals = get_scopes_signals2(reader)
    changes: dict[str, list[tuple[int, str]]] = {name: [] for name in signals.by_name}

    def change(_user: object, time: int, handle: int, value: object) -> None:
        for name, signal in signals.by_name.items():
            if signal.handle == handle:
                changes[name].append((time, string(value)))

    lib.fstReaderSetFacProcessMaskAll(reader)
    fstReaderIterBlocks(reader, change)
    lib.fstReaderClose(reader)
    return changes


def read_vcd(path: Path) -> dict[str, list[tuple[int, str]]]:
    """Return the value changes of every signal."""
    scopes: list[str] = []
    names: dict[str, list[tuple[str, int]]] = {}
    changes: dict[str, list[tuple[int, str]]] = {}
    time = 0
    for words in (line.split() for line in path.read_text().splitlines() if line.strip()):
        if words[0] == "$scope":
            scopes.append(words[2])
        elif words[0] == "$upscope":
            scopes.pop()
        elif words[0] == "$var":
            name = ".".join([*scopes, " ".join(words[4:-1])])
            names.setdefault(words[3], []).append((name, int(words[2])))
            changes[name] = []
        elif words[0][0] == "#":
            time = int(words[0][1:])
        elif words[0][0] in "01b":
            value, key = (
                (words[0][1:], words[1]) if words[0][0] == "b" else (words[0][0], words[0][1:])
            )
            for name, width in names[key]:
                changes[name].append((time, value.rjust(width, "0")))
    return changes


def test_a_waveform_holds_the_streams(tmp_path: Path) -> None:
    dataflow = random_bench("fifo", 1, 0)
    emit(dataflow, tmp_path / "rtl")
    model = compile_model(tmp_path / "rtl", dataflow, tmp_path, is_traced=True)
    inputs = dataflow.stages[0].stimulus(2, np.random.default_rng(0))
    model.run(*inputs, trace=tmp_path / "run.vcd")
    text = (tmp_path / "run.vcd").read_text()
    assert "fifo0_x0_tvalid" in text
    assert "fifo0_y0_tready" in text
    model.run(*inputs, trace=tmp_path / "run.fst")
    fst = read_fst(tmp_path / "run.fst")
    assert fst == read_vcd(tmp_path / "run.vcd")
    assert len(fst["TOP.bench.fifo0_x0_tvalid"]) > 1
