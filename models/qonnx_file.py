"""A trained module as one QONNX file with fixed names, and which of its tensors are integers."""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from brevitas.export import export_qonnx
from numpy.typing import NDArray
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.basic import get_by_name
from qonnx.util.cleanup import cleanup_model
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .golden import IntegerPoint, PointKind
from .ops import DEFINITIONS, DOMAIN, OPSET, add_definitions, without_own_ops
from .parametrization import make_plain

Exporter = Literal["torchscript", "dynamo"]

EXPORTERS: dict[str, dict[str, Any]] = {
    "torchscript": {"dynamo": False, "opset_version": OPSET},
    "dynamo": {"dynamo": True, "optimize": True, "verbose": False},
}
_LAYER_OPS = {"MatMul", "Gemm", "Conv"}
_MATRIX_OPS = {"MatMul", "L1MatMul"}  # their weights are (inputs, outputs)
_POOL_OPS = {"MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"}
_QUANT_OPS = {"BipolarQuant", "Quant", "Trunc", "FloatQuant", "MultiThreshold"}


def to_qonnx(
    net: nn.Module, shape: tuple[int, ...], input_dtype: str, exporter: Exporter
) -> ModelWrapper:
    """Return ``net`` as a cleaned QONNX graph for one image of ``shape``.

    Brevitas exports latent weights under a plain Quant node, so the quantized values are written
    into a copy first, with the scale they have there; they are fixed points of the node. What every
    operator computes that is not of ONNX itself is part of the file.
    """
    net = copy.deepcopy(net).eval()
    _bake_weights(net)
    bakers: list[Any] = [module for module in net.modules() if hasattr(module, "bake")]
    for module in bakers:
        module.bake()
    with tempfile.TemporaryDirectory() as folder, _quiet_exporter():
        path = Path(folder) / "raw.onnx"
        export_qonnx(net, args=torch.zeros(1, *shape), export_path=str(path), **EXPORTERS[exporter])
        raw = ModelWrapper(str(path))
    for place, node in enumerate(raw.graph.node):
        node.doc_string = str(place)
    model = cleanup_model(raw)
    _restore_order(model.graph)
    model.set_tensor_datatype(model.graph.input[0].name, DataType[input_dtype])
    _strip_traces(model.model)
    add_definitions(model.model, DEFINITIONS)
    return model


@torch.no_grad()
def _bake_weights(net: nn.Module) -> None:
    """Make the quantized value of every weight its latent value, in place.

    The quantizer becomes a constant: one that fits its scale to the latent weights could fit
    another to the quantized ones.
    """
    layers: list[Any] = [module for module in net.modules() if hasattr(module, "weight_quant")]
    for layer in layers:
        if layer.weight_quant.is_quant_enabled:
            baked = _Baked(*layer.weight_quant.tensor_quant(layer.weight))
            if parametrize.is_parametrized(layer, "weight"):
                make_plain(layer)
            layer.weight.copy_(baked.value)
            layer.weight_quant.tensor_quant = baked


