"""The networks of the benchmarks as ONNX files, float and QONNX, and as a dataflow."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...hw.dtypes import BIPOLAR, DataType
from ...hw.frontend import load
from ...hw.graph import Dataflow
from .networks import EPSILON, F32, Layer, Network

_OPSET = 13
_QONNX = "qonnx.custom_op.general"


def to_dataflow(network: Network) -> Dataflow:
    """Return the network in integers, as the frontend reads its QONNX file; without an argmax."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{network.name}.onnx"
        onnx.save(to_qonnx(network), path)
        return load(path, argmax=False)


def to_float_onnx(network: Network) -> onnx.ModelProto:
    """Return the network in plain float operators: MatMul, Conv, BatchNormalization, Sign..."""
    return _FloatGraph(network).model()


def to_qonnx(network: Network) -> onnx.ModelProto:
    """Return the network as QONNX: quantizers on the input, weights and activations."""
    return _QonnxGraph(network).model()


class _FloatGraph:
    """Nodes in a row; ``_here`` is the tensor at the end."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._nodes: list[Any] = []
        self._constants: dict[str, F32] = {}
        self._here = "x"

    def model(self) -> onnx.ModelProto:
        """Return the graph as a file."""
        network = self._network
        self._input(network.dtype)
        is_flat = len(network.shape) == 1
        for index, layer in enumerate(network.layers):
            if not (layer.is_convolution or is_flat):
                self._node("Flatten")
                is_flat = True
            self._layer(index, layer)
        self._nodes[-1].output[0] = "logits"
        classes = network.layers[-1].weights.shape[0]
        graph = helper.make_graph(
            self._nodes,
            network.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *network.shape])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
            [numpy_helper.from_array(values, name) for name, values in self._constants.items()],
        )
        domains = sorted({node.domain for node in self._nodes})
        opsets = [helper.make_opsetid(d, 1 if d else _OPSET) for d in domains]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def _layer(self, index: int, layer: Layer) -> None:
        """Append a layer, its BatchNorm and activation, its pool."""
        weights = np.ascontiguousarray(layer.weights if layer.is_convolution else layer.weights.T)
        self._node(
            "Conv" if layer.is_convolution else "MatMul",
            self._weights(self._constant(f"w{index}", weights)),
        )
        if layer.norm is None:
            return
        norm = {name: getattr(layer.norm, name) for name in ("gamma", "beta", "mean", "var")}
        parameters = [self._constant(f"{name}{index}", values) for name, values in norm.items()]
        self._node("BatchNormalization", *parameters, epsilon=EPSILON)
        self._activation()
        if layer.pool > 1:
            sides = [layer.pool] * 2
            self._node("MaxPool", kernel_shape=sides, strides=sides)

    def _node(self, op: str, *inputs: str, domain: str = "", **attributes: object) -> None:
        """Append a node to the row."""
        result = f"t{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(op, [self._here, *inputs], [result], domain=domain, **attributes)
        )
        self._here = result

    def _constant(self, name: str, values: object) -> str:
        """Add a constant and return its name."""
        self._constants[name] = np.asarray(values, np.float32)
        return name

    def _input(self, dtype: DataType) -> None:
        """Append what turns the input into integers: nothing."""

    def _weights(self, name: str) -> str:
        """Return the tensor of the weights: the constant."""
        return name

    def _activation(self) -> None:
        """Append the sign, or the rounding to -1, 0, +1."""
        if self._network.act == "binary":
            self._node("Sign")
            return
        limits = [self._constant("low", -1), self._constant("high", 1)]
        self._node("Clip", *limits)
        self._node("Round")


class _QonnxGraph(_FloatGraph):
    """The same row with quantizers of scale 1."""

    def _input(self, dtype: DataType) -> None:
        self._quantize(dtype)

    def _weights(self, name: str) -> str:
        is_binary = bool((self._constants[name] != 0).all())
        here, self._here = self._here, name
        self._quantize(BIPOLAR if is_binary else DataType.parse("INT2"))
        quantized, self._here = self._here, here
        return quantized

    def _activation(self) -> None:
        self._quantize(BIPOLAR if self._network.act == "binary" else DataType.parse("INT2"))

    def _quantize(self, dtype: DataType) -> None:
        """Append a quantizer; one of signed integers is narrow, that is, symmetric."""
        one = self._constant("one", 1)
        if dtype == BIPOLAR:
            self._node("BipolarQuant", one, domain=_QONNX)
            return
        is_signed = int(dtype.min < 0)
        self._node(
            "Quant",
            one,
            self._constant("zero", 0),
            self._constant(f"bits{dtype.bits}", dtype.bits),
            domain=_QONNX,
            signed=is_signed,
            narrow=is_signed,
            rounding_mode="ROUND",
        )
