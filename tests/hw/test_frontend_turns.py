"""Activations that rise and fall: exact thresholds with steps of both directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from popshift.hw.dtypes import BIPOLAR, DataType, signed, unsigned
from popshift.hw.errors import GraphError
from popshift.hw.frontend import load, load_with_report
from popshift.hw.reference import compile_reference
from popshift.hw.stages import Thresholds

from .qonnx_builder import GraphBuilder, assert_streams_equal


def maxout(graph, rng):
    """Slopes of any sign on both sides, AdaBin's Maxout (arXiv:2208.08084): a PReLU and a scale."""
    positive, negative = rng.uniform(-2, 2, (2, *graph.width))
    graph.then("PRelu", graph.const(negative / positive))
    return graph.then("Mul", graph.const(positive))


ACTIVATIONS = {
    "Abs": lambda graph, rng: graph.then("Abs"),
    "HardSwish": lambda graph, rng: graph.then("HardSwish"),
    "PReLU": lambda graph, rng: graph.then("PRelu", graph.const(rng.uniform(-2, 1, graph.width))),
    "LeakyRelu": lambda graph, rng: graph.then("LeakyRelu", alpha=-0.5),
    "Elu of both signs": lambda graph, rng: graph.then("Elu", alpha=-1.0),
    "Maxout": maxout,
    "two bends": lambda graph, rng: graph.then("Abs").then("Sub", graph.const(1.0)).then("Abs"),
}


def network(shape, rng, activation, end, *, entry="INT4", width=7) -> GraphBuilder:
    graph = GraphBuilder(1, *shape, dtype=entry, opset=14)
    graph.width = (width, 1, 1) if len(shape) == 3 else (width,)
    if len(shape) == 3:
        graph.conv(rng.choice([-1, 0, 1], (width, shape[0], 2, 2)))
    else:
        graph.linear(rng.choice([-1, 0, 1], (width, shape[0])))
    spread = 3.0 if entry != "BIPOLAR" else 1.5
    gamma = rng.choice([-1, 1], width) * rng.uniform(0.3, 2, width)
    gamma[rng.random(width) < 0.1] = 0
    graph.batch_norm(gamma, rng.standard_normal(width), np.zeros(width), [spread**2] * width)
    ACTIVATIONS[activation](graph, rng)
    graph.then("Add", graph.const(rng.standard_normal(graph.width)))
    if end == "bits":
        graph.bipolar()
    elif end == "thresholds":
        levels = np.sort(rng.standard_normal((width, 3)), axis=1)
        graph.then("MultiThreshold", graph.const(levels), out_dtype="UINT2")
    else:
        graph.quant(3, 0.5, signed=int(end == "signed"))
    return graph


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 32),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    end=st.sampled_from(["bits", "signed", "unsigned", "thresholds"]),
    entry=st.sampled_from(["INT4", "BIPOLAR", "UINT2"]),
    is_map=st.booleans(),
)
def test_functions_that_turn_equal_qonnx_on_every_stream(
    tmp_path_factory, seed, activation, end, entry, is_map
):
    rng = np.random.default_rng(seed)
    shape = (3, 4, 4) if is_map else (9,)
    graph = network(shape, rng, activation, end, entry=entry)
    if is_map:
        graph.conv(rng.choice([-1, 1], (2, 7, 1, 1)))
    else:
        graph.linear(rng.choice([-1, 1], (2, 7)))
    path = graph.save(tmp_path_factory.mktemp("turns"))
    dataflow, report = load_with_report(path, argmax=False)
    assume(not report.warnings)
    images = DataType.parse(entry).random((40, *shape), rng)
    streams = assert_streams_equal(path, dataflow, images)
    packed = compile_reference(dataflow).streams(streams[next(iter(dataflow.inputs))])
    for name, values in streams.items():
        np.testing.assert_array_equal(packed[name], values)


def one_channel(tmp_path, build, end, range_of="INT4"):
    graph = GraphBuilder(1, 1, dtype=range_of).linear([[1]])
    build(graph)
    end(graph)
    path = graph.linear([[1]]).save(tmp_path)
    return load(path, argmax=False).stage("fc0").thresholds


def test_a_valley_falls_and_rises(tmp_path):
    thresholds = one_channel(tmp_path, lambda g: g.then("Abs"), lambda g: g.quant(2, 1.0, signed=0))
    assert (thresholds.steps, thresholds.base) == (6, 0)
    assert thresholds.levels.tolist() == [[-2, -1, 0, 1, 2, 3]]
    assert thresholds.is_rising.tolist() == [[False, False, False, True, True, True]]
    assert thresholds.execute(np.arange(-4, 5)[:, None]).ravel().tolist() == [
        3, 3, 2, 1, 0, 1, 2, 3, 3,
    ]  # fmt: skip
    assert thresholds.results == (0, 3)


