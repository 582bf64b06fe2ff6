"""The integers that torch computed, as a build keeps them, and those of qonnx' own executor."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import is_custom_op

from ..hw.dtypes import IntArray
from ..hw.errors import GraphError
from ..hw.graph import Dataflow, Origin, Scalar

_TENSOR, _SCALE = "tensor/", "scale/"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Inputs and integers of a model.

    Attributes:
        images: Integers, shape ``(images, *shape)``.
        prediction: Class of each image, shape ``(images,)``.
        tensors: By tensor name of the model file, integers ``(images, *shape)``.
        scales: By tensor name, what the integers are multiplied by: a scalar or one per channel.
    """

    images: IntArray
    prediction: IntArray
    tensors: Mapping[str, IntArray]
    scales: Mapping[str, NDArray[np.float64]]


def load_golden(path: Path, images: int | None = None) -> Golden:
    """Return the first ``images`` of a golden file, or all.

    Raises:
        GraphError: It is missing, damaged or holds no images.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            columns = {name: stored[name] for name in stored.files}
        tensors = {
            name.removeprefix(_TENSOR): columns[name][:images].astype(np.int64)
            for name in columns
            if name.startswith(_TENSOR)
        }
        return Golden(
            images=columns["input"][:images].astype(np.int64),
            prediction=columns["prediction"][:images].astype(np.int64),
            tensors=tensors,
            scales={name: columns[f"{_SCALE}{name}"].astype(np.float64) for name in tensors},
        )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise GraphError(
            f"{path}: not a golden file ({type(error).__name__}: {error}); export the model again"
        ) from error


def stream_images(dataflow: Dataflow, images: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return golden images ``(images, ...)`` in the order and shape of the one input stream."""
    ((name, kind),) = dataflow.inputs.items()
    origin = dataflow.origins.get(name, Origin(tensor=name))
    return origin.in_stream_order(images, kind.shape)


def qonnx_integers(model: Path, golden: Golden) -> dict[str, IntArray]:
    """Return the integers of every golden tensor as qonnx executes the file.

    Float32 sums of steps that are powers of two are exact; others are off by their rounding, far
    less than a quarter of a step. A tensor that is no such multiple of its scale gets an integer
    that torch cannot have had, so that it shows as a mismatch.

    Raises:
        GraphError: The file has no such tensor.
    """
    wrapper = ModelWrapper(str(model))
    if not all(is_custom_op(f.domain, f.name) for f in wrapper.model.functions):
        from ..models.ops import without_own_ops  # noqa: PLC0415 (loads torch)

        wrapper = without_own_ops(wrapper)
    source = wrapper.graph.input[0].name
    shape = wrapper.get_tensor_shape(source)
    collected: dict[str, list[NDArray[np.float64]]] = {name: [] for name in golden.tensors}
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else len(golden.images)
    for start in range(0, len(golden.images), batch):
        part = golden.images[start : start + batch].astype(np.float32)
        whole = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), np.float32)])
        values = execute_onnx(wrapper, {source: whole}, return_full_exec_context=True)
        for name, parts in collected.items():
            if name not in values:
                raise GraphError(f"{model}: has no tensor {name!r}; export the model again")
            parts.append(np.asarray(values[name], np.float64)[: len(part)])
    impossible = np.iinfo(np.int64).min
    integers: dict[str, IntArray] = {}
    for name, parts in collected.items():
        floats = np.concatenate(parts)
        # A scale per channel belongs to axis 1, whatever follows.
        scale = golden.scales[name]
        scale = scale.reshape(-1, *[1] * (floats.ndim - 2)) if scale.ndim else scale
        steps = floats / scale
        nearest = np.rint(steps)
        is_binary = bool((np.frexp(scale)[0] == 0.5).all())
        is_whole = steps == nearest if is_binary else np.abs(steps - nearest) < 0.25
        integers[name] = np.where(is_whole, nearest.astype(np.int64), impossible)
    return integers
