"""Pools against qonnx' own executor, on either side of the quantizer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from popshift.hw.dtypes import BIPOLAR, DataType
from popshift.hw.errors import UnsupportedOpError
from popshift.hw.frontend import load, load_with_report

from .qonnx_builder import GraphBuilder, assert_streams_equal

INT4 = DataType.parse("INT4")


def images(shape, count=12, dtype=INT4, seed=0):
    found = dtype.random((count, *shape), np.random.default_rng(seed))
    found[0], found[1] = dtype.min, dtype.max
    return found


def conv(rng, channels=3, *, size=(6, 7)) -> GraphBuilder:
    """A convolution of 2 channels whose accumulators reach from about -50 to 50."""
    graph = GraphBuilder(1, 2, *size, dtype="INT4")
    return graph.conv(rng.choice([-1, 1], (channels, 2, 2, 2)), pads=[1, 1, 0, 0])


def stages_of(dataflow):
    return [stage.name for stage in dataflow.stages if stage.kind != "window"]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 32),
    order=st.permutations(["pool", "norm", "act"]),
    operation=st.sampled_from(["MaxPool", "AveragePool"]),
    bits=st.sampled_from([1, 2, 4]),
    slopes=st.sampled_from(["rising", "mixed"]),
    is_padded=st.booleans(),
)
def test_random_pools_equal_qonnx_on_every_stream(
    tmp_path_factory, seed, order, operation, bits, slopes, is_padded
):
    rng = np.random.default_rng(seed)
    graph = conv(rng)
    kernel, stride = rng.integers(1, 4, 2), rng.integers(1, 4, 2)
    for part in order:
        if part == "norm":
            gamma = rng.standard_normal(3)
            gamma = np.abs(gamma) if slopes == "rising" else gamma
            graph.batch_norm(
                gamma, rng.standard_normal(3), rng.standard_normal(3), rng.random(3) + 1
            )
        elif part == "act":
            graph.bipolar(0.5) if bits == 1 else graph.quant(bits, 0.5)
        else:
            options = {"count_include_pad": 1} if operation == "AveragePool" else {}
            pads = rng.integers(0, np.tile(kernel, 2)) if is_padded else np.zeros(4, int)
            graph.then(operation, kernel_shape=kernel, strides=stride, pads=pads, **options)
    path = graph.save(tmp_path_factory.mktemp("pool"))
    if order.index("pool") == order.index("norm") + 1:
        # What cannot be: padding of floats, a maximum of what falls and is not quantized behind.
        is_max = operation == "MaxPool"
        assume(slopes == "rising" or order[-1] == "act" if is_max else not is_padded)
    dataflow, report = load_with_report(path, argmax=False)
    assume(not report.warnings)
    assert_streams_equal(path, dataflow, images((2, 6, 7)))


@pytest.mark.parametrize(
    ("slopes", "stages"),
    [([1, 2, 0.5], ["conv0", "pool0"]), ([1, -1, 2], ["conv0", "pool0", "act0"])],
)
def test_a_max_pool_moves_behind_the_quantizer_if_all_in_between_rises(tmp_path, slopes, stages):
    graph = GraphBuilder(1, 2, 4, 4, dtype="INT4").conv(np.ones((3, 2, 1, 1)))
    graph.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    graph.batch_norm(slopes, [1, 2, 3], [0, 1, 2], [1, 1, 1]).bipolar()
    path = graph.save(tmp_path)
    dataflow = load(path, argmax=False)
    assert stages_of(dataflow) == stages
    is_behind = stages[-1] == "pool0"
    assert (dataflow.stage("pool0").input_dtype == BIPOLAR) == is_behind
    streams = assert_streams_equal(path, dataflow, images((2, 4, 4)))
    pooled = dataflow.accumulators["pool0"] if is_behind else dataflow.origins["pool0_out"]
    assert pooled.tensor == "maxpool2"
    assert streams[dataflow.outputs[0]].shape == (12, 2, 2, 3)


def test_a_max_pool_behind_a_falling_norm_needs_a_quantizer_behind_it(tmp_path):
    graph = GraphBuilder(1, 2, 4, 4, dtype="INT4").conv(np.ones((3, 2, 1, 1)))
    graph.batch_norm([1, -1, 2], [1, 2, 3], [0, 1, 2], [1, 1, 1])
    graph.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    ends_in_floats = graph.save(tmp_path)
    with pytest.raises(UnsupportedOpError, match=r"falls or turns in some channels; put a quant"):
        load(ends_in_floats)
    path = graph.bipolar().save(tmp_path)
    assert stages_of(load(path)) == ["conv0", "pool0"]
    assert_streams_equal(path, load(path), images((2, 4, 4)))


def test_functions_that_fall_on_both_sides_of_a_max_pool_are_refused(tmp_path):
    graph = GraphBuilder(1, 2, 4, 4, dtype="INT4").conv(np.ones((3, 2, 1, 1))).then("Neg")
    graph.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).then("Neg").bipolar()
    with pytest.raises(UnsupportedOpError, match="both fall in some channels; put the max pool"):
        load(graph.save(tmp_path))


def test_the_maximum_of_bits_is_pooled_as_bits_and_flattened(tmp_path):
    rng = np.random.default_rng(0)
    graph = conv(rng).bipolar().then("MaxPool", kernel_shape=[2, 3], strides=[2, 2]).then("Flatten")
    path = graph.linear(rng.choice([-1, 1], (4, 27))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert stages_of(dataflow) == ["conv0", "pool0", "fc0"]
    assert dataflow.stage("pool0").output_types[0].dtype == BIPOLAR
    assert dataflow.origins["pool0_out"].tensor == "maxpool3"
    assert_streams_equal(path, dataflow, images((2, 6, 7), 40))


def test_an_average_is_a_sum_whose_divisor_goes_into_the_thresholds(tmp_path):
    graph = conv(np.random.default_rng(0)).then("AveragePool", kernel_shape=[2, 3], strides=[2, 2])
    path = graph.quant(3, 0.75).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert stages_of(dataflow) == ["conv0", "pool0", "act0"]
    assert dataflow.stage("pool0").operation == "sum"
    assert dataflow.origins["pool0_out"].scale == (1 / 6,)
    assert_streams_equal(path, dataflow, images((2, 6, 7), 40))


@pytest.mark.parametrize("form", ["global", "mean", "mean18", "max"])
def test_global_pools_end_in_a_vector(tmp_path, form):
    rng = np.random.default_rng(0)
    graph = conv(rng, 5)
    graph.opset = 18 if form == "mean18" else 13
    graph.bipolar()
    if form == "global":
        graph.then("GlobalAveragePool").then("Flatten")
    elif form == "max":
        graph.then("GlobalMaxPool").then("Flatten")
    elif form == "mean":
        graph.then("ReduceMean", axes=[-1, 2], keepdims=0)
    else:
        graph.then("ReduceMean", graph.const([2, 3], np.int64), keepdims=0)
    path = graph.linear(rng.choice([-1, 1], (4, 5))).save(tmp_path)
    dataflow = load(path)
    assert stages_of(dataflow) == ["conv0", "pool0", "fc0", "argmax"]
    assert_streams_equal(path, dataflow, images((2, 6, 7), 40))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda g: g.then("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            "its divisor changes at the border, where padding is not counted; use count_include",
        ),
        (
            lambda g: g.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
            "its last window lies partly outside the map (ceil_mode = 1); use ceil_mode = 0",
        ),
        (
            lambda g: g.then("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]),
            "it is dilated; use dilations = 1",
        ),
        (
            lambda g: g.then("MaxPool", kernel_shape=[2, 2, 2]),
            "its kernel_shape is [2, 2, 2]; use a pool of two dimensions",
        ),
        (
            lambda g: g.then("MaxPool", kernel_shape=[9, 2]),
            "its kernel (9, 2) is larger than the map 6 x 7",
        ),
        (
            lambda g: g.then("Relu").then("AveragePool", kernel_shape=[2, 2]),
            "it averages floats behind node 'Relu_2' (Relu); put a quantizer between",
        ),
        (lambda g: g.then("ReduceMean", axes=[1]), "it runs over axes [1] of (1, 3, 6, 7)"),
        (
            lambda g: g.then("Add", g.const(1.0)).then(
                "AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1
            ),
            "its padding of 0 is no integer of its data, which has a term",
        ),
        (
            lambda g: g.then("MaxPool", kernel_shape=[2, 2], pads=[2, 2, 2, 2]),
            "the pool stage does not take it (pool0: padding (2, 2, 2, 2) must be smaller",
        ),
    ],
)
def test_refusals_name_the_node_the_reason_and_the_cure(tmp_path, build, message):
    graph = build(conv(np.random.default_rng(0)))
    with pytest.raises(UnsupportedOpError) as caught:
        load(graph.save(tmp_path))
    assert message in str(caught.value)


def test_the_average_of_popcounts_counts_their_offset_once_for_each(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 6, 6, dtype="BIPOLAR").conv(rng.choice([-1, 1], (3, 2, 2, 2)))
    path = graph.then("AveragePool", kernel_shape=[2, 2]).quant(4, 0.5).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert dataflow.stage("conv0").kernel == "xnor"
    assert dataflow.origins["pool0_out"].offset == -4 * 8
    bits = images((2, 6, 6), 30, DataType.parse("BIPOLAR"))
    assert_streams_equal(path, dataflow, bits)


@pytest.mark.parametrize("operation", ["MaxPool", "AveragePool"])
def test_a_pool_over_single_pixels_is_an_alias_of_what_it_pools(tmp_path, operation):
    graph = GraphBuilder(1, 2, 4, 4, dtype="INT4")
    graph.then(operation, kernel_shape=[1, 1])
    path = graph.conv(np.ones((2, 2, 2, 2))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert stages_of(dataflow) == ["conv0"]
    (entry,) = dataflow.inputs
    assert dataflow.origins[entry].tensors == ("in", f"{operation.lower()}0")
