"""Module to QONNX file and the integers it must reproduce."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .dtypes import integer_range
from .golden import IntegerPoint, PointKind, capture
from .qonnx_file import EXPORTERS, Exporter, check_points, name_points, to_qonnx

_CHECKED_IMAGES = 4


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """Where the files of an export are and what they hold.

    Attributes:
        model: QONNX file.
        golden: ``.npz`` file of integers.
        tensors: Names of the integer points, in order of the graph.
        images: Images in ``golden``.
        input_dtype: QONNX name of the input's datatype.
    """

    model: Path
    golden: Path
    tensors: tuple[str, ...]
    images: int
    input_dtype: str


def export(
    net: nn.Module,
    path: str | Path,
    *,
    inputs: Tensor | npt.NDArray[np.integer],
    labels: Tensor | npt.NDArray[np.integer] | None = None,
    golden: str | Path | None = None,
    exporter: Exporter = "torchscript",
    input_dtype: str | None = None,
) -> ExportResult:
    """Write ``net`` as QONNX, and every integer it computes on ``inputs`` as ``golden.npz``.

    The golden file holds ``input`` (images, *shape), ``label`` (images,) if given, ``prediction``
    (images,), and for each integer point of the graph ``tensor/<name>``, integers of shape
    (images, *shape), and ``scale/<name>``, float64, a scalar or one per channel; the tensor called
    ``<name>`` in the QONNX file equals ``scale * integers``. Bipolar values are -1 and +1 in int8,
    accumulators int32.

    Both files are replaced at once at the end; a failure leaves what was there.

    Args:
        net: Brevitas network whose every layer is quantized.
        path: QONNX file to write; its folder must exist.
        inputs: Integers, shape ``(images, *shape)``, at least one image.
        labels: Classes, shape ``(images,)``.
        golden: File for the integers, by default ``golden.npz`` beside ``path``.
        exporter: torch's exporter: ``torchscript`` (MatMul) or ``dynamo`` (Gemm).
        input_dtype: QONNX name of the input's datatype, by default ``net.input_dtype``.

    Raises:
        ValueError: An argument is wrong, a layer cannot be integers, or the file does not compute
            the integers of torch.
    """
    path = Path(path)
    golden = path.with_name("golden.npz") if golden is None else Path(golden)
    if exporter not in EXPORTERS:
        raise ValueError(f"export: exporter={exporter!r} is none of {', '.join(EXPORTERS)}")
    if path.resolve() == golden.resolve():
        raise ValueError(f"export: model and golden file are both {path}")
    for folder in (path.parent, golden.parent):
        if not folder.is_dir():
            raise ValueError(f"export: folder {folder} does not exist; create it")
    dtype = _input_dtype(net, input_dtype)
    images = _check_inputs(np.asarray(inputs), dtype)
    shape = getattr(net, "input_shape", images.shape[1:])
    if shape != images.shape[1:]:
        raise ValueError(f"export: the network takes {shape}, the inputs are {images.shape[1:]}")
    points, outputs = capture(net, torch.from_numpy(images.astype(np.float32)))
    columns: dict[str, npt.NDArray[np.generic]] = {
        "input": images,
        "prediction": _predictions(points, outputs.numpy()),
    }
    if labels is not None:
        columns["label"] = np.asarray(labels).astype(np.int64)
        if columns["label"].shape != (len(images),):
            raise ValueError(
                f"export: labels must be ({len(images)},), got {columns['label'].shape}"
            )

    model = to_qonnx(net, images.shape[1:], dtype, exporter)
    named = name_points(model, points)
    check_points(model, named, images[:_CHECKED_IMAGES].astype(np.float32))
    input_name = model.graph.input[0].name
    columns[f"tensor/{input_name}"] = images
    columns[f"scale/{input_name}"] = np.array(1.0)
    for name, point in named.items():
        columns[f"tensor/{name}"] = point.integers
        columns[f"scale/{name}"] = point.scale

    _write_both(model.model.SerializeToString(deterministic=True), path, columns, golden)
    return ExportResult(
        model=path,
        golden=golden,
        tensors=(input_name, *named),
        images=len(images),
        input_dtype=dtype,
    )


def _input_dtype(net: nn.Module, name: str | None) -> str:
    name = getattr(net, "input_dtype", None) if name is None else name
    if name is None:
        raise ValueError("export: net has no input_dtype; pass input_dtype='UINT8' or such")
    return name


def _check_inputs(inputs: npt.NDArray[np.generic], dtype: str) -> npt.NDArray[np.integer]:
    """Return ``inputs`` in the narrowest NumPy integers after checking every value."""
    low, high = integer_range(dtype, "export: input_dtype")
    if inputs.ndim < 2 or len(inputs) == 0:
        raise ValueError(f"export: inputs must be (images, *shape), got shape {inputs.shape}")
    values = inputs.astype(np.int64)
    wrong = (values != inputs) | (values < low) | (values > high)
    if dtype == "BIPOLAR":
        wrong |= values == 0
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"export: input {at} is {inputs[at]}, which is not in {dtype}")
    return values.astype(np.min_scalar_type(-high - 1 if low < 0 else high))


def _predictions(
    points: list[IntegerPoint], outputs: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    """Return the class of each image, the first one among classes whose integers are equal.

    Under a scale that is no power of two, equal sums of integers may differ by float32's rounding.
    """
    classes: npt.NDArray[np.int64] = outputs.argmax(axis=1)
    last = points[-1]
    if last.kind is not PointKind.ACCUMULATOR or last.integers.shape != outputs.shape:
        return classes
    exact = last.integers * last.scale
    is_largest = np.take_along_axis(exact, classes[:, None], axis=1)[:, 0] == exact.max(axis=1)
    return np.asarray(np.where(is_largest, exact.argmax(axis=1), classes), np.int64)


def _write_both(
    model: bytes, path: Path, columns: dict[str, npt.NDArray[np.generic]], golden: Path
) -> None:
    new_model, new_golden = (p.with_name(f".{p.name}.{os.getpid()}.tmp") for p in (path, golden))
    try:
        new_model.write_bytes(model)
        with new_golden.open("wb") as file:
            np.savez_compressed(file, **columns)  # type: ignore[arg-type]
        new_golden.replace(golden)
        new_model.replace(path)
    finally:
        new_model.unlink(missing_ok=True)
        new_golden.unlink(missing_ok=True)
