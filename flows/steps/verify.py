"""The proof: golden integers, reference, simulator and RTL agree, element by element."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..config import Config
from .step import CheckFailedError, Step, Workspace

if TYPE_CHECKING:
    from ..verify import StageResult


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
        stages = list(report.stages)
        if report.passed:
            work.progress(len(stages), len(stages) + 1, "classes of the RTL against torch")
            stages.append(_ask_hardware(work))
        failed = [stage for stage in stages if stage.mismatches or stage.cycle_mismatches]
        found = {"stages": [asdict(stage) for stage in stages], "passed": not failed}
        work.output("verify.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        for stage in stages:
            work.note(str(stage))
        if failed:
            names = ", ".join(f"{stage.name} against {stage.against}" for stage in failed)
            lines = (f"{s.name} against {s.against}: {line}" for s in failed for line in s.first)
            raise CheckFailedError(f"verification failed: {names}", tuple(lines))


def _ask_hardware(work: Workspace) -> StageResult:
    """Write the classes that the RTL answers, and compare them with torch's predictions."""
    import numpy as np  # noqa: PLC0415

    from ...hw import storage  # noqa: PLC0415
    from ..answers import classes  # noqa: PLC0415
    from ..golden import load_golden, stream_images  # noqa: PLC0415
    from ..verify import StageResult  # noqa: PLC0415
    from ..verilate import compile_model  # noqa: PLC0415

    dataflow = storage.load(work.folder)
    golden = load_golden(work.input("golden.npz"), work.config.verify.images)
    model = compile_model(work.input("rtl"), dataflow, work.scratch)
    trace = model.run(stream_images(dataflow, golden.images))
    answers = classes(dataflow, trace.values)
    with work.output("answers.npz").open("wb") as file:
        np.savez_compressed(file, prediction=answers)
    wrong = np.flatnonzero(answers != golden.prediction)
    first = (
        f"image {i}: the hardware answers class {answers[i]}, torch {golden.prediction[i]}"
        for i in wrong[:1]
    )
    return StageResult(
        name="rtl classes",
        against="torch",
        images=len(answers),
        elements=len(answers),
        mismatches=len(wrong),
        cycle_mismatches=0,
        first=tuple(first),
    )