class _Baked(nn.Module):
    """A quantizer that has quantized already."""

    def __init__(self, value: Tensor, scale: Tensor, zero_point: Tensor, bit_width: Tensor) -> None:
        super().__init__()
        self.value = value
        self.rest = scale, zero_point, bit_width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what was recorded."""
        return self.value, *self.rest


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hold back torch's remarks about optional packages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _restore_order(graph: onnx.GraphProto) -> None:
    """Sort nodes by the places in their ``doc_string``, the order in which torch executes them.

    The cleanup sorts branches in another way. Nodes that it made read constants only.
    """
    nodes = sorted(graph.node, key=lambda node: int(node.doc_string or -1))
    del graph.node[:]
    graph.node.extend(nodes)


def _strip_traces(model: onnx.ModelProto) -> None:
    """Remove stack traces and file names, which would differ from machine to machine."""
    model.doc_string = model.graph.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    graph = model.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]


def name_points(model: ModelWrapper, points: list[IntegerPoint]) -> dict[str, IntegerPoint]:
    """Return each point under the name of its tensor in the graph, in order of the graph.

    Layers, quantizers, poolings and sums are paired with nodes in order of execution;
    :func:`check_points` proves the pairing.

    Raises:
        ValueError: The graph has more or fewer layers, quantizers, poolings or sums than the
            module.
    """
    data = {model.graph.input[0].name}
    tensors: dict[PointKind, list[str]] = {kind: [] for kind in PointKind}
    for node in model.graph.node:
        is_sum = node.op_type == "Add" and len(data.intersection(node.input)) == 2
        if not data.intersection(node.input):
            continue
        data.update(node.output)
        if node.op_type in _LAYER_OPS or node.domain == DOMAIN:
            tensors[PointKind.ACCUMULATOR].append(node.output[0])
        elif node.op_type in _QUANT_OPS:
            tensors[PointKind.ACTIVATION].append(node.output[0])
        elif node.op_type in _POOL_OPS:
            tensors[PointKind.POOL].append(node.output[0])
        elif is_sum:
            tensors[PointKind.SUM].append(node.output[0])
    if not any(point.kind is PointKind.SUM for point in points):
        # Sums by + are no modules; the quantizers behind them are compared.
        tensors[PointKind.SUM].clear()
    named: dict[str, IntegerPoint] = {}
    for kind, names in tensors.items():
        of_kind = [point for point in points if point.kind is kind]
        if len(of_kind) != len(names):
            raise ValueError(
                f"export: the network has {len(of_kind)} {kind.value}s but the graph {len(names)}; "
                "use Brevitas layers and quantizers only, and ResidualSum for all sums or none"
            )
        named.update(zip(names, of_kind, strict=True))
    order = [name for node in model.graph.node for name in node.output if name in named]
    return {name: named[name] for name in order}


def check_points(
    model: ModelWrapper,
    points: dict[str, IntegerPoint],
    images: NDArray[np.float32],
) -> None:
    """Check weights, shapes and integers of ``points`` against qonnx' execution of ``images``.

    Args:
        model: Graph for one image.
        points: Points by tensor name, with at least as many images as ``images``.
        images: Shape ``(images, *shape)``.

    Raises:
        ValueError: Something differs; says which layer, tensor and element.
    """
    executable = without_own_ops(model)
    for index, image in enumerate(images):
        context = execute_onnx(executable, {model.graph.input[0].name: image[None]}, True)
        for name, point in points.items():
            if index == 0 and point.weight is not None:
                _check_weight(model, name, point, context)
            _check_integers(name, point, index, context[name])


def _check_weight(
    model: ModelWrapper, name: str, point: IntegerPoint, context: dict[str, NDArray[np.float32]]
) -> None:
    node = model.find_producer(name)
    written = context[node.input[1]]
    attribute = get_by_name(node.attribute, "transB")
    if node.op_type in _MATRIX_OPS or (node.op_type == "Gemm" and not (attribute and attribute.i)):
        written = written.T
    assert point.weight is not None
    if written.shape != point.weight.shape:
        raise ValueError(
            f"export: the weight of {point.module!r} has shape {point.weight.shape} "
            f"but {written.shape} in the file"
        )
    wrong = np.argwhere(written != point.weight)
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise ValueError(
            f"export: weight {at} of layer {point.module!r} is {point.weight[at]} in torch but "
            f"{written[at]} in the file; its quantizer must give values that its scale and bit "
            "width can hold"
        )


def _check_integers(
    name: str, point: IntegerPoint, image: int, tensor: NDArray[np.float32]
) -> None:
    want = point.integers[image]
    if tensor.shape[1:] != want.shape:
        raise ValueError(
            f"export: tensor {name!r} has shape {tensor.shape[1:]} "
            f"but {point.module!r} gives {want.shape}"
        )
    scale = point.scale.reshape(-1, *[1] * (want.ndim - 1)) if point.scale.ndim else point.scale
    steps = tensor[0].astype(np.float64) / scale
    # sums of steps that are powers of two are exact in float32, others are off by its rounding
    is_exact = bool((np.frexp(point.scale)[0] == 0.5).all())
    wrong = (steps if is_exact else np.rint(steps)) != want
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"export: tensor {name!r} element {at} of image {image} is {steps[at]} steps when "
            f"qonnx executes the file, but {want[at]} in torch at {point.module!r}"
        )
