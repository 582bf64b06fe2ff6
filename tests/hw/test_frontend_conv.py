"""Convolutions against qonnx' own executor: equal integers on every stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from popshift.hw.dtypes import BIPOLAR, DataType
from popshift.hw.frontend import load, load_with_report
from popshift.hw.passes import fold
from popshift.hw.stages import MatVec, Window

from .qonnx_builder import GraphBuilder, assert_streams_equal


def random_images(dtype: DataType, shape, rng: np.random.Generator, count=6) -> np.ndarray:
    """Images of the least, the greatest and random integers."""
    images = dtype.random((count, *shape), rng)
    images[0], images[1] = dtype.min, dtype.max
    return images


def batch_norm(graph: GraphBuilder, rng: np.random.Generator, channels: int, spread: float):
    """Append a BatchNorm with slopes of both signs and 0."""
    gamma = rng.standard_normal(channels)
    gamma[rng.random(channels) < 0.15] = 0
    return graph.batch_norm(
        gamma,
        rng.standard_normal(channels),
        rng.standard_normal(channels) * spread / 2,
        rng.uniform(0.1, 2, channels) * spread**2,
        epsilon=1e-5,
    )


def activate(graph: GraphBuilder, kind: str, rng: np.random.Generator, channels: int):
    """Append a quantizer."""
    if kind == "bipolar":
        return graph.bipolar()
    if kind == "bits2":
        return graph.quant(2, 0.25, signed=0)
    if kind == "bits4":
        return graph.quant(4, 0.125)
    thresholds = np.sort(rng.standard_normal((channels, 3)), axis=1)
    return graph.then("MultiThreshold", graph.const(thresholds), out_dtype="UINT2")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 32),
    entry=st.sampled_from(["UINT8", "INT4", "BIPOLAR", "UINT1"]),
    activation=st.sampled_from(["bipolar", "bits2", "bits4", "thresholds"]),
    is_ternary=st.booleans(),
    has_bias=st.booleans(),
    depth=st.integers(1, 3),
)
def test_random_convolutions_equal_qonnx_on_every_stream(
    tmp_path_factory, seed, entry, activation, is_ternary, has_bias, depth
):
    rng = np.random.default_rng(seed)
    dtype = DataType.parse(entry)
    channels, height, width = (int(n) for n in rng.integers((1, 5, 5), (5, 10, 10)))
    shape = (channels, height, width)
    graph = GraphBuilder(1, *shape, dtype=entry)
    for _ in range(depth):
        rows, columns = (int(n) for n in rng.integers(1, np.minimum(4, [height + 1, width + 1])))
        stride = rng.integers(1, 3, 2)
        down, across = (int(rng.integers(1, 3)) if k > 1 else 1 for k in (rows, columns))
        if (rows - 1) * down >= height or (columns - 1) * across >= width:
            down = across = 1
        room = [(rows - 1) * down + 1, (columns - 1) * across + 1] * 2
        pads = rng.integers(0, room)
        outputs = int(rng.integers(1, 7))
        weights = rng.choice(
            [-1, 0, 1] if is_ternary else [-1, 1], (outputs, channels, rows, columns)
        )
        graph.conv(
            weights,
            2.0 ** rng.integers(-2, 3, outputs),
            bias=rng.standard_normal(outputs) * 3 if has_bias else None,
            strides=stride,
            dilations=[down, across],
            pads=pads,
        )
        height = (height + int(pads[0] + pads[2]) - (rows - 1) * down - 1) // int(stride[0]) + 1
        width = (width + int(pads[1] + pads[3]) - (columns - 1) * across - 1) // int(stride[1]) + 1
        batch_norm(graph, rng, outputs, spread=max(1.0, (weights[0].size) ** 0.5))
        activate(graph, activation, rng, outputs)
        channels = outputs
    graph.then("Flatten", axis=1)
    path = graph.linear(rng.choice([-1, 1], (3, channels * height * width))).save(
        tmp_path_factory.mktemp("conv")
    )
    dataflow, report = load_with_report(path, argmax=False)
    assume(not report.warnings)
    images = random_images(dtype, shape, rng)
    assert_streams_equal(path, dataflow, images)
    assert len(dataflow.origins) >= 1 + depth


def test_a_window_comes_before_the_product_and_its_taps_are_the_columns(tmp_path):
    rng = np.random.default_rng(0)
    weights = rng.choice([-1, 0, 1], (4, 3, 2, 3))
    path = GraphBuilder(1, 3, 5, 6, dtype="UINT4").conv(weights, strides=[2, 1]).save(tmp_path)
    dataflow = load(path, argmax=False)
    window, conv = dataflow.stages
    assert isinstance(window, Window)
    assert isinstance(conv, MatVec)
    assert (window.height, window.width, window.channels) == (5, 6, 3)
    assert conv.leading == (2, 4)
    np.testing.assert_array_equal(conv.weights, weights.transpose(0, 2, 3, 1).reshape(4, 18))
    assert dataflow.origins["conv0_out"].planes == 4
    assert dataflow.streams[next(iter(dataflow.inputs))].shape == (5, 6, 3)


@pytest.mark.parametrize(
    ("kernel", "options", "stages"),
    [
        ((1, 1), {}, ["conv0"]),
        ((1, 1), {"strides": [2, 2]}, ["window0", "conv0"]),
        ((1, 1), {"pads": [0, 0, 0, 0]}, ["conv0"]),
        ((4, 5), {}, ["conv0"]),
        ((4, 4), {}, ["window0", "conv0"]),
        ((4, 5), {"pads": [1, 0, 0, 0]}, ["window0", "conv0"]),
    ],
)
def test_no_window_where_it_would_be_a_pixel_or_the_whole_map(tmp_path, kernel, options, stages):
    weights = np.random.default_rng(0).choice([-1, 1], (2, 3, *kernel))
    path = GraphBuilder(1, 3, 4, 5, dtype="INT4").conv(weights, **options).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert [stage.name for stage in dataflow.stages] == stages
    images = random_images(DataType.parse("INT4"), (3, 4, 5), np.random.default_rng(1))
    assert_streams_equal(path, dataflow, images)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_auto_pad_equals_qonnx(tmp_path, auto, stride):
    weights = np.random.default_rng(0).choice([-1, 0, 1], (2, 1, 2, 3))
    graph = GraphBuilder(1, 1, 5, 6, dtype="UINT4")
    path = graph.conv(weights, auto_pad=auto, strides=[stride, stride]).save(tmp_path)
    images = random_images(DataType.parse("UINT4"), (1, 5, 6), np.random.default_rng(1))
    assert_streams_equal(path, load(path, argmax=False), images)


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_a_pad_node_of_one_bit_is_taken_in_by_the_conv(tmp_path, value):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 4, 4, dtype="UINT8").conv(rng.choice([-1, 1], (3, 2, 1, 1)))
    graph.then("Sub", graph.const(100.0)).bipolar(0.5)
    graph.then("Pad", graph.const([0, 0, 1, 2, 0, 0, 0, 1], np.int64), graph.const(value / 2))
    path = graph.conv(rng.choice([-1, 1], (4, 3, 3, 3))).save(tmp_path)
    dataflow = load(path, argmax=False)
    window = dataflow.stage("window0")
    assert (window.padding, window.pad_value) == ((1, 2, 0, 1), int(value))
    assert dataflow.stage("conv1").kernel == "xnor"
    images = random_images(DataType.parse("UINT8"), (2, 4, 4), rng, 20)
    assert_streams_equal(path, dataflow, images)


@pytest.mark.parametrize("is_ternary", [False, True])
@pytest.mark.parametrize("is_pooled", [False, True])
def test_bits_padded_with_zeros_have_thresholds_for_every_border(tmp_path, is_ternary, is_pooled):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 6, 5, dtype="BIPOLAR")
    graph.conv(
        rng.choice([-1, 0, 1] if is_ternary else [-1, 1], (7, 2, 3, 3)), 0.5, pads=[1, 2, 2, 1]
    )
    if is_pooled:
        graph.then("MaxPool", kernel_shape=[2, 2])
        slopes = rng.uniform(0.5, 2, 7)
    else:
        slopes = rng.standard_normal(7)
    graph.batch_norm(slopes, rng.standard_normal(7), rng.standard_normal(7), np.ones(7)).quant(2, 1)
    path = graph.save(tmp_path)
    dataflow = load(path, argmax=False)
    conv = dataflow.stage("conv0")
    assert conv.kernel == ("signed" if is_ternary else "xnor")
    assert conv.border.classes > 9
    assert dataflow.stage("window0").pad_value == -1
    assert_streams_equal(path, dataflow, random_images(BIPOLAR, (2, 6, 5), rng, 60))


def test_paddings_of_one_value_add_up(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 2, 2, dtype="INT4")
    graph.then("Pad", graph.const([0, 0, 1, 0, 0, 0, 0, 1], np.int64))
    path = graph.conv(rng.choice([-1, 0, 1], (3, 2, 3, 3)), pads=[1, 1, 1, 1]).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert dataflow.stage("window0").padding == (2, 1, 1, 2)
    assert_streams_equal(path, dataflow, random_images(DataType.parse("INT4"), (2, 2, 2), rng))


def test_channels_last_data_behind_a_transpose_enters_as_it_is(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 4, 5, 3, dtype="UINT8").then("Transpose", perm=[0, 3, 1, 2])
    graph.then("Div", graph.const(2.0)).conv(rng.choice([-1, 1], (4, 3, 3, 3)))
    thresholds = np.sort(rng.integers(-300, 300, (4, 3)), axis=1)
    graph.then("Transpose", perm=[0, 2, 3, 1])
    graph.then("MultiThreshold", graph.const(thresholds), out_dtype="UINT2", data_layout="NHWC")
    graph.then("Flatten")
    path = graph.linear(rng.choice([-1, 1], (5, 24))).save(tmp_path)
    dataflow = load(path, argmax=False)
    (entry,) = dataflow.inputs
    assert dataflow.inputs[entry].shape == (4, 5, 3)
    assert dataflow.origins[entry].planes == 1
    assert dataflow.origins["conv0_out"].planes == 1
    images = random_images(DataType.parse("UINT8"), (4, 5, 3), rng, 20)
    assert_streams_equal(path, dataflow, images)


def test_flattened_maps_permute_the_columns_of_the_next_layer(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 2, 3, dtype="INT4").conv(rng.choice([-1, 1], (4, 2, 1, 1))).bipolar()
    weights = rng.choice([-1, 1], (5, 24))
    path = graph.then("Reshape", graph.const([0, -1], np.int64)).linear(weights).save(tmp_path)
    dataflow = load(path, argmax=False)
    expected = weights.reshape(5, 4, 2, 3).transpose(0, 2, 3, 1).reshape(5, 24)
    np.testing.assert_array_equal(dataflow.stage("fc0").weights, expected)
    images = random_images(DataType.parse("INT4"), (2, 2, 3), rng, 20)
    assert_streams_equal(path, dataflow, images)
    assert_streams_equal(path, fold(dataflow, fps=2e6, clock_mhz=100), images)


def test_an_undeclared_image_is_quantized_in_software_and_enters_pixel_by_pixel(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 3, 4, 4).quant(8, 1 / 128)
    path = graph.conv(rng.choice([-1, 1], (2, 3, 3, 3)), pads=[1, 1, 1, 1]).save(tmp_path)
    dataflow = load(path, argmax=False)
    (entry,) = dataflow.inputs
    assert dataflow.inputs[entry].shape == (4, 4, 3)
    assert dataflow.origins[entry].planes == 3
    assert_streams_equal(path, dataflow, rng.uniform(-1, 1, (5, 3, 4, 4)))


def test_normalised_pixels_are_quantized_again_channel_by_channel(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 3, 4, 4, dtype="UINT8")
    graph.then("Sub", graph.const(rng.uniform(100, 150, (1, 3, 1, 1))))
    graph.then("Div", graph.const(rng.uniform(30, 60, (1, 3, 1, 1)))).quant(4, 0.25)
    path = graph.conv(rng.choice([-1, 1], (2, 3, 2, 2))).save(tmp_path)
    dataflow = load(path, argmax=False)
    act = dataflow.stage("act0")
    assert (act.leading, act.thresholds.channels) == ((4, 4), 3)
    assert_streams_equal(path, dataflow, random_images(DataType.parse("UINT8"), (3, 4, 4), rng, 20))


@pytest.mark.parametrize("entry", ["BIPOLAR", "INT4"])
@pytest.mark.parametrize("kernel", [(3, 2), (1, 1)])
def test_a_depthwise_layer_takes_a_scale_of_each_channel(tmp_path, entry, kernel):
    rng = np.random.default_rng(0)
    dtype = DataType.parse(entry)
    graph = GraphBuilder(1, 5, 6, 6, dtype=entry)
    graph.then("Mul", graph.const(2.0 ** rng.integers(-2, 3, (1, 5, 1, 1))))
    members = [-1, 1] if entry == "BIPOLAR" else [-1, 0, 1]
    graph.conv(
        rng.choice(members, (5, 1, *kernel)), group=5, strides=[2, 1] if kernel[0] > 1 else [1, 1]
    )
    graph.batch_norm(rng.standard_normal(5), rng.standard_normal(5), np.zeros(5), np.ones(5)).quant(
        3, 0.5
    )
    path = graph.conv(rng.choice([-1, 1], (4, 5, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    depthwise = dataflow.stage("dw0")
    assert depthwise.kernel == ("xnor" if entry == "BIPOLAR" else "signed")
    assert depthwise.weights.shape == (5, kernel[0] * kernel[1])
    assert ("window0" in [s.name for s in dataflow.stages]) == (kernel != (1, 1))
    assert_streams_equal(path, dataflow, random_images(dtype, (5, 6, 6), rng, 20))
