"""QONNX to a folded dataflow of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..config import Config
from .step import Step, Workspace

if TYPE_CHECKING:
    from ...hw.graph import Dataflow

_SHALLOWEST, _DEEPEST = 2, 1024  # beats of a FIFO


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
        """Return the dataflow and its weights."""
        return ("dataflow.json", "dataflow.npz")

    def check(self, config: Config) -> None:
        """Raise if the name of the build cannot be that of the top module."""
        from ...hw.frontend.names import is_identifier  # noqa: PLC0415 (onnx is slow to load)

        if not is_identifier(accelerator(config)):
            raise ValueError(
                f"name: {config.name!r} becomes the top module {accelerator(config)}, which is a "
                "keyword of SystemVerilog; choose another"
            )

    def run(self, work: Workspace) -> None:
        """Compile."""
        from ...hw import frontend, storage  # noqa: PLC0415 (onnx and numba are slow to load)
        from ...hw.passes.connect import connect  # noqa: PLC0415
        from ...hw.passes.fold import apply_folding, fold  # noqa: PLC0415

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
        if hardware.fifo_depth is not None:
            dataflow = connect(dataflow, fifo_depth=hardware.fifo_depth)
        else:
            dataflow = connect(dataflow, fifo_depth=whole_images(dataflow))
        storage.save(dataflow, work.staging)
        for stage in dataflow.stages:
            work.note(f"{stage.kind:10} {stage.name}: {stage.cost()}")


def accelerator(config: Config) -> str:
    """Return the name of the accelerator's top module: the build's name as an identifier."""
    return config.name.replace("-", "_")


def whole_images(dataflow: Dataflow) -> dict[str, int]:
    """Return for each stream between two layers the depth of a FIFO that holds one image."""
    from ...hw.passes.connect import logical_stages  # noqa: PLC0415 (numba is slow to load)

    names = [*dataflow.inputs, *(name for s in logical_stages(dataflow) for name in s.outputs)]
    beats = {name: dataflow.streams[name].beats for name in names}
    return {name: max(_SHALLOWEST, min(_DEEPEST, count)) for name, count in beats.items()}
