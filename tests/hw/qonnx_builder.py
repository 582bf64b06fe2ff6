"""A QONNX graph, node by node, and its execution by qonnx' own executor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from popshift.models import ops

QONNX = "qonnx.custom_op.general"
DOMAINS = {
    **dict.fromkeys(
        ("BipolarQuant", "Quant", "MultiThreshold", "Trunc", "FloatQuant", "Im2Col"), QONNX
    ),
    **dict.fromkeys(("L1MatMul", "L1Conv"), ops.DOMAIN),
}


class GraphBuilder:
    """Nodes in a row; ``self.at`` is the tensor at the end of the row."""

    def __init__(self, *shape, dtype=None, element=onnx.TensorProto.FLOAT, opset=13):
        self.shape = shape
        self.dtype = dtype
        self.element = element
        self.opset = opset
        self.nodes = []
        self.initializers = []
        self.at = "in"
        self.extra_outputs = []

    def const(self, values, dtype=np.float32):
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, op, *inputs, outputs=1, domain=None, **attributes):
        """Append a node on the given tensors; return its first output."""
        number = len(self.nodes)
        names = [f"{op.lower()}{number}" + ("" if i == 0 else f"_{i}") for i in range(outputs)]
        if domain is None:
            domain = DOMAINS.get(op, "")
        self.nodes.append(
            helper.make_node(op, inputs, names, name=f"{op}_{number}", domain=domain, **attributes)
        )
        return names[0]

    def then(self, op, *others, **attributes):
        """Append a node behind the row."""
        self.at = self.node(op, self.at, *others, **attributes)
        return self

    def bipolar(self, scale=1.0):
        return self.then("BipolarQuant", self.const(scale))

    def quant(self, bits, scale=1.0, *, signed=1, narrow=0, zero_point=0.0, mode="ROUND"):
        return self.then(
            "Quant",
            self.const(scale),
            self.const(zero_point),
            self.const(bits),
            signed=signed,
            narrow=narrow,
            rounding_mode=mode,
        )

    def batch_norm(self, gamma, beta, mean, var, epsilon=0.0):
        parameters = [self.const(p) for p in (gamma, beta, mean, var)]
        return self.then("BatchNormalization", *parameters, epsilon=epsilon)

    def linear(self, weights, scale=1.0, *, form="MatMul", bias=None):
        """Multiply by raw weights ``(outputs, inputs)`` through BipolarQuant, or Quant if 0 occurs.

        A scale of several values is one per output.
        """
        weights = np.asarray(weights, np.float32)
        scale = np.asarray(scale, np.float32)
        scale = scale.reshape(-1, 1) if scale.ndim else scale
        raw = self.const(weights * scale)
        if (weights == 0).any():
            fixed = [self.const(v) for v in (scale, 0.0, 2.0)]
            kind = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
            quantized = self.node("Quant", raw, *fixed, **kind)
        else:
            quantized = self.node("BipolarQuant", raw, self.const(scale))
        if form == "Gemm":
            extra = [] if bias is None else [self.const(bias)]
            return self.then("Gemm", quantized, *extra, transB=1)
        self.then("MatMul", self.node("Transpose", quantized, perm=[1, 0]))
        return self if bias is None else self.then("Add", self.const(bias))

    def conv(self, weights, scale=1.0, *, bias=None, **attributes):
        """Convolve with raw weights ``(outputs, inputs, rows, columns)``, quantized as in linear."""
        weights = np.asarray(weights, np.float32)
        scale = np.asarray(scale, np.float32)
        scale = scale.reshape(-1, 1, 1, 1) if scale.ndim else scale
        raw = self.const(weights * scale)
        if (weights == 0).any():
            fixed = [self.const(v) for v in (scale, 0.0, 2.0)]
            kind = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
            quantized = self.node("Quant", raw, *fixed, **kind)
        else:
            quantized = self.node("BipolarQuant", raw, self.const(scale))
        extra = [] if bias is None else [self.const(bias)]
        return self.then("Conv", quantized, *extra, kernel_shape=weights.shape[2:], **attributes)

    def save(self, folder: Path) -> Path:
        outputs = [self.at, *self.extra_outputs]
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("in", self.element, self.shape)],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            self.initializers,
        )
        for output in graph.output:
            is_index = output.name.startswith(("argmax", "topk"))
            kind = onnx.TensorProto.INT64 if is_index else onnx.TensorProto.FLOAT
            output.type.tensor_type.elem_type = kind
        if self.dtype is not None:
            annotation = onnx.TensorAnnotation(tensor_name="in")
            entry = annotation.quant_parameter_tensor_names.add()
            entry.key, entry.value = "finn_datatype", self.dtype
            graph.quantization_annotation.append(annotation)
        versions = [helper.make_opsetid("", self.opset), helper.make_opsetid(QONNX, 1)]
        path = folder / "model.onnx"
        if any(node.domain == ops.DOMAIN for node in self.nodes):
            versions[0] = helper.make_opsetid("", ops.OPSET)
            versions.append(helper.make_opsetid(ops.DOMAIN, ops.VERSION))
        model = helper.make_model(graph, opset_imports=versions, ir_version=9)
        ops.add_definitions(model, [d for d in ops.DEFINITIONS if d.domain == ops.DOMAIN])
        onnx.save(model, path)
        return path


def execute(path: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return every tensor of the file for a batch ``x``, by qonnx."""
    proto = onnx.load(path)
    # The file has shapes for its own batch; qonnx infers those of this one.
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = len(x)
    del proto.graph.value_info[:]
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    model = ops.without_own_ops(ModelWrapper(proto)).transform(InferShapes())
    return execute_onnx(model, {model.graph.input[0].name: x.astype(np.float32)}, True)


def assert_streams_equal(path: Path, dataflow, x: np.ndarray) -> dict[str, np.ndarray]:
    """Check every stream with an Origin, for integers ``x`` of the graph input; return all."""
    tensors = execute(path, x)
    (entry,) = dataflow.inputs
    origin = dataflow.origins[entry]
    scale = np.array(origin.scale)
    given = origin.in_stream_order(tensors[origin.tensor], dataflow.inputs[entry].shape) / scale
    streams = dataflow.execute(np.round(given).astype(np.int64))
    for stream, values in streams.items():
        if stream not in dataflow.origins:
            continue
        origin = dataflow.origins[stream]
        expected = origin.in_stream_order(tensors[origin.tensor], values.shape[1:])
        expected = expected / np.array(origin.scale)
        integers = np.round(expected).astype(np.int64)
        assert np.abs(expected - integers).max() < 1e-2, f"{origin.tensor} is no integer"
        np.testing.assert_array_equal(origin.integers(values), integers, err_msg=stream)
    for stream, host in dataflow.host.items():
        (tensor,) = [output.name for output in onnx.load(path).graph.output]
        logits = streams[stream] * np.array(host.scale) + np.array(host.bias)
        floats = tensors[tensor]
        floats = np.moveaxis(floats, 1, -1) if floats.ndim == 4 else floats
        np.testing.assert_allclose(logits.reshape(floats.shape), floats, rtol=1e-5, atol=1e-5)
    return streams


def extreme_images(weights: np.ndarray, low: int, high: int) -> np.ndarray:
    """Return images that drive each neuron to its least and its greatest accumulator."""
    top = np.where(weights > 0, high, low)
    return np.concatenate([top, low + high - top])