def test_an_interval_of_bits_needs_two_levels_and_no_directions(tmp_path):
    """At most two transitions with one turn; only their parity counts."""
    thresholds = one_channel(
        tmp_path,
        lambda g: g.then("Abs").then("Sub", g.const(2.0)),
        lambda g: g.bipolar(),
    )
    assert thresholds.levels.tolist() == [[-1, 2]]
    assert thresholds.directions == 1
    assert thresholds.execute(np.arange(-3, 4)[:, None]).ravel().tolist() == [
        1, 1, -1, -1, -1, 1, 1,
    ]  # fmt: skip


def test_a_hill_has_a_base_below_its_results(tmp_path):
    thresholds = one_channel(
        tmp_path,
        lambda g: g.then("Abs").then("Neg").then("Add", g.const(3.0)),
        lambda g: g.quant(2, 1.0, signed=0),
    )
    assert (thresholds.steps, thresholds.base) == (6, -3)
    assert thresholds.execute(np.arange(-4, 5)[:, None]).ravel().tolist() == [
        0, 0, 1, 2, 3, 2, 1, 0, 0,
    ]  # fmt: skip


def test_hills_and_valleys_share_a_base_modulo_the_codes(tmp_path):
    graph = GraphBuilder(1, 2, dtype="INT4").linear([[1, 0], [0, 1]])
    graph.then("Abs").then("Mul", graph.const([1.0, -1.0]))
    graph.then("Add", graph.const([0.0, 3.0])).quant(2, 1.0, signed=0)
    path = graph.linear([[1, 1]]).save(tmp_path)
    dataflow = load(path, argmax=False)
    # Offsets 0 and -3 are 1 apart modulo 4: a single step more for one of them.
    assert dataflow.stage("fc0").thresholds.steps == 7
    x = np.stack(np.meshgrid(np.arange(-8, 8), np.arange(-8, 8)), axis=-1).reshape(-1, 2)
    assert_streams_equal(path, dataflow, x)


def test_a_table_that_is_monotone_has_one_direction(tmp_path):
    thresholds = one_channel(
        tmp_path,
        lambda g: g.then("Abs").then("Add", g.const(1.0)),
        lambda g: g.quant(4, 1.0, signed=0),
        "UINT3",
    )
    assert thresholds.directions == 1
    assert thresholds.is_monotone


def test_bits_that_turn_are_quantized_again(tmp_path):
    """|b| is the same for both bits: a constant, and nothing of the 0 in between."""
    graph = GraphBuilder(1, 3, dtype="BIPOLAR").then("Abs").quant(2, 1.0, narrow=1)
    path = graph.linear([[1, 1, 0]]).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert dataflow.stage("act0").thresholds.steps == 1
    assert_streams_equal(path, dataflow, BIPOLAR.random((8, 3), np.random.default_rng(0)))


def test_a_pool_behind_a_function_that_turns_waits_for_the_quantizer(tmp_path):
    rng = np.random.default_rng(0)
    graph = network((2, 5, 5), rng, "Abs", "unsigned")
    quantized = graph.nodes.pop()
    graph.at = quantized.input[0]
    graph.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).quant(3, 0.5, signed=0)
    path = graph.conv(rng.choice([-1, 1], (2, 7, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert [stage.kind for stage in dataflow.stages] == ["window", "matvec", "pool", "matvec"]
    assert dataflow.stage("conv0").thresholds.directions > 1
    assert_streams_equal(path, dataflow, signed(4).random((10, 2, 5, 5), rng))


def test_bits_padded_with_zeros_turn_at_every_border(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 3, 5, 5, dtype="BIPOLAR")
    graph.conv(rng.choice([-1, 1], (4, 3, 3, 3)), pads=[1] * 4)
    graph.then("Abs").then("Sub", graph.const(np.arange(4.0).reshape(4, 1, 1))).quant(2, 2.0)
    path = graph.conv(rng.choice([-1, 0, 1], (2, 4, 1, 1))).save(tmp_path)
    dataflow = load(path, argmax=False)
    layer = dataflow.stage("conv0")
    assert layer.border.classes == 9
    assert layer.thresholds.directions == layer.thresholds.steps > 1
    assert_streams_equal(path, dataflow, BIPOLAR.random((20, 3, 5, 5), rng))


def test_directions_of_another_shape_are_refused():
    with pytest.raises(GraphError, match=r"is_rising \(1, 1\) \(channels,\) or the same"):
        Thresholds(levels=np.array([[1, 2]]), is_rising=np.array([[True]]), dtype=unsigned(2))


def test_bits_of_directions_are_found_again():
    thresholds = Thresholds(
        levels=np.array([[1, 2], [3, 4], [5, 6], [7, 8]]),
        is_rising=np.array([[True, False]] * 4),
        dtype=unsigned(1),
    )
    # Two lanes of two levels of four bits, then two directions each.
    words, width = thresholds.image(0, 8, 2)
    assert (len(words), width) == (2, 2 * 2 * 4 + 2 * 2)
    assert thresholds.locate(0, 8, 2, 1, 4) == "channel 2, threshold 1"
    assert thresholds.locate(0, 8, 2, 1, 16 + 3) == "channel 3, direction of threshold 1"
