"""Small graphs of FINN's own ops, made by hand, and what FINN computes for them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

DOMAIN = "finn.custom_op.fpgadataflow"


class Graph:
    """A chain of ops; each takes the tensor before it, constants are named by their op."""

    def __init__(self, shape, dtype):
        self.nodes, self.constants, self.types = [], {}, {"x": dtype}
        self.shapes = {"x": list(shape)}
        self.here = "x"

    def add(self, op, shape, dtype, *constants, inputs=None, outputs=1, **attributes):
        """Append an op whose outputs have the shape and datatype.

        It takes the tensor before it, or those called ``inputs``; the first output is the tensor
        before the next op.
        """
        name = f"{op}_{len(self.nodes)}"
        names = [f"{name}_param{i}" for i in range(len(constants))]
        self.constants.update(
            zip(names, (np.asarray(c, np.float32) for c in constants), strict=True)
        )
        first = f"t{len(self.nodes)}"
        results = [first, *(f"{first}_{i}" for i in range(1, outputs))]
        shapes = shape if isinstance(shape[0], list) else [shape] * outputs
        self.nodes.append(
            helper.make_node(
                op,
                [*(inputs or [self.here]), *names],
                results,
                name=name,
                domain=DOMAIN,
                backend="fpgadataflow",
                **attributes,
            )
        )
        for result, its_shape in zip(results, shapes, strict=True):
            self.shapes[result], self.types[result] = list(its_shape), dtype
        self.here = first
        return self

    def model(self):
        """The graph as a model whose output is the last tensor."""
        infos = {
            name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in self.shapes.items()
        }
        middle = [info for name, info in infos.items() if name not in ("x", self.here)]
        graph = helper.make_graph(
            self.nodes, "finn", [infos["x"]], [infos[self.here]], value_info=middle
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
        model = ModelWrapper(helper.make_model(graph, opset_imports=opsets, ir_version=8))
        for name, value in self.constants.items():
            model.set_initializer(name, value)
        for name, dtype in self.types.items():
            model.set_tensor_datatype(name, DataType[dtype])
        return model


def executed(model, images):
    """What FINN computes in Python, image by image."""
    from finn.core.onnx_exec import execute_onnx  # noqa: PLC0415

    output = model.graph.output[0].name
    shape = model.get_tensor_shape("x")
    results = [
        execute_onnx(model, {"x": image.astype(np.float32).reshape(shape)})[output]
        for image in images
    ]
    return np.concatenate(results)


def mvau(graph, weights, *thresholds, leading=(1,), **attributes):
    """Append an MVAU of weights (MW, MH)."""
    rows, columns = np.shape(weights)
    kind = attributes.pop("dtype")
    given = {
        "MW": rows, "MH": columns, "SIMD": 1, "PE": 1, "inputDataType": graph.types[graph.here],
        "weightDataType": "BIPOLAR", "outputDataType": kind, "numInputVectors": list(leading),
        "noActivation": int(not thresholds), **attributes,
    }  # fmt: skip
    return graph.add("MVAU", [*leading, columns], kind, weights, *thresholds, **given)


def windows(graph, kernel, *, stride=1, simd=1, depthwise=0):
    """Append a ConvolutionInputGenerator."""
    _, height, width, channels = graph.shapes[graph.here]
    dtype = graph.types[graph.here]
    rows, columns = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    return graph.add(
        "ConvolutionInputGenerator",
        [1, rows, columns, kernel * kernel * channels],
        dtype,
        ConvKernelDim=[kernel, kernel],
        IFMChannels=channels,
        IFMDim=[height, width],
        OFMDim=[rows, columns],
        SIMD=simd,
        Stride=[stride, stride],
        Dilation=[1, 1],
        inputDataType=dtype,
        outputDataType=dtype,
        depthwise=depthwise,
    )


def padded(graph, padding, *, simd=1):
    """Append an FMPadding."""
    _, height, width, channels = graph.shapes[graph.here]
    top, left, bottom, right = padding
    return graph.add(
        "FMPadding",
        [1, height + top + bottom, width + left + right, channels],
        graph.types[graph.here],
        ImgDim=[height, width],
        Padding=list(padding),
        NumChannels=channels,
        SIMD=simd,
        inputDataType=graph.types[graph.here],
    )


def pool(graph, channels, function="MaxPool", dtype=None, kernel=2, pe=1):
    """Append a Pool behind windows."""
    _, rows, columns, _ = graph.shapes[graph.here]
    before = graph.types[graph.here]
    return graph.add(
        "Pool",
        [1, rows, columns, channels],
        dtype or before,
        Channels=channels,
        PE=pe,
        KernelSize=[kernel, kernel],
        Function=function,
        OutImgDims=[rows, columns],
        InputDataType=before,
        OutputDataType=dtype or before,
    )


def thresholding(graph, levels, dtype, act_val=0, pe=1):
    """Append a Thresholding of levels (channels, steps)."""
    shape = graph.shapes[graph.here]
    return graph.add(
        "Thresholding",
        shape,
        dtype,
        levels,
        NumChannels=shape[-1],
        PE=pe,
        numSteps=np.shape(levels)[1],
        inputDataType=graph.types[graph.here],
        weightDataType="INT16",
        outputDataType=dtype,
        ActVal=act_val,
        numInputVectors=shape[:-1],
    )


def fifo(graph, depth, lanes):
    """Append a StreamingFIFO."""
    shape = graph.shapes[graph.here]
    return graph.add(
        "StreamingFIFO",
        shape,
        graph.types[graph.here],
        depth=depth,
        folded_shape=[*shape[:-1], shape[-1] // lanes, lanes],
        normal_shape=shape,
        dataType=graph.types[graph.here],
    )


def converter(graph, before, after):
    """Append a StreamingDataWidthConverter; widths in bits."""
    shape = graph.shapes[graph.here]
    return graph.add(
        "StreamingDataWidthConverter",
        shape,
        graph.types[graph.here],
        inShape=shape,
        outShape=shape,
        inWidth=before,
        outWidth=after,
        dataType=graph.types[graph.here],
    )
