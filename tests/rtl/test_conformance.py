"""Every stage with random parameters: RTL integers == execute, RTL cycles == clock simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from popshift.flows.conformance import bench, check, random_bench
from popshift.flows.verilate import compile_model
from popshift.hw.dtypes import BIPOLAR
from popshift.hw.emit import emit
from popshift.hw.stages import STAGES, MatVec


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", sorted(STAGES))
def test_rtl_equals_execute_and_clock(kind: str, seed: int, tmp_path: Path) -> None:
    result = check(random_bench(kind, 12, seed), tmp_path, seed=seed)
    assert result.first == ()
    assert result.mismatches == 0
    assert result.elements > 1000


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
    source = tmp_path / "rtl" / "fifo.sv"
    source.write_text(source.read_text() + "\n// changed\n")
    assert compile_model(tmp_path / "rtl", dataflow, tmp_path).program != first.program


def test_a_waveform_holds_the_streams(tmp_path: Path) -> None:
    dataflow = random_bench("fifo", 1, 0)
    emit(dataflow, tmp_path / "rtl")
    model = compile_model(tmp_path / "rtl", dataflow, tmp_path, is_traced=True)
    inputs = dataflow.stages[0].stimulus(2, np.random.default_rng(0))
    model.run(*inputs, trace=tmp_path / "run.vcd")
    text = (tmp_path / "run.vcd").read_text()
    assert "fifo0_x0_tvalid" in text
    assert "fifo0_y0_tready" in text
