"""The model file and the integers that everything after it must reproduce."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..config import Config
from .step import Step, Workspace


class Export(Step):
    """Writes the trained network as QONNX with golden integers, or takes the user's own files."""

    name = "export"
    summary = "write the model file and its golden integers"

    def settings(self, config: Config) -> Any:
        """Return the model and data sections."""
        return [config.model.model_dump(mode="json"), config.data.model_dump(mode="json")]

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the trained weights, if the network was trained here."""
        return ("network.safetensors",) if config.model.zoo is not None else ()

    def sources(self, config: Config) -> tuple[Path, ...]:
        """Return the user's model and golden files."""
        return tuple(path for path in (config.model.onnx, config.model.golden) if path is not None)

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return the model file and the golden integers."""
        return ("model.onnx", "golden.npz")

    def run(self, work: Workspace) -> None:
        """Export, or copy."""
        model = work.config.model
        if model.onnx is not None and model.golden is not None:
            _take(work, model.onnx, model.golden)
            return
        from ...models import data, train  # noqa: PLC0415 (loads torch)
        from ...models.export import export  # noqa: PLC0415
        from ..networks import create_network  # noqa: PLC0415

        net = create_network(model)
        train.load_weights(net, work.input("network.safetensors"))
        split = data.load(work.config.data.name, folder=work.config.data.folder)
        result = export(
            net,
            work.output("model.onnx"),
            inputs=split.test.images,
            labels=split.test.labels,
            golden=work.output("golden.npz"),
            input_dtype=split.input_dtype,
        )
        work.note(f"{result.images} images, integer points: {', '.join(result.tensors)}")


def _take(work: Workspace, onnx: Path, golden: Path) -> None:
    """Copy the user's files, after a look whether they are what they should be.

    Raises:
        ModelFileError: The model file is truncated or not ONNX.
        GraphError: The golden file is none.
    """
    from ...hw.frontend.model_file import read_model  # noqa: PLC0415 (onnx is slow to load)
    from ..golden import load_golden  # noqa: PLC0415

    load_golden(golden)
    shutil.copyfile(golden, work.output("golden.npz"))
    # External data becomes part of the copy, which is then complete by itself.
    work.output("model.onnx").write_bytes(read_model(onnx).model.SerializeToString())
