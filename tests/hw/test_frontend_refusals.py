"""Every refusal of the frontend names the node, the reason and the cure, in one line."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from popshift.hw.errors import ModelFileError, UnsupportedOpError
from popshift.hw.frontend import load

from .qonnx_builder import GraphBuilder


def base(*shape, dtype="INT8", **kind) -> GraphBuilder:
    return GraphBuilder(*(shape or (1, 4)), dtype=dtype, **kind)


def layer(outputs=3, **options) -> GraphBuilder:
    return base().linear(np.ones((outputs, 4)), **options)


def scaled_by_data():
    graph = layer()
    return graph.then("Mul", graph.node("Identity", "other"))


def divided_by_data():
    graph = layer()
    graph.at = graph.node("Div", graph.const(1.0), graph.at)
    return graph


def data_on_the_right():
    graph = base()
    graph.at = graph.node("MatMul", graph.const(np.ones((1, 1))), graph.at)
    return graph


def data_as_weights():
    graph = base()
    return graph.then("MatMul", graph.node("Identity", "other"))


def quant_with(scale=1.0, zero_point=0.0, bits=4.0, **attributes):
    graph = layer()
    kind = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
    return graph.then("Quant", *(graph.const(v) for v in (scale, zero_point, bits)), **kind)


def weights_with_zero_point():
    graph = base()
    fixed = [graph.const(v) for v in (1.0, 1.0, 2.0)]
    raw = graph.const(np.ones((4, 3)))
    return graph.then("MatMul", graph.node("Quant", raw, *fixed, signed=1, narrow=1))


def weights_of_17_bits():
    graph = base()
    fixed = [graph.const(v) for v in (1.0, 0.0, 17.0)]
    raw = graph.const(np.eye(4, 3) * 40001 - 1)
    return graph.then("MatMul", graph.node("Quant", raw, *fixed, signed=1, narrow=1))


def weights_scaled_per_input():
    graph = base()
    scale = graph.const([[1.0], [2.0 / 3.0], [1.0], [1.0]])
    quantized = graph.node("BipolarQuant", graph.const(np.ones((4, 3))), scale)
    return graph.then("MatMul", quantized)


def dropout_in_training():
    graph = layer()
    return graph.then("Dropout", graph.const(0.5), graph.const(True, np.bool_))


def weights(values):
    graph = base()
    return graph.then("MatMul", graph.const(values))


def multi_threshold(thresholds, **attributes):
    graph = layer()
    return graph.then(
        "MultiThreshold", graph.const(thresholds), **{"out_dtype": "INT8", **attributes}
    )


def elementwise(op, *constants, **attributes):
    graph = layer()
    return graph.then(op, *(graph.const(c) for c in constants), **attributes)


def batch_norm(var, gamma=1.0, **attributes):
    graph = layer()
    parameters = [graph.const(np.full(3, p)) for p in (gamma, 0.0, 0.0, var)]
    return graph.then("BatchNormalization", *parameters, **attributes)


def maps(channels=2, dtype="INT8"):
    return base(1, channels, 4, 4, dtype=dtype)


def padded(value, pads=(0, 0, 1, 1, 0, 0, 1, 1)):
    graph = maps()
    return graph.then("Pad", graph.const(pads, np.int64), graph.const(value))


def conv_of_data():
    graph = maps()
    return graph.then("Conv", graph.node("Identity", "other"))


def per_pixel():
    graph = maps().conv(np.ones((3, 2, 1, 1)))
    return graph.then("Add", graph.const(np.arange(16.0).reshape(4, 4)))


def padded_output():
    """The other output has a layer."""
    graph = padded(1.0)
    padding = graph.at
    graph.at = "other"
    graph.conv(np.ones((3, 2, 1, 1)))
    graph.extra_outputs.append(padding)
    return graph


CASES = {
    "softmax": (lambda: layer().then("Softmax"), "depends on all channels; end the model before"),
    "sign": (lambda: layer().then("Sign"), "Sign yields 0 at 0, which is no bit; export a Bipolar"),
    "unknown": (lambda: layer().then("Sin"), "no exact integer form is known for this operator"),
    "conv of one dimension": (
        lambda: base(1, 1, 5).conv(np.ones((1, 1, 3))),
        "its weights have shape (1, 1, 3); use a convolution of two dimensions",
    ),
    "conv of other shape": (
        lambda: maps().conv(np.ones((3, 3, 1, 1))),
        "data (1, 2, 4, 4) does not fit weights (3, 3, 1, 1) in 1 groups",
    ),
    "conv of data": (
        conv_of_data,
        "its weights are not constant; use constant quantized weights",
    ),
    "conv of a vector": (
        lambda: base().conv(np.ones((3, 4, 1, 1))),
        "its data has shape (1, 4); use maps (N, channels, height, width)",
    ),
    "large kernel": (
        lambda: maps().conv(np.ones((3, 2, 5, 5))),
        "its kernel (5, 5) is larger than the map 4 x 4; use a larger image",
    ),
    "cropping pads": (
        lambda: maps().conv(np.ones((3, 2, 1, 1)), pads=[-1, 0, 0, 0]),
        "its pads (-1, 0, 0, 0) crop the map; use pads >= 0",
    ),
    "more padding than window": (
        lambda: maps().conv(np.ones((3, 2, 2, 2)), pads=[2, 2, 2, 2]),
        "the window stage does not take it (window0: padding (2, 2, 2, 2) must be smaller",
    ),
    "zero padding of bits": (
        lambda: maps(dtype="BIPOLAR").conv(np.ones((3, 2, 3, 3)), pads=[1, 1, 1, 1]),
        "output 'conv1': it takes sums of bits that were padded with 0, which no bit is",
    ),
    "average of zero-padded bits": (
        lambda: (
            maps(dtype="BIPOLAR")
            .conv(np.ones((3, 2, 3, 3)), pads=[1, 1, 1, 1])
            .then("AveragePool", kernel_shape=[2, 2])
        ),
        "node 'AveragePool_2' (AveragePool): it takes sums of bits that were padded with 0",
    ),
    "falling norm of pooled zero-padded bits": (
        lambda: (
            maps(dtype="BIPOLAR")
            .conv(np.ones((3, 2, 3, 3)), pads=[1, 1, 1, 1])
            .then("MaxPool", kernel_shape=[2, 2])
            .then("Neg")
            .bipolar()
        ),
        "node 'MaxPool_2' (MaxPool): it takes sums of bits that were padded with 0",
    ),
    "zero padding of bits of each channel": (
        lambda: maps(dtype="BIPOLAR").conv(np.ones((2, 1, 3, 3)), pads=[1, 1, 1, 1], group=2),
        "it pads bits with 0 in a depthwise layer, which has no thresholds for borders",
    ),
    "padding off the grid": (
        lambda: padded(0.5).conv(np.ones((3, 2, 3, 3))),
        "its padding of 0.5 is no integer of its data (INT8); pad with a value that",
    ),
    "padding out of range": (
        lambda: padded(128.0).conv(np.ones((3, 2, 3, 3))),
        "its padding of 128 is no integer of its data (INT8)",
    ),
    "two paddings": (
        lambda: padded(1.0).conv(np.ones((3, 2, 3, 3)), pads=[1, 1, 1, 1]),
        "it pads with 0 what node 'Pad_0' (Pad) padded with 1; pad once",
    ),
    "padded activation": (
        lambda: padded(1.0).then("Relu"),
        "its data is padded by node 'Pad_0' (Pad), which only a Conv can take in",
    ),
    "padded output": (
        padded_output,
        "node 'Pad_0' (Pad): nothing takes it in; put a Conv behind it",
    ),
    "reflection": (
        lambda: maps().then("Pad", "c0", mode="reflect"),
        "its mode is 'reflect'; pad with a constant",
    ),
    "padding of channels": (
        lambda: padded(1.0, (0, 1, 0, 0, 0, 0, 0, 0)),
        "its pads [0, 1, 0, 0, 0, 0, 0, 0] of (1, 2, 4, 4) are not around height and width",
    ),
    "per pixel": (
        per_pixel,
        "its term differs from pixel to pixel of an image; give one value per channel",
    ),
    "transposed map": (
        lambda: (
            maps()
            .conv(np.ones((3, 2, 1, 1)))
            .bipolar()
            .then("Transpose", perm=[0, 1, 3, 2])
            .conv(np.ones((3, 3, 1, 1)))
        ),
        "the elements of its data (1, 3, 4, 4) were moved and are no pixels of a stream",
    ),
    "layer norm": (lambda: layer().then("LayerNormalization", "zero"), "scale depends on the data"),
    "unknown domain": (
        lambda: layer().then("Relu", domain="com.example"),
        "domain 'com.example' is unknown; use ONNX and QONNX operators",
    ),
    "data-dependent scale": (scaled_by_data, "its factor depends on the data; use a constant"),
    "division by data": (divided_by_data, "it divides by a value that depends on the data"),
    "division by 0": (lambda: elementwise("Div", 0.0), "its divisor is 0"),
    "weights on the left": (data_on_the_right, "weights are on the left; multiply data (N, K)"),
    "data as weights": (data_as_weights, "its weights are not constant; multiply data (N, K)"),
    "weights off the grid": (
        lambda: weights([[0.5, 1], [0.3, 1], [0.5, 1], [0.5, 1]]),
        "weights 'c0' are not on a grid: those of output 0 have 2 sizes (0.3, 0.5), which are no "
        "small multiples of one step; quantize them",
    ),
    "nan weights": (lambda: weights(np.full((4, 3), np.nan)), "'c0' are not finite; train or"),
    "17-bit weights": (weights_of_17_bits, "hold the integer 40000; use at most 16 bits for"),
    "weight zero point": (
        weights_with_zero_point,
        "zero point 1; quantize weights symmetrically",
    ),
    "scale per input": (
        weights_scaled_per_input,
        "those of output 0 have 2 sizes (0.666667, 1), which",
    ),
    "wrong shape": (lambda: weights(np.ones((5, 3))), "data (1, 4) does not fit weights (5, 3)"),
    "vector weights": (lambda: weights(np.ones(4)), "it multiplies shapes (1, 4) and (4,)"),
    "images": (
        lambda: base(1, 2, 4).linear(np.ones((3, 4))),
        "it multiplies shapes (1, 2, 4) and (4, 3); flatten the data",
    ),
    "not quantized": (
        lambda: layer().linear(np.ones((2, 3))),
        "its data 'matmul2' is not quantized; put a quantizer",
    ),
    "float data": (
        lambda: base().then("Relu").linear(np.ones((2, 4))),
        "no scaled integer after node 'Relu_0' (Relu); put a quantizer",
    ),
    "scale per channel": (
        lambda: layer().bipolar([1.0, 2.0, 1.0]).linear(np.ones((2, 3))),
        "varies over the channels it sums; quantize the activations with one scale per tensor",
    ),
    "zeroed data": (
        lambda: elementwise("Mul", 0.0).bipolar().then("Mul", "c2").linear(np.ones((2, 3))),
        "is multiplied by 0; remove the layer",
    ),
    "9 bits": (lambda: quant_with(bits=9.0), "it has 9 bits; use at most 8 bits for activations"),
    "half a bit": (lambda: quant_with(bits=2.5), "its bit width is 2.5; use one integer bit width"),
    "zero scale": (lambda: quant_with(scale=0.0), "its scale is 0; train or export"),
    "nan scale": (lambda: quant_with(scale=np.nan), "its scale 'c2' holds values that are not fin"),
    "half a zero point": (lambda: quant_with(zero_point=0.5), "its zero point is not one integer"),
    "one level": (
        lambda: quant_with(bits=1.0, signed=0, narrow=1),
        "it has a single level; use more bits or narrow=0",
    ),
    "bipolar zero point": (lambda: quant_with(bits=1.0, zero_point=1.0), "use zero point 0"),
    "rounding": (lambda: quant_with(rounding_mode="STOCHASTIC"), "'STOCHASTIC' is unknown; use"),
    "scale shape": (lambda: quant_with(scale=[1.0, 2.0]), "scale has shape (2,), which does not b"),
    "thresholds": (lambda: multi_threshold(np.zeros((2, 1))), "(2, 1) do not fit data (1, 3)"),
    "threshold grid": (
        lambda: multi_threshold([[0.0, 1.0]], out_scale=2.0, out_bias=-3.0),
        "its levels 2.0 * n + -3.0 lie on no grid through 0; make out_bias a multiple",
    ),
    "threshold scale": (lambda: multi_threshold([[0.0]], out_scale=0.0), "its out_scale is 0"),
    "threshold layout": (
        lambda: multi_threshold([[0.0]], data_layout="CN"),
        "its layout is 'CN'; use NC, NCHW or NHWC",
    ),
    "variance": (lambda: batch_norm(-1.0), "variance + epsilon is not positive"),
    "nan gamma": (lambda: batch_norm(1.0, np.nan), "its gamma 'c2' holds values that are not fin"),
    "batch norm in training": (lambda: batch_norm(1.0, training_mode=1), "call eval() before the"),
    "dropout in training": (dropout_in_training, "it is in training mode; call eval() before the"),
    "term shape": (lambda: elementwise("Add", np.ones(2)), "its term has shape (2,), which does"),
    "term per image": (lambda: elementwise("Add", np.ones((2, 3))), "does not broadcast to one im"),
    "transA": (
        lambda: base().then("Gemm", "c0", transA=1),
        "it transposes the data (transA = 1); export with transA = 0",
    ),
    "transpose": (
        lambda: base(2, 2).then("Transpose", perm=[1, 0]),
        "it moves elements from image to image, (2, 2) to (2, 2); keep the first dimension",
    ),
    "batch": (lambda: base(2, 2).then("Flatten", axis=0), "it changes the batch dimension, (2, 2)"),
    "cast": (lambda: layer().then("Cast", to=onnx.TensorProto.INT8), "a cast to INT8 changes"),
    "half precision": (lambda: layer().then("Cast", to=10), "a cast to FLOAT16 changes values"),
    "argmax per class": (
        lambda: elementwise("Add", [0.0, 1, 2]).then("ArgMax", axis=1),
        "does not commute with what comes before: the scale or bias differs from class to class",
    ),
    "argmax axis": (lambda: layer().then("ArgMax", axis=0), "axis 0 of (1, 3); use (N, classes)"),
    "argmax last": (
        lambda: layer().then("ArgMax", axis=1, select_last_index=1),
        "it takes the last of equal scores",
    ),
    "top 2": (
        lambda: layer().then("TopK", "k", outputs=2),
        "it is not the single greatest element; use k = 1",
    ),
    "end is not affine": (
        lambda: layer().then("Relu"),
        "node 'Relu_3' (Relu): it lies after the last integer and is not affine; end the model",
    ),
    "no input datatype": (
        lambda: GraphBuilder(1, 4).linear(np.ones((2, 4))),
        "graph input 'in' has no integer datatype; annotate it in the file, pass input_dtype",
    ),
    "unknown input shape": (
        lambda: base(1, 0).linear(np.ones((2, 4))),
        "input 'in': shape [1, 0] must be (batch, channels ...) with known dimensions",
    ),
    "no layer": (lambda: base().then("Identity"), "the graph has no layer; export a model with a"),
    "constant output": (
        lambda: layer().then("Shape"),
        "output 'shape3': it depends on no quantized layer",
    ),
    "attribute": (
        lambda: elementwise("LeakyRelu", alpha="x"),
        "attribute alpha is 'x'; export the",
    ),
    "infinite attribute": (
        lambda: elementwise("LeakyRelu", alpha=np.inf),
        "attribute alpha is inf",
    ),
    "unknown tensor": (lambda: layer().then("Add", "gone"), "input 'gone' has no producer before"),
}


def finish(graph: GraphBuilder, folder):
    """Save the graph with the second input and the k that some cases use."""
    for name, array in (("k", np.array([2], np.int64)), ("zero", np.zeros(1, np.float32))):
        graph.initializers.append(onnx.numpy_helper.from_array(array, name))
    path = graph.save(folder)
    model = onnx.load(path)
    if any("other" in node.input for node in model.graph.node):
        info = onnx.helper.make_tensor_value_info("other", onnx.TensorProto.UINT8, graph.shape)
        model.graph.input.append(info)
        onnx.save(model, path)
    return path


@pytest.mark.parametrize("case", CASES)
def test_refusal_says_where_why_and_what_to_do(tmp_path, case):
    build, message = CASES[case]
    path = finish(build(), tmp_path)
    with pytest.raises((UnsupportedOpError, ModelFileError), match=re.escape(message)) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert "; " in text


def test_nodes_that_no_output_needs_are_not_looked_at(tmp_path):
    graph = layer()
    graph.node("Softmax", graph.at)
    assert [stage.name for stage in load(graph.save(tmp_path)).stages] == ["fc0", "argmax"]


def test_nodes_without_a_name_are_named_by_their_output(tmp_path):
    path = layer().then("Softmax").save(tmp_path)
    model = onnx.load(path)
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, path)
    with pytest.raises(UnsupportedOpError, match=r"node '-> softmax3' \(Softmax\)"):
        load(path)
