"""Every family of weights: torch == QONNX == reference == both simulators == RTL, on every stream.

A small network of each is trained for a moment, exported, compiled and proven by all the checks of a
build: integers and cycles, back to back and under gaps and stalls.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from popshift.flows import build
from popshift.flows.bench.methods import METHODS, Measured, Method, config_of, measure
from popshift.flows.config import HardwareSection, validate
from popshift.hw import storage
from popshift.hw.stages import Layer
from popshift.models import data, export, zoo

CHECKS = (
    "qonnx",
    "parameters",
    "reference",
    "packed",
    "rtl files",
    "simulator",
    "rtl",
    "rtl with gaps and stalls",
    "rtl classes",
)
MLP = {"zoo": "mlp", "hidden": [10, 12]}
CNN = {"zoo": "digits-cnn", "features": [3, "max2", 4, "avg2"], "pool_at": "accumulator"}


def check(folder: Path) -> None:
    """Look at what a build compared."""
    stages = json.loads((folder / "verify.json").read_text())["stages"]
    assert tuple(stage["name"] for stage in stages) == CHECKS
    assert all(stage["elements"] > 0 for stage in stages)
    assert [line for stage in stages for line in stage["first"]] == []


def proven(method: Method, folder: Path, **model) -> Measured:
    """Return what was measured, after a look at what was compared."""
    config = config_of(method, folder / "build", epochs=2, images=6, **model)
    found = measure(config, method)
    check(folder / "build")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_agrees_at_all_levels(method: Method, tmp_path: Path) -> None:
    found = proven(method, tmp_path, **MLP)
    assert found.mismatches == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        Method("shift-ps3", recipe="shift-ps"),
        Method("adder4", recipe="adder"),
        Method("planes2", "planes2"),
    ],
    ids=lambda method: method.name,
)
def test_windows_and_pools_of_a_method_agree_at_all_levels(method: Method, tmp_path: Path) -> None:
    found = proven(method, tmp_path, **CNN)
    assert found.mismatches == 0


@pytest.mark.slow
@pytest.mark.parametrize("planes", [2, 3])
def test_planes_stored_as_signs_agree_at_all_levels(planes: int, tmp_path: Path) -> None:
    """Hidden layers with the kernel ``coded``, with several cycles a neuron fold and with one."""
    method = Method(f"planes{planes}", "planes2")
    config = config_of(method, tmp_path / "build", epochs=2, images=6, **MLP)
    folding = {
        "fc0": {"kernel": "coded", "simd": 8, "pe": 2},
        "fc1": {"kernel": "coded", "simd": 10, "pe": 3},
        "fc2": {"kernel": "coded", "simd": 4, "pe": 1},
    }
    hardware = HardwareSection(clock_mhz=25.0, folding=folding)
    found = measure(config.model_copy(update={"hardware": hardware}), method)
    check(tmp_path / "build")
    assert found.mismatches == 0
    assert found.kernels == ("coded", "coded", "coded")
    assert found.weight_bits == planes * (64 * 10 + 10 * 12 + 12 * 10)


@pytest.mark.slow
def test_ghosts_of_powers_of_two_agree_at_all_levels(tmp_path: Path) -> None:
    """Depthwise layers of shifts, joined channels, sums of branches (GhostNet)."""
    rows = ((3, 4, 4, 0.0, 1), (3, 6, 4, 0.0, 2))
    net = zoo.create("digits-ghost", rows=rows, head=6, weight="shift-q3")
    images = data.load("digits-8").test.images
    net.train()(images[:64].float())
    files = export(net.eval(), tmp_path / "ghost.onnx", inputs=images[:6])
    config = validate(
        {
            "name": "ghost",
            "output": str(tmp_path / "build"),
            "model": {"onnx": str(files.model), "golden": str(files.golden)},
            "hardware": {"fps": 10_000, "clock_mhz": 25.0},
            "verify": {"cycle_images": 2},
            "synth": {"enabled": False},
        },
        "ghost",
        tmp_path,
    )
    folder = build(config, until="verify").folder
    check(folder)
    layers = [stage for stage in storage.load(folder).stages if isinstance(stage, Layer)]
    assert {layer.kind for layer in layers} == {"matvec", "depthwise"}
    assert len(layers) > 8
