"""QONNX to a folded dataflow of integers."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

from ..config import Config
from .step import Step, Workspace

if TYPE_CHECKING:
    from ...hw.graph import Dataflow


class Compile(Step):
    """Reads the model file, folds it for the asked rate, joins the stages, stores the dataflow."""

    name = "compile"
    summary = "turn the model file into a folded dataflow of integers"

    def settings(self, config: Config) -> Any:
        """Return the name, the hardware section and the datatype of the inputs."""
        hardware = config.hardware.model_dump(mode="json")
        return [config.name, hardware, config.model.input_datatype]

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the model file."""
        return ("model.onnx",)

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return the dataflow, its weights and its FIFOs."""
        return ("dataflow.json", "dataflow.npz", "fifos.json")

    def check(self, config: Config) -> None:
        """Raise if the name of the build cannot be that of the top module."""
        from ...hw.frontend.names import is_identifier  # noqa: PLC0415 (onnx is slow to load)

        if not is_identifier(accelerator(config)):
            raise ValueError(
                f"name: {config.name!r} becomes the top module {accelerator(config)}, which is a "
                "keyword of SystemVerilog; choose another"
            )

    def run(self, work: Workspace) -> None:
        """Compile.

        Raises:
            GraphError: FIFOs are given for a stream that there is not.
            SimulationError: No FIFOs keep the rate of the slowest layer.
        """
        from ...hw import frontend, storage  # noqa: PLC0415 (onnx and numba are slow to load)
        from ...hw.passes import apply_folding, fold  # noqa: PLC0415
        from ...hw.stages import Layer  # noqa: PLC0415

        hardware = work.config.hardware
        name = accelerator(work.config)
        dataflow = frontend.load(
            work.input("model.onnx"), name=name, input_dtype=work.config.model.input_datatype
        )
        if hardware.folding is not None:
            folding = {
                stage: part.model_dump(exclude_unset=True)
                for stage, part in hardware.folding.items()
            }
            dataflow = apply_folding(dataflow, folding)
        elif hardware.fps is not None:
            dataflow = fold(dataflow, fps=hardware.fps, clock_mhz=hardware.clock_mhz)
        dataflow = _with_fifos(dataflow, work)
        storage.save(dataflow, work.staging)
        for stage in dataflow.stages:
            kernel = f" ({stage.kernel})" if isinstance(stage, Layer) else ""
            work.note(f"{stage.kind:10} {stage.name}{kernel}: {stage.cost()}")


def _with_fifos(dataflow: Dataflow, work: Workspace) -> Dataflow:
    """Return the dataflow with its FIFOs, and write what they are and what they are for."""
    from ...hw.passes import connect, size_fifos  # noqa: PLC0415 (numba is slow to load)
    from ...hw.passes.connect import fifo_depths  # noqa: PLC0415

    choice = work.config.hardware.fifos
    report: dict[str, Any] = {}
    if choice in ("throughput", "minimal"):
        steps = count(1)
        sizing = size_fifos(
            dataflow,
            effort="minimal" if choice == "minimal" else "throughput",
            progress=lambda what: work.progress(next(steps), 0, what),
        )
        dataflow = connect(dataflow, fifo_depth=sizing.depths)
        report = sizing.as_json()
        work.note(str(sizing))
    elif not isinstance(choice, str):
        dataflow = connect(dataflow, fifo_depth=choice)
    report = {"choice": choice if isinstance(choice, str) else "given", **report}
    report["depths"] = fifo_depths(dataflow)
    work.output("fifos.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return dataflow


def accelerator(config: Config) -> str:
    """Return the name of the accelerator's top module: the build's name as an identifier."""
    return config.name.replace("-", "_")
