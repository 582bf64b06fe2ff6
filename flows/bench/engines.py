"""The peers of the reference: one call of each on the same images."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .networks import EPSILON, Layer, Network
from .onnx_files import to_float_onnx, to_qonnx

Engine = Callable[[], NDArray[Any]]


def peers(network: Network, x: NDArray[np.float32]) -> dict[str, Engine]:
    """Return a call of each peer that computes the logits of images ``(images, *shape)``."""
    return {**_onnxruntime(network, x), **_torch(network, x), **_qonnx(network, x)}


def _named(package: str, note: str) -> str:
    return f"{package} {importlib.metadata.version(package)} {note}"


def _onnxruntime(network: Network, x: NDArray[np.float32]) -> dict[str, Engine]:
    """Float graph with all graph optimisations."""
    import onnxruntime  # noqa: PLC0415 (slow to load)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(
        to_float_onnx(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return {_named("onnxruntime", "float"): lambda: session.run(None, {"x": x})[0]}


def _torch(network: Network, x: NDArray[np.float32]) -> dict[str, Engine]:
    """Plain functions, BatchNorm in evaluation, under inference mode."""
    import torch  # noqa: PLC0415 (slow to load)
    from torch.nn import functional  # noqa: PLC0415

    torch.set_num_threads(1)

    def prepared(layer: Layer) -> tuple[Layer, Any, list[Any]]:
        norm = layer.norm
        parameters = (norm.mean, norm.var, norm.gamma, norm.beta) if norm else ()
        return layer, torch.from_numpy(layer.weights), [torch.from_numpy(p) for p in parameters]

    layers = [prepared(layer) for layer in network.layers]
    images = torch.from_numpy(x)

    @torch.inference_mode()
    def forward() -> NDArray[Any]:
        here = images
        for layer, weights, norm in layers:
            if layer.is_convolution:
                here = functional.conv2d(here, weights)
            else:
                here = functional.linear(here.flatten(1), weights)
            if not norm:
                continue
            mean, var, gamma, beta = norm
            here = functional.batch_norm(here, mean, var, gamma, beta, eps=EPSILON)
            here = here.sign() if network.act == "binary" else here.clamp(-1, 1).round()
            if layer.pool > 1:
                here = functional.max_pool2d(here, layer.pool)
        logits: NDArray[Any] = here.numpy()
        return logits

    return {_named("torch", "float"): forward}


def _qonnx(network: Network, x: NDArray[np.float32]) -> dict[str, Engine]:
    """The file as the exporters write it, run node by node."""
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415 (slow to load)
    from qonnx.core.onnx_exec import execute_onnx  # noqa: PLC0415
    from qonnx.transformation.infer_shapes import InferShapes  # noqa: PLC0415

    proto = to_qonnx(network)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = len(x)
    model = ModelWrapper(proto).transform(InferShapes())
    return {_named("qonnx", "execute_onnx"): lambda: execute_onnx(model, {"x": x})["logits"]}
