"""Convolutions in groups against qonnx' own executor: equal integers on every stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from popshift.hw.dtypes import BIPOLAR
from popshift.hw.frontend import load, load_with_report
from popshift.hw.passes import fold
from popshift.hw.reference import compile_reference
from popshift.hw.stages import Depthwise, MatVec, Window

from .branch_graphs import normed, random_images
from .qonnx_builder import GraphBuilder, assert_streams_equal


def grouped(rng, entry, groups, inputs, outputs, kernel, **options) -> GraphBuilder:
    graph = GraphBuilder(1, groups * inputs, 5, 6, dtype=entry)
    members = [-1, 1] if entry == "BIPOLAR" else [-1, 0, 1]
    weights = rng.choice(members, (groups * outputs, inputs, *kernel))
    scale = 2.0 ** rng.integers(-2, 3, groups * outputs)
    return graph.conv(weights, scale, group=groups, **options)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 32),
    entry=st.sampled_from(["UINT4", "INT3", "BIPOLAR"]),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)),
    kernel=st.sampled_from([(1, 1), (3, 2), (5, 6)]),
    is_padded=st.booleans(),
)
def test_groups_of_any_size_equal_qonnx_on_every_stream(
    tmp_path_factory, seed, entry, sizes, kernel, is_padded
):
    rng = np.random.default_rng(seed)
    groups, inputs, outputs = sizes
    is_depthwise_on_bits = inputs == 1 and groups > 1 and entry == "BIPOLAR"
    options = {"strides": rng.integers(1, 3, 2)}
    if is_padded and not is_depthwise_on_bits:
        options["pads"] = [int(n) for n in rng.integers(0, kernel * 2)]
    bias = rng.standard_normal(groups * outputs) if rng.random() < 1 / 2 else None
    graph = grouped(rng, entry, groups, inputs, outputs, kernel, bias=bias, **options)
    normed(graph, rng, groups * outputs).quant(3, 0.5)
    path = graph.conv(rng.choice([-1, 1], (2, groups * outputs, 1, 1))).save(
        tmp_path_factory.mktemp("groups")
    )
    dataflow, report = load_with_report(path, argmax=False)
    assume(not report.warnings)
    images = random_images(entry, (groups * inputs, 5, 6), rng)
    streams = assert_streams_equal(path, dataflow, images)
    assert_streams_equal(path, fold(dataflow, fps=1e4, clock_mhz=100), images)
    packed = compile_reference(dataflow).streams(streams[next(iter(dataflow.inputs))])
    for name, values in streams.items():
        np.testing.assert_array_equal(packed[name], values)


def test_a_grouped_layer_is_one_unit_that_switches_weights(tmp_path):
    rng = np.random.default_rng(0)
    path = grouped(rng, "UINT4", 2, 3, 4, (3, 3)).save(tmp_path)
    window, layer = load(path, argmax=False).stages
    assert isinstance(window, Window)
    assert isinstance(layer, MatVec)
    assert (window.groups, window.fold_sizes) == (2, {"simd": 3})
    assert (layer.groups, layer.weights.shape) == (2, (8, 27))
    assert layer.fold_sizes == {"pe": 4, "simd": 27}


def test_pixels_need_no_window_to_be_in_groups(tmp_path):
    path = grouped(np.random.default_rng(0), "UINT4", 2, 3, 4, (1, 1)).save(tmp_path)
    (layer,) = load(path, argmax=False).stages
    assert layer.groups == 2


def test_a_depthwise_layer_may_have_several_outputs_a_channel(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 4, 5, 6, dtype="INT4")
    graph.then("Mul", graph.const(2.0 ** rng.integers(-2, 3, (1, 4, 1, 1))))
    graph.conv(rng.choice([-1, 0, 1], (12, 1, 3, 3)), 2.0 ** rng.integers(-1, 2, 12), group=4)
    normed(graph, rng, 12).quant(3, 0.5)
    path = graph.conv(rng.choice([-1, 1], (2, 12, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    layer = dataflow.stage("dw0")
    assert isinstance(layer, Depthwise)
    assert (layer.multiplier, layer.channels, layer.neurons) == (3, 4, 12)
    images = random_images("INT4", (4, 5, 6), rng, 20)
    assert_streams_equal(path, dataflow, images)
    fast = fold(dataflow, fps=5e5, clock_mhz=100)
    assert fast.stage("dw0").pe > 1
    assert_streams_equal(path, fast, images)


def test_groups_behind_a_shuffle_of_whole_groups_stay_groups(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 6, 4, 4, dtype="INT3")
    graph.at = graph.node("Gather", "in", graph.const([4, 5, 0, 1, 3, 2], np.int64), axis=1)
    graph.conv(rng.choice([-1, 0, 1], (9, 2, 3, 3)), 2.0 ** rng.integers(-1, 2, 9), group=3)
    normed(graph, rng, 9).quant(3, 0.5)
    path = graph.conv(rng.choice([-1, 1], (2, 9, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert [stage.kind for stage in dataflow.stages] == ["window", "matvec", "matvec"]
    assert dataflow.stage("conv0").groups == 3
    assert_streams_equal(path, dataflow, random_images("INT3", (6, 4, 4), rng))


@pytest.mark.parametrize("entry", ["INT3", "BIPOLAR"])
def test_groups_across_a_shuffle_become_one_layer_with_zeros(tmp_path, entry):
    """The unit of ShuffleNet (arXiv:1707.01083, figure 2): group, shuffle, depthwise, group."""
    rng = np.random.default_rng(0)
    members = [-1, 1] if entry == "BIPOLAR" else [-1, 0, 1]
    graph = grouped(rng, entry, 2, 3, 3, (1, 1))
    normed(graph, rng, 6)
    graph.bipolar() if entry == "BIPOLAR" else graph.quant(3, 1.0)
    graph.then("Reshape", graph.const((0, 2, 3, 5, 6), np.int64))
    graph.then("Transpose", perm=[0, 2, 1, 3, 4])
    graph.then("Reshape", graph.const((0, 6, 5, 6), np.int64))
    normed(graph.conv(rng.choice(members, (6, 1, 3, 3)), group=6), rng, 6)
    graph.bipolar() if entry == "BIPOLAR" else graph.quant(3, 1.0)
    graph.conv(rng.choice(members, (4, 3, 1, 1)), 2.0 ** rng.integers(-1, 2, 4), group=2)
    path = graph.save(tmp_path)
    dataflow, report = load_with_report(path, argmax=False)
    last = dataflow.stage("conv1")
    assert (last.groups, last.kernel, last.weights.shape) == (1, "signed", (4, 6))
    assert "do not lie together in the stream" in report.notes[0]
    assert_streams_equal(path, dataflow, random_images(entry, (6, 5, 6), rng))


def test_bits_padded_with_zeros_in_groups_have_borders(tmp_path):
    rng = np.random.default_rng(0)
    graph = grouped(rng, "BIPOLAR", 2, 2, 3, (3, 3), pads=[1] * 4)
    normed(graph, rng, 6).quant(2, 1.0)
    path = graph.conv(rng.choice([-1, 0, 1], (2, 6, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert dataflow.stage("conv0").border.classes == 9
    assert_streams_equal(path, dataflow, BIPOLAR.random((20, 4, 5, 6), rng))
