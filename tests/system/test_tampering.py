"""A build in which one bit, one threshold or one constant was changed does not verify."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from popshift.flows import CheckFailedError, build, run_step
from popshift.hw import storage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small build that verifies."""
    folder = tmp_path_factory.mktemp("verified") / "build"
    settings = ("model.hidden=[32, 16]", "train.epochs=2", "train.float_epochs=0")
    settings += ("verify.cycle_images=20", "synth.enabled=false", "hardware.fifos=2")
    settings += ("hardware.fps=null", "hardware.folding={fc0: {simd: 8, pe: 4}, fc1: {simd: 8}}")
    build("digits-mlp", overrides=settings, output=folder, until="verify")
    return folder


@pytest.fixture
def folder(verified: Path, tmp_path: Path) -> Path:
    """Return a copy to tamper with."""
    return Path(shutil.copytree(verified, tmp_path / "build"))


def failure(folder: Path) -> str:
    """Return all lines of the failed verification."""
    with pytest.raises(CheckFailedError) as caught:
        run_step(folder, "verify")
    return "\n".join([str(caught.value), *caught.value.lines])


def flip(file: Path, line: int, bit: int = 0) -> None:
    """Flip one bit of one word of a memory image."""
    lines = file.read_text().splitlines()
    lines[line] = f"{int(lines[line], 16) ^ (1 << bit):0{len(lines[line])}x}"
    file.write_text("\n".join(lines) + "\n")


def test_an_untouched_build_verifies_again(folder: Path) -> None:
    run_step(folder, "verify")


def test_one_weight_bit_of_the_hardware(folder: Path) -> None:
    flip(folder / "rtl" / "fc0_weights.hex", 9, bit=4)
    said = failure(folder)
    assert "rtl/fc0_weights.hex line 10: layer fc0, channel 4, weight 12" in said
    assert "layer fc0, stream fc0_out: image" in said
    assert "channel 4, element 4: expected" in said


def test_a_weight_bit_that_no_image_shows(folder: Path) -> None:
    """Pixel 8 of the digits is always 0: only the comparison of the files can tell."""
    flip(folder / "rtl" / "fc0_weights.hex", 9)
    assert "layer fc0, channel 4, weight 8: expected" in failure(folder)


def test_one_threshold_of_the_hardware(folder: Path) -> None:
    flip(folder / "rtl" / "fc1_levels.hex", 3)
    assert "rtl/fc1_levels.hex line 4: layer fc1, channel 3, threshold 0" in failure(folder)


def test_one_weight_of_the_dataflow(folder: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["fc1.weights"] = arrays["fc1.weights"].copy()
        arrays["fc1.weights"][5, 7] *= -1

    edit_arrays(folder, change)
    said = failure(folder)
    assert "layer fc1, weights: channel 5, element 7" in said
    assert "layer fc1, accumulator: image 0, channel 5, element 5" in said


def test_one_threshold_of_the_dataflow(folder: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["fc0.thresholds.levels"] = arrays["fc0.thresholds.levels"].copy()
        arrays["fc0.thresholds.levels"][2, 0] += 1

    edit_arrays(folder, change)
    assert "layer fc0, thresholds.levels: channel 2, element 0" in failure(folder)


def edit_arrays(folder: Path, change) -> None:  # type: ignore[no-untyped-def]
    with np.load(folder / storage.NPZ_FILE) as stored:
        arrays = {name: stored[name] for name in stored.files}
    change(arrays)
    np.savez(folder / storage.NPZ_FILE, **arrays)


def test_a_constant_that_changes_only_the_timing(folder: Path) -> None:
    source = folder / "rtl" / "stream_fifo.sv"
    text = source.read_text()
    assert ".CAPACITY(DEPTH)" in text
    source.write_text(text.replace(".CAPACITY(DEPTH)", ".CAPACITY(1)"))
    said = failure(folder)
    assert "rtl/stream_fifo.sv line" in said
    assert "first differing cycle: expected" in said


def test_a_constant_that_changes_integers(folder: Path) -> None:
    source = folder / "rtl" / "staircase.sv"
    source.write_text(source.read_text().replace(">= $signed(levels", "> $signed(levels"))
    said = failure(folder)
    assert "rtl/staircase.sv line" in said
    assert "layer fc0, stream fc0_out: image" in said


def test_hardware_that_does_not_compile(folder: Path) -> None:
    source = folder / "rtl" / "argmax.sv"
    source.write_text(source.read_text().replace("endmodule", "endmodul"))
    said = failure(folder)
    assert "verilator failed" in said
    assert "rtl/argmax.sv line" in said


def test_an_integer_of_torch(folder: Path) -> None:
    with np.load(folder / "golden.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = next(
        name for name in arrays if name.startswith("tensor/") and arrays[name].shape[1:] == (10,)
    )
    arrays[name] = arrays[name].copy()
    arrays[name][3, 2] += 2
    np.savez(folder / "golden.npz", **arrays)
    said = failure(folder)
    assert "image 3, channel 2, element 2" in said
