"""Layers of distances (AdderNet) against qonnx' execution of what the operators stand for."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from popshift.hw.errors import UnsupportedOpError
from popshift.hw.frontend import load, load_with_report
from popshift.hw.passes import fold
from popshift.hw.stages import Depthwise, MatVec

from .qonnx_builder import GraphBuilder, assert_streams_equal
from .test_frontend_branches import normed, random_images

QUANT = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}


def weights(graph: GraphBuilder, values: np.ndarray, scale: float = 1.0, bits: int = 8) -> str:
    """Return the tensor of ``scale * values`` behind a Quant."""
    parameters = [graph.const(v) for v in (scale, 0.0, bits)]
    return graph.node("Quant", graph.const(values * scale), *parameters, **QUANT)


def l1_conv(graph: GraphBuilder, values: np.ndarray, scale: float = 1.0, **attributes):
    kernel = values.shape[2:]
    given = {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "group": 1, **attributes}
    return graph.then("L1Conv", weights(graph, values, scale), kernel_shape=kernel, **given)


@pytest.mark.parametrize("entry", ["INT4", "UINT5", "BIPOLAR"])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_matrix_of_distances_is_a_layer(tmp_path, entry, factor):
    """Weights may come in whole multiples of the step of the data, as those of adderN do."""
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 6, dtype=entry)
    graph.then("L1MatMul", weights(graph, rng.integers(-9, 20, (6, 4)), factor))
    normed(graph, rng, 4).quant(3, 0.5)
    path = graph.then("L1MatMul", weights(graph, rng.integers(-9, 9, (4, 3)), 0.5)).save(tmp_path)
    dataflow = load(path)
    first, last, argmax = dataflow.stages
    assert (first.kernel, last.kernel, argmax.kind) == ("adder", "adder", "argmax")
    assert last.accumulator_range[1] <= 0
    assert_streams_equal(path, dataflow, random_images(entry, (6,), rng, 50))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 32),
    entry=st.sampled_from(["UINT4", "INT3"]),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    kernel=st.sampled_from([(1, 1), (3, 2), (5, 6)]),
    is_padded=st.booleans(),
)
def test_windows_of_any_geometry_equal_the_operator(
    tmp_path_factory, seed, entry, sizes, kernel, is_padded
):
    rng = np.random.default_rng(seed)
    groups, inputs, outputs = sizes
    graph = GraphBuilder(1, groups * inputs, 5, 6, dtype=entry)
    options = {"strides": rng.integers(1, 3, 2), "group": groups}
    if is_padded:
        options["pads"] = [int(n) for n in rng.integers(0, kernel * 2)]
    l1_conv(graph, rng.integers(-9, 20, (groups * outputs, inputs, *kernel)), **options)
    normed(graph, rng, groups * outputs).quant(3, 0.5)
    values = rng.integers(-5, 5, (2, groups * outputs, 1, 1))
    path = l1_conv(graph, values, 1.5).save(tmp_path_factory.mktemp("windows"))
    dataflow, report = load_with_report(path, argmax=False)
    assert not report.warnings
    images = random_images(entry, (groups * inputs, 5, 6), rng)
    assert_streams_equal(path, dataflow, images)
    assert_streams_equal(path, fold(dataflow, fps=1e4, clock_mhz=100), images)


def test_padded_taps_are_processed(tmp_path):
    graph = GraphBuilder(1, 1, 2, 2, dtype="UINT4")
    l1_conv(graph, np.full((1, 1, 3, 3), 7), pads=[1] * 4)
    path = graph.save(tmp_path)
    streams = assert_streams_equal(path, load(path, argmax=False), np.zeros((1, 1, 2, 2)))
    assert (streams["conv0_out"] == -63).all()


def test_a_pad_node_before_says_what_the_border_holds(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 4, 4, dtype="UINT4")
    graph.then("Pad", graph.const([0, 0, 1, 1] * 2, np.int64), graph.const(3.0))
    path = l1_conv(graph, rng.integers(-4, 9, (3, 2, 3, 3))).save(tmp_path)
    assert_streams_equal(path, load(path, argmax=False), random_images("UINT4", (2, 4, 4), rng))


@pytest.mark.parametrize(("inputs", "kind"), [(1, Depthwise), (2, MatVec)])
def test_groups_and_channels_by_themselves_are_layers_of_their_own_kind(tmp_path, inputs, kind):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 4, 5, 5, dtype="INT4")
    l1_conv(graph, rng.integers(-9, 9, (8, inputs, 3, 3)), group=4 // inputs, pads=[1] * 4)
    path = graph.save(tmp_path)
    dataflow = load(path, argmax=False)
    layer = dataflow.stages[-1]
    assert isinstance(layer, kind)
    assert layer.kernel == "adder"
    assert_streams_equal(path, dataflow, random_images("INT4", (4, 5, 5), rng))


def test_channels_of_other_steps_are_apart_in_a_depthwise_layer(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 4, 4, dtype="UINT4")
    graph.then("Mul", graph.const(np.array([[[0.5]], [[2.0]]])))
    l1_conv(graph, rng.integers(-9, 9, (4, 1, 2, 2)), 2.0, group=2)
    path = graph.save(tmp_path)
    dataflow = load(path, argmax=False)
    assert np.abs(dataflow.stages[-1].weights[:2]).max() > 9
    assert_streams_equal(path, dataflow, random_images("UINT4", (2, 4, 4), rng))


def refused(tmp_path, graph: GraphBuilder, message: str) -> None:
    with pytest.raises(UnsupportedOpError, match=re.escape(message)):
        load(graph.save(tmp_path), argmax=False)


def test_weights_of_another_step_are_refused(tmp_path):
    graph = GraphBuilder(1, 6, dtype="INT4")
    graph.then("L1MatMul", weights(graph, np.arange(24).reshape(6, 4), 0.75))
    refused(
        tmp_path,
        graph,
        "node 'L1MatMul_1' (L1MatMul): weights 'quant0' of output 1 come in steps of 0.75 and its "
        "data in steps of 1, so that their distance is no integer; give both one step",
    )


def test_finer_weights_that_are_whole_steps_are_taken(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 6, dtype="INT4")
    path = graph.then("L1MatMul", weights(graph, 4 * rng.integers(-9, 9, (6, 4)), 0.25)).save(
        tmp_path
    )
    assert_streams_equal(path, load(path, argmax=False), random_images("INT4", (6,), rng))


def test_bits_have_no_zero_to_be_padded_with(tmp_path):
    graph = GraphBuilder(1, 1, 4, 4, dtype="BIPOLAR")
    l1_conv(graph, np.ones((1, 1, 3, 3)), pads=[1] * 4)
    refused(tmp_path, graph, "it pads bits with 0, whose distances to weights no bit has; train")


def test_groups_across_a_shuffle_are_refused(tmp_path):
    graph = GraphBuilder(1, 4, 4, 4, dtype="INT4")
    graph.at = graph.node("Gather", "in", graph.const([0, 2, 1, 3], np.int64), axis=1)
    l1_conv(graph, np.ones((2, 2, 1, 1)), group=2)
    refused(tmp_path, graph, "the channels of its groups do not lie together in the stream; use")


def test_weights_far_beyond_the_data_are_refused(tmp_path):
    graph = GraphBuilder(1, 6, dtype="INT4")
    graph.then("L1MatMul", weights(graph, np.full((6, 4), 2), 2.0**16))
    refused(tmp_path, graph, "weights 'quant0' reach 131072 steps of its data; use at most 16 bits")


def spelled_out(graph: GraphBuilder, values: np.ndarray, first: int, then: int, *, flip=False):
    """Sum of distances in nodes of ONNX: a new axis, and the axis of the sum."""
    columns = graph.node("Unsqueeze", graph.at, graph.const([first], np.int64))
    operands = (columns, weights(graph, values))
    graph.at = graph.node("Abs", graph.node("Sub", *(operands[::-1] if flip else operands)))
    return graph.then("ReduceSum", graph.const([then], np.int64), keepdims=0)


@pytest.mark.parametrize("axes", [(2, 1), (-1, -2), (1, 2), (-2, -1)])
@pytest.mark.parametrize("is_negated", [True, False])
def test_distances_of_a_matrix_may_be_spelled_out(tmp_path, axes, is_negated):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 6, dtype="INT4")
    shape = (6, 4) if axes in ((2, 1), (-1, -2)) else (4, 6)
    spelled_out(graph, rng.integers(-9, 20, shape), *axes, flip=is_negated)
    if is_negated:
        graph.then("Neg")
    normed(graph, rng, 4).quant(3, 0.5)
    path = graph.then("MatMul", graph.const(np.eye(4))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert [stage.kind for stage in dataflow.stages] == ["matvec", "matvec"]
    assert dataflow.stages[0].kernel == "adder"
    assert_streams_equal(path, dataflow, random_images("INT4", (6,), rng, 50))


@pytest.mark.parametrize("axes", [(-1, -2), (4, 3), (3, 4)])
@pytest.mark.parametrize("is_negated", [True, False])
def test_distances_of_windows_may_be_spelled_out(tmp_path, axes, is_negated):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 5, 6, dtype="UINT4")
    graph.then("Transpose", perm=[0, 2, 3, 1])
    moves = {"stride": [2, 1], "kernel_size": [3, 2], "pad_amount": [1, 0, 1, 1]}
    graph.then("Im2Col", **moves, input_shape="(1, 5, 6, 2)")
    shape = (12, 4) if axes != (3, 4) else (4, 12)
    spelled_out(graph, rng.integers(-9, 20, shape), *axes)
    if is_negated:
        graph.then("Neg")
    graph.then("Transpose", perm=[0, 3, 1, 2])
    normed(graph, rng, 4).quant(3, 0.5)
    path = graph.conv(np.ones((2, 4, 1, 1))).save(tmp_path)
    model = ModelWrapper(str(path))
    # qonnx pads only what says its datatype.
    model.set_tensor_datatype("transpose0", DataType["UINT4"])
    model.save(str(path))
    dataflow = load(path, argmax=False)
    assert [stage.kind for stage in dataflow.stages] == ["window", "matvec", "matvec"]
    for image in random_images("UINT4", (2, 5, 6), rng)[:3]:
        assert_streams_equal(path, dataflow, image[None])


def test_other_sums_are_refused(tmp_path):
    graph = GraphBuilder(1, 6, dtype="INT4").then("MatMul", "c0")
    graph.const(np.eye(6))
    graph.then("Abs").then("ReduceSum", graph.const([1], np.int64), keepdims=0)
    refused(tmp_path, graph, "it sums no distances |x - w| to constant weights; use a MatMul with")
