"""Branches against qonnx' own executor: equal integers on every stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from popshift.hw.dtypes import BIPOLAR, signed, unsigned
from popshift.hw.frontend import load, load_with_report
from popshift.hw.sim import simulate
from popshift.hw.stages import Add, Concat, Fork, Split, Threshold

from .branch_graphs import branch, kinds, normed, random_images, residual_block, shuffled, ternary
from .qonnx_builder import GraphBuilder, assert_streams_equal


def test_a_residual_block_is_a_fork_and_a_clamped_sum(tmp_path):
    rng = np.random.default_rng(0)
    graph = residual_block(GraphBuilder(1, 3, 5, 5, dtype="UINT4"), rng, 3, scale=1.0)
    path = graph.conv(ternary(rng, 2, 3, 1, 1)).save(tmp_path)
    dataflow, report = load_with_report(path, argmax=False)
    assert kinds(dataflow) == ["fork", "window", "matvec", "window", "matvec", "add", "matvec"]
    add = dataflow.stage("add0")
    assert isinstance(add, Add)
    assert (add.factors, add.bounds) == ((1, 1), (0, 15))
    assert add.output_types[0].dtype == unsigned(4)
    assert_streams_equal(path, dataflow, random_images("UINT4", (3, 5, 5), rng))
    # It runs as it is, since the shorter branch holds what the other one needs.
    simulate(dataflow, images=2)
    # The sum itself is on no stream any more, but its tensor is known.
    assert dataflow.accumulators["add0"].tensor.startswith("add")
    assert report.warnings == ()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 32),
    exponents=st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    signs=st.tuples(st.booleans(), st.booleans()),
    op=st.sampled_from(["Add", "Sub"]),
    end=st.sampled_from(["relu", "sign", "quant", "conv"]),
)
def test_sums_of_points_whose_scales_differ_by_powers_of_two(
    tmp_path_factory, seed, exponents, signs, op, end
):
    rng = np.random.default_rng(seed)
    graph = GraphBuilder(1, 4, 4, 4, dtype="INT3")
    start = graph.at
    scales = [2.0**e for e in exponents]
    normed(graph.conv(ternary(rng, 5, 4, 3, 3)), rng, 5).quant(3, scales[0], signed=int(signs[0]))
    left = graph.at
    normed(branch(graph, start).conv(ternary(rng, 5, 4, 3, 3)), rng, 5)
    graph.quant(2, scales[1], signed=int(signs[1]))
    graph.at = graph.node(op, left, graph.at)
    if end == "relu":
        graph.then("Relu").quant(3, min(scales), signed=0)
    elif end == "sign":
        graph.bipolar()
    elif end == "quant":
        normed(graph, rng, 5).quant(3, 0.5)
    path = graph.conv(rng.choice([-1, 1], (2, 5, 1, 1))).save(tmp_path_factory.mktemp("sum"))
    dataflow, report = load_with_report(path, argmax=False)
    assume(not report.warnings)
    assert_streams_equal(path, dataflow, random_images("INT3", (4, 4, 4), rng))
    (add,) = (stage for stage in dataflow.stages if isinstance(stage, Add))
    ratio = 2 ** (exponents[0] - exponents[1]) * (-1 if op == "Sub" else 1)
    assert add.factors[0] / add.factors[1] == ratio
    assert min(map(abs, add.factors)) == 1


@pytest.mark.parametrize("widths", [(12, 12), (12, 7)])
def test_popcounts_of_two_layers_add_up(tmp_path, widths):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 19, dtype="BIPOLAR")
    start = graph.at
    sums = []
    for width, first in zip(widths, (0, 12), strict=True):
        weights = rng.choice([-1, 1], (6, width))
        bounds = [graph.const(v, np.int64) for v in ([first], [first + width], [1])]
        if width == 12:
            bounds[:2] = [graph.const(v, np.int64) for v in ([0], [12])]
        branch(graph, graph.node("Slice", start, *bounds)).linear(weights)
        sums.append(graph.at)
    graph.at = graph.node("Add", *sums)
    path = normed(graph, rng, 6).bipolar().linear(rng.choice([-1, 1], (2, 6))).save(tmp_path)
    dataflow = load(path, argmax=False)
    add = dataflow.stage("add0")
    origin = dataflow.origins["add0_out"]
    assert add.factors == (1, 1)
    # 2 P1 - K1 + 2 P2 - K2
    assert (origin.multiplier, origin.offset) in ((2, -sum(widths)), (1, -sum(widths) // 2))
    assert_streams_equal(path, dataflow, random_images("BIPOLAR", (19,), rng, 40))


def test_accumulators_and_a_point_are_added_where_their_steps_allow(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 6, dtype="BIPOLAR")
    start = graph.at
    graph.linear(rng.choice([-1, 1], (6, 6)), 0.5, bias=np.full(6, 0.25))
    graph.then("Add", start)
    path = normed(graph, rng, 6).quant(3, 0.5).linear(ternary(rng, 2, 6)).save(tmp_path)
    dataflow = load(path, argmax=False)
    # 0.5 (2 P - 6) + 0.25 + x = P - 3 + 0.25 + x, in steps of 1
    assert dataflow.stage("add0").factors == (1, 1)
    assert_streams_equal(path, dataflow, random_images("BIPOLAR", (6,), rng, 40))


def test_averages_are_added_to_points_on_their_grid(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 3, 4, 4, dtype="UINT3")
    start = graph.at
    graph.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    short = graph.at
    normed(branch(graph, start).conv(ternary(rng, 3, 3, 2, 2), strides=[2, 2]), rng, 3)
    graph.quant(4, 1.0).then("Add", short)
    path = graph.bipolar().conv(rng.choice([-1, 1], (2, 3, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert sorted(dataflow.stage("add0").factors) == [1, 4]
    assert_streams_equal(path, dataflow, random_images("UINT3", (3, 4, 4), rng))


def test_a_sum_of_three_tensors(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 5, dtype="INT4")
    start = graph.at
    others = []
    for bits in (2, 3):
        normed(branch(graph, start).linear(ternary(rng, 5, 5)), rng, 5).quant(bits, 1.0)
        others.append(graph.at)
    graph.at = graph.node("Sum", start, *others)
    path = graph.linear(ternary(rng, 2, 5)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert len(dataflow.stage("fork0").outputs) == 3
    assert len(dataflow.stage("add0").inputs) == 3
    assert_streams_equal(path, dataflow, random_images("INT4", (5,), rng, 30))


def test_a_tensor_added_to_itself_is_its_double(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 4, dtype="UINT3")
    graph.then("Add", graph.at)
    path = graph.linear(ternary(rng, 2, 4)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert kinds(dataflow) == ["matvec"]
    assert_streams_equal(path, dataflow, random_images("UINT3", (4,), rng, 10))


def test_accumulators_with_two_quantizers_get_a_threshold_stage_each(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 6, dtype="INT4")
    normed(graph.linear(ternary(rng, 4, 6)), rng, 4)
    both = graph.at
    graph.bipolar()
    left = graph.linear(rng.choice([-1, 1], (4, 4))).at
    branch(graph, both).quant(2, 1.0, narrow=1)
    graph.then("Add", left).quant(3, 2.0)
    path = graph.linear(ternary(rng, 2, 4)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert kinds(dataflow)[:4] == ["matvec", "fork", "threshold", "matvec"]
    assert dataflow.stage("fc0").thresholds is None
    assert_streams_equal(path, dataflow, random_images("INT4", (6,), rng, 30))


def test_a_pooled_tensor_is_pooled_once_and_forked(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 4, 4, dtype="UINT4").then(
        "MaxPool", kernel_shape=[2, 2], strides=[2, 2]
    )
    pooled = graph.at
    normed(graph.conv(ternary(rng, 2, 2, 1, 1)), rng, 2).quant(4, 1.0).then("Add", pooled)
    path = graph.bipolar().conv(rng.choice([-1, 1], (2, 2, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert kinds(dataflow) == ["pool", "fork", "matvec", "add", "threshold", "matvec"]
    assert_streams_equal(path, dataflow, random_images("UINT4", (2, 4, 4), rng))


def test_a_padded_tensor_is_padded_in_each_branch(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 2, 4, 4, dtype="BIPOLAR")
    graph.then("Pad", graph.const([0, 0, 1, 1, 0, 0, 1, 1], np.int64), graph.const(-1.0))
    padded = graph.at
    left = graph.conv(rng.choice([-1, 1], (3, 2, 3, 3))).at
    branch(graph, padded).conv(rng.choice([-1, 1], (3, 2, 3, 3))).then("Add", left)
    path = graph.bipolar().conv(rng.choice([-1, 1], (2, 3, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert kinds(dataflow)[:5] == ["fork", "window", "matvec", "window", "matvec"]
    assert_streams_equal(path, dataflow, random_images("BIPOLAR", (2, 4, 4), rng))


def test_an_output_may_be_used_inside_as_well(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 4, dtype="INT4").linear(rng.choice([-1, 1], (3, 4)))
    graph.extra_outputs.append(graph.at)
    path = graph.bipolar().linear(rng.choice([-1, 1], (2, 3))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert kinds(dataflow) == ["matvec", "fork", "threshold", "matvec"]
    assert set(dataflow.host) == set(dataflow.outputs)
    assert len(dataflow.outputs) == 2


def test_channels_of_any_scale_and_datatype_are_joined(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 3, 4, 4, dtype="INT4")
    start = graph.at
    parts = [start]
    for bits, scale in ((1, 0.25), (3, 2.0)):
        normed(branch(graph, start).conv(ternary(rng, 2, 3, 1, 1)), rng, 2)
        parts.append((graph.bipolar(scale) if bits == 1 else graph.quant(bits, scale)).at)
    graph.at = graph.node("Concat", *parts, axis=1)
    normed(graph, rng, 7).quant(2, 1.0, narrow=1)
    path = graph.conv(ternary(rng, 2, 7, 3, 3)).save(tmp_path)
    dataflow = load(path, argmax=False)
    joined = dataflow.stage("concat0")
    assert isinstance(joined, Concat)
    assert (joined.channels, joined.dtype) == ((3, 2, 2), signed(4))
    assert dataflow.origins["concat0_out"].scale == (1, 1, 1, 0.25, 0.25, 2, 2)
    assert_streams_equal(path, dataflow, random_images("INT4", (3, 4, 4), rng))


def test_a_dense_block_joins_bits_with_bits(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 3, 5, 5, dtype="BIPOLAR")
    for channels in (3, 5, 7):
        before = graph.at
        pads = {"pads": [1, 1, 1, 1]}
        normed(graph.conv(rng.choice([-1, 1], (2, channels, 3, 3)), **pads), rng, 2).bipolar()
        graph.at = graph.node("Concat", before, graph.at, axis=1)
    path = graph.conv(rng.choice([-1, 1], (2, 9, 5, 5))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert kinds(dataflow).count("concat") == 3
    assert dataflow.streams["concat2_out"].dtype == BIPOLAR
    assert dataflow.stage("conv3").kernel == "xnor"
    assert_streams_equal(path, dataflow, random_images("BIPOLAR", (3, 5, 5), rng))


def test_popcounts_of_different_sizes_are_joined_with_their_offsets(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 5, 4, 4, dtype="BIPOLAR")
    start = graph.at
    left = graph.conv(rng.choice([-1, 1], (2, 5, 1, 1))).at
    branch(graph, start).conv(rng.choice([-1, 1], (3, 5, 3, 3)), pads=[1] * 4)
    # Bits padded with 0 have no popcounts; a Conv without padding has.
    branch(graph, start).conv(rng.choice([-1, 1], (3, 5, 1, 1)), 2.0)
    graph.at = graph.node("Concat", left, graph.at, axis=1)
    path = normed(graph, rng, 5).bipolar().conv(rng.choice([-1, 1], (2, 5, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert_streams_equal(path, dataflow, random_images("BIPOLAR", (5, 4, 4), rng))


@pytest.mark.parametrize("op", ["Split", "Slice", "Gather"])
def test_halves_of_the_channels_go_different_ways(tmp_path, op):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 6, 4, 4, dtype="UINT3")
    start = graph.at
    if op == "Split":
        sizes = graph.const([2, 4], np.int64)
        left = graph.node("Split", start, sizes, outputs=2, axis=1)
        right = f"{left}_1"
    elif op == "Slice":
        axes = graph.const([1], np.int64)
        ends = [graph.const([n], np.int64) for n in (0, 2, 100)]
        left = graph.node("Slice", start, ends[0], ends[1], axes)
        right = graph.node("Slice", start, ends[1], ends[2], axes)
    else:
        left = graph.node("Gather", start, graph.const([4, 1], np.int64), axis=1)
        right = graph.node("Gather", start, graph.const([0, 2, 3, 5], np.int64), axis=1)
    normed(branch(graph, left).conv(ternary(rng, 4, 2, 1, 1)), rng, 4).quant(3, 1.0)
    graph.then("Add", right)
    path = graph.bipolar().conv(rng.choice([-1, 1], (2, 4, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    # Splits behind a fork are one split, which stores a beat once for each who takes it.
    assert kinds(dataflow) == ["split", "matvec", "add", "threshold", "matvec"]
    split = dataflow.stage("split0")
    assert isinstance(split, Split)
    assert split.members.sum(axis=1).tolist() == [2, 4]
    assert_streams_equal(path, dataflow, random_images("UINT3", (6, 4, 4), rng))


def test_channels_that_nobody_takes_are_dropped(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 6, 3, 3, dtype="UINT3")
    sizes = graph.const([1, 2, 3], np.int64)
    first = graph.node("Split", graph.at, sizes, outputs=3, axis=1)
    path = branch(graph, f"{first}_1").conv(ternary(rng, 2, 2, 1, 1)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert len(dataflow.stage("split0").outputs) == 1
    assert_streams_equal(path, dataflow, random_images("UINT3", (6, 3, 3), rng))


def test_a_fork_keeps_the_consumers_that_take_everything(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 6, dtype="UINT3")
    start = graph.at
    axes = graph.const([1], np.int64)
    ends = [graph.const([n], np.int64) for n in (0, 2, 4)]
    parts = [
        graph.node("Slice", start, ends[0], ends[1], axes),
        graph.node("Slice", start, ends[1], ends[2], axes),
        graph.node("Identity", start),
        graph.node("Identity", start),
    ]
    graph.at = graph.node("Concat", *parts, axis=1)
    path = graph.linear(ternary(rng, 2, 16)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert kinds(dataflow) == ["fork", "split", "concat", "matvec"]
    fork = dataflow.stage("fork0")
    assert isinstance(fork, Fork)
    assert len(fork.outputs) == 3
    assert_streams_equal(path, dataflow, random_images("UINT3", (6,), rng, 20))


def test_a_shuffle_of_channels_becomes_one_of_weights(tmp_path):
    rng = np.random.default_rng(0)
    graph = shuffled(GraphBuilder(1, 6, 4, 4, dtype="INT3"), 2, 6, 4)
    normed(graph, rng, 6).quant(3, 0.5)
    graph.conv(ternary(rng, 6, 1, 3, 3), 2.0 ** rng.integers(-1, 2, 6), group=6, pads=[1] * 4)
    normed(graph, rng, 6).quant(3, 0.5)
    graph.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    shuffled(graph, 3, 6, 2)
    path = graph.conv(ternary(rng, 4, 6, 2, 2)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert kinds(dataflow) == ["threshold", "window", "depthwise", "pool", "matvec"]
    shuffles = [origin.channels for origin in dataflow.origins.values()]
    assert (0, 3, 1, 4, 2, 5) in shuffles
    assert_streams_equal(path, dataflow, random_images("INT3", (6, 4, 4), rng))


def test_a_shuffle_unit_splits_joins_and_shuffles(tmp_path):
    """The unit of ShuffleNet v2 (arXiv:1807.11164, figure 3c), twice."""
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 8, 4, 4, dtype="INT3")
    for _ in range(2):
        left = graph.node("Split", graph.at, outputs=2, axis=1)
        branch(graph, f"{left}_1")
        for kernel, options in ((1, {}), (3, {"group": 4, "pads": [1] * 4}), (1, {})):
            inputs = 1 if kernel == 3 else 4
            graph.conv(ternary(rng, 4, inputs, kernel, kernel), **options)
            normed(graph, rng, 4).quant(3, 1.0)
        graph.at = graph.node("Concat", left, graph.at, axis=1)
        shuffled(graph, 2, 8, 4)
    path = graph.conv(ternary(rng, 3, 8, 4, 4)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert kinds(dataflow).count("split") == 2
    assert_streams_equal(path, dataflow, random_images("INT3", (8, 4, 4), rng))


def test_bits_are_quantized_again_channel_by_channel(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 8, dtype="BIPOLAR")
    graph.batch_norm([1, -1, 1, 1, 2, -2, 0, 3], [0, 0, 2, -2, 0.5, 0.5, -1, 0], [0] * 8, [1] * 8)
    graph.quant(2, 1.0)
    path = graph.linear(ternary(rng, 3, 8)).save(tmp_path)
    dataflow = load(path, argmax=False)
    act = dataflow.stage("act0")
    assert isinstance(act, Threshold)
    assert act.input_dtype == BIPOLAR
    assert_streams_equal(path, dataflow, random_images("BIPOLAR", (8,), rng, 20))
