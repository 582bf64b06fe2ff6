"""``report.json``: what a build says about itself, collected from the files of its steps."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import __version__
from ...hw import storage
from ...hw.cost import Cost
from ...hw.stages import Layer
from ..config import Config
from ..tools import tool_report

_PACKAGES = ("torch", "brevitas", "qonnx", "onnx", "numpy", "numba")


def collect(folder: Path, config: Config, steps: tuple[str, ...]) -> dict[str, Any]:
    """Return the report of the build in ``folder``.

    What a build has not measured is None: the accuracy of a float twin that was not trained, the
    resources and the bitstream where synthesis is turned off.

    Args:
        folder: Build folder whose steps before the report have finished.
        config: Configuration of the build.
        steps: Names of these steps, in order.
    """
    verify = _read(folder / "verify.json")
    finn = _read(folder / "finn.json") if config.backend == "finn" else None
    if finn is not None:
        verify["stages"] += finn["proof"]
        verify["passed"] &= finn["passed"]
    return {
        "model": _model(folder, config),
        "verify": {"stages": verify["stages"], "passed": verify["passed"]},
        "timing": _timing(folder, verify),
        "resources": _resources(folder, config),
        "bitstream": _bitstream(folder, config),
        "finn": _finn(finn),
        "steps": [
            {"name": name, "seconds": _read(folder / "steps" / f"{name}.json")["seconds"]}
            for name in steps
        ],
        "tools": tool_versions(),
    }


def accuracy(predictions: NDArray[np.integer[Any]], labels: NDArray[np.integer[Any]]) -> float:
    """Return the share of images whose predicted class is their label, 0 to 1."""
    return float(np.mean(predictions == labels))


def tool_versions() -> dict[str, str]:
    """Return the versions of the tools and packages that determine a build, of those found."""
    versions = {"popshift": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        versions[package] = importlib.metadata.version(package)
    return versions | {tool.name: tool.version for tool in tool_report() if tool.version}


def _read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return data


def _model(folder: Path, config: Config) -> dict[str, Any]:
    training = _read(folder / "training.json") if (folder / "training.json").is_file() else {}
    quantized = hardware = None
    with np.load(folder / "golden.npz") as golden, np.load(folder / "answers.npz") as answers:
        if "label" in golden:
            labels = golden["label"]
            quantized = accuracy(golden["prediction"], labels)
            # Verification may have been asked for on a part of the images only.
            hardware = accuracy(answers["prediction"], labels[: len(answers["prediction"])])
    return {
        "name": config.name,
        "accuracy_float": training.get("accuracy_float"),
        "accuracy_quantized": quantized,
        "accuracy_hardware": hardware,
    }


def _timing(folder: Path, verify: Mapping[str, Any]) -> dict[str, Any]:
    timing = _read(folder / "timing.json")
    compared = [
        stage["cycle_mismatches"] for stage in verify["stages"] if "simulator" in stage["against"]
    ]
    return {
        "clock_mhz": timing["clock_mhz"],
        "initiation_interval_cycles": timing["initiation_interval_cycles"],
        "latency_cycles": timing["latency_cycles"],
        "fps": timing["fps"],
        "limit": timing["limit"],
        "stages": timing["stages"],
        "fifos": timing["fifos"],
        "simulated_cycles_equal_rtl": bool(compared) and not any(compared),
    }


def _resources(folder: Path, config: Config) -> dict[str, Any]:
    dataflow = storage.load(folder)
    estimated = _units(dataflow.cost())
    stages = [
        {
            "stage": stage.name,
            "kernel": stage.kernel if isinstance(stage, Layer) else None,
            **_units(stage.cost()),
        }
        for stage in dataflow.stages
    ]
    measured = dict.fromkeys(("lut", "ff", "bram", "dsp"))
    synth = _synth(folder, config)
    if synth is None:
        return {"target": None, **measured, "estimated": estimated, "stages": stages}
    return {
        "target": config.synth.board,
        **{name: synth[name] for name in measured},
        "estimated": estimated,
        "stages": stages,
        "also_fits": synth["also_fits"],
    }


def _units(cost: Cost) -> dict[str, int]:
    return {"lut": cost.lut, "ff": cost.ff, "bram": cost.bram}


def _synth(folder: Path, config: Config) -> dict[str, Any] | None:
    """Return what synthesis measured; a file of an earlier back end does not count."""
    file = folder / "synth.json"
    return _read(file) if config.is_synthesized and file.is_file() else None


def _finn(finn: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what FINN made, without the comparisons, which are with the others."""
    if finn is None:
        return None
    return {
        "board": finn["board"],
        "part": finn["part"],
        "product": finn["product"],
        "nodes": len(finn["nodes"]),
        "estimated": {"performance": finn["performance"], "resources": finn["resources"]},
    }


def _bitstream(folder: Path, config: Config) -> dict[str, Any] | None:
    synth = _synth(folder, config)
    if synth is None:
        return None
    bitstream = {name: synth[name] for name in ("file", "sha256", "device", "fmax_mhz")}
    if (folder / "netlist.json").is_file():
        bitstream["netlist"] = _read(folder / "netlist.json")
    return bitstream
