"""The proof: golden integers, reference, simulator and RTL agree, element by element."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..config import Config
from .step import CheckFailedError, Step, Workspace

if TYPE_CHECKING:
    from ..verify import VerifyReport


class Verify(Step):
    """Compares everything with everything and keeps the answers of the hardware."""

    name = "verify"
    summary = "compare software, reference, simulator and RTL"

    def settings(self, config: Config) -> Any:
        """Return the verify section."""
        return config.verify.model_dump(mode="json")

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the model, its golden integers, the dataflow and the RTL."""
        return ("model.onnx", "golden.npz", "dataflow.json", "dataflow.npz", "rtl")

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return what was found and what the hardware answered."""
        return ("verify.json", "answers.npz")

    def check(self, config: Config) -> None:
        """Raise if Verilator or a C++ compiler is missing."""
        from ..tools import find_tool  # noqa: PLC0415

        find_tool("verilator")
        find_tool("c++")

    def run(self, work: Workspace) -> None:
        """Compare.

        Raises:
            CheckFailedError: An integer or a cycle differs.
        """
        from ..verify import verify_build  # noqa: PLC0415 (numba and onnx are slow to load)

        report = verify_build(
            work.folder, work.config, scratch=work.scratch, progress=work.progress
        )
        text = json.dumps(asdict(report), indent=1) + "\n"
        work.output("verify.json").write_text(text, "utf-8")
        for stage in report.stages:
            work.note(str(stage))
        if not report.passed:
            raise CheckFailedError(*_failures(report))
        work.progress(len(report.stages), len(report.stages) + 1, "answers of the hardware")
        _save_answers(work)


def _failures(report: VerifyReport) -> tuple[str, tuple[str, ...]]:
    failed = [stage for stage in report.stages if stage.mismatches or stage.cycle_mismatches]
    names = ", ".join(f"{stage.name} against {stage.against}" for stage in failed)
    lines = [
        f"{stage.name} against {stage.against}: {line}" for stage in failed for line in stage.first
    ]
    return f"verification failed: {names}", tuple(lines)


def _save_answers(work: Workspace) -> None:
    """Write the classes that the RTL answers, one an image, for the accuracy of the hardware."""
    import numpy as np  # noqa: PLC0415

    from ...hw import storage  # noqa: PLC0415
    from ..answers import classes  # noqa: PLC0415
    from ..verilate import compile_model  # noqa: PLC0415

    dataflow = storage.load(work.folder)
    with np.load(work.input("golden.npz")) as golden:
        images = golden["input"][: work.config.verify.images]
    (kind,) = dataflow.inputs.values()
    model = compile_model(work.input("rtl"), dataflow, work.scratch)
    trace = model.run(images.astype(np.int64).reshape(-1, *kind.shape))
    with work.output("answers.npz").open("wb") as file:
        np.savez_compressed(file, prediction=classes(dataflow, trace.values))
