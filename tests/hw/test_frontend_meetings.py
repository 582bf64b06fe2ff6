"""Branches of the same integers that meet again are functions of one integer."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.hw.dtypes import signed
from popshift.hw.errors import UnsupportedOpError
from popshift.hw.frontend import load, load_with_report

from .qonnx_builder import GraphBuilder, assert_streams_equal


def product(graph: GraphBuilder, one: str, other: str, op: str = "Mul") -> GraphBuilder:
    graph.at = graph.node(op, one, other)
    return graph


def silu(graph, rng):
    return product(graph, graph.at, graph.node("Sigmoid", graph.at))


def hard_swish(graph, rng):
    x = graph.at
    graph.then("Add", graph.const(3.0)).then("Clip", graph.const(0.0), graph.const(6.0))
    return product(graph.then("Div", graph.const(6.0)), x, graph.at)


def maxout(graph, rng):
    """The greater of two slopes per channel."""
    slopes = [graph.const(rng.uniform(-2, 2, 6)) for _ in range(2)]
    parts = [graph.node("Mul", graph.at, slope) for slope in slopes]
    return product(graph, *parts, op="Max")


def two_slopes(graph, rng):
    """AdaBin's Maxout (arXiv:2208.08084): a slope for each sign, written with Relu."""
    x = graph.at
    positive = graph.node("Mul", graph.node("Relu", x), graph.const(rng.uniform(0.5, 2, 6)))
    negative = graph.node("Relu", graph.node("Neg", x))
    return product(graph, positive, graph.node("Mul", negative, graph.const(0.5)), op="Sub")


def soft_sign(graph, rng):
    x = graph.at
    graph.then("Abs").then("Add", graph.const(1.0))
    return product(graph, x, graph.at, op="Div")


def square(graph, rng):
    return product(graph, graph.at, graph.at)


def mish(graph, rng):
    """x tanh(softplus(x)): a branch within a branch."""
    x = graph.at
    return product(graph, x, graph.then("Softplus").then("Tanh").at)


def nested(graph, rng):
    """(x + 1) relu(x + 1) - x: the inner branches meet before the outer ones."""
    x = graph.at
    graph.then("Add", graph.const(1.0))
    inner = product(graph, graph.at, graph.node("Relu", graph.at)).at
    return product(graph, inner, x, op="Sub")


FUNCTIONS = [silu, hard_swish, maxout, two_slopes, soft_sign, square, mish, nested]


def network(rng, function, **quant):
    graph = GraphBuilder(1, 9, dtype="INT3").linear(rng.choice([-1, 0, 1], (6, 9)))
    gamma = rng.choice([-1, 1], 6) * rng.uniform(0.3, 1, 6)
    graph.batch_norm(gamma, rng.standard_normal(6), np.zeros(6), [9.0] * 6)
    return function(graph, rng)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("end", ["bits", "integers"])
def test_no_stream_forks_and_the_layer_has_the_thresholds(tmp_path, function, end):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        graph = network(rng, function)
        graph.bipolar() if end == "bits" else graph.quant(3, 0.25)
        path = graph.linear(rng.choice([-1, 1], (2, 6))).save(tmp_path)
        dataflow, report = load_with_report(path, argmax=False)
        assert [stage.name for stage in dataflow.stages] == ["fc0", "fc1"]
        if report.warnings:
            continue
        assert_streams_equal(path, dataflow, signed(3).random((60, 9), rng))


def test_a_meeting_that_rises_is_bisected(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 9, dtype="INT3").linear(rng.choice([-1, 0, 1], (6, 9)))
    product(graph, graph.node("Relu", graph.at), graph.node("Tanh", graph.at), op="Add")
    path = graph.quant(3, 0.5).linear(rng.choice([-1, 1], (2, 6))).save(tmp_path)
    dataflow, report = load_with_report(path, argmax=False)
    assert report.layers[0].method == "bisection"
    assert_streams_equal(path, dataflow, signed(3).random((60, 9), rng))


def test_others_that_take_the_tensor_as_well_get_a_fork(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 9, dtype="INT3").linear(rng.choice([-1, 0, 1], (6, 9)))
    x = graph.at
    gate = graph.node("Sigmoid", x)
    graph.bipolar()
    early = graph.linear(rng.choice([-1, 1], (6, 6))).at
    product(graph, x, gate).quant(4, 1.0)
    path = graph.then("Add", early).quant(3, 1.0).linear(rng.choice([-1, 1], (2, 6))).save(tmp_path)
    dataflow = load(path, argmax=False)
    fork = dataflow.stage("fork0")
    assert len(fork.outputs) == 2
    assert_streams_equal(path, dataflow, signed(3).random((60, 9), rng))


def test_a_float32_margin_follows_both_branches(tmp_path):
    """x * (x - 3) vanishes at 3, where float32 has rounded both operands."""
    graph = GraphBuilder(1, 1, dtype="INT4").linear([[1]])
    graph.then("Mul", graph.const(0.1))
    x = graph.at
    graph.then("Sub", graph.const(0.3))
    path = product(graph, x, graph.at).bipolar().linear([[1]]).save(tmp_path)
    _, report = load_with_report(path, argmax=False)
    assert report.layers[0].channels_at_risk == (0,)


def test_branches_in_different_orders_do_not_meet(tmp_path):
    graph = GraphBuilder(1, 4, dtype="INT4").linear(np.ones((4, 4)))
    x = graph.at
    graph.then("Reshape", graph.const((1, 2, 2), np.int64)).then("Transpose", perm=[0, 2, 1])
    graph.then("Reshape", graph.const((1, 4), np.int64))
    path = product(graph, x, graph.at).bipolar().linear([[1] * 4]).save(tmp_path)
    with pytest.raises(UnsupportedOpError, match="its factor depends on the data"):
        load(path)


def test_a_quotient_that_divides_by_0_is_refused(tmp_path):
    graph = GraphBuilder(1, 4, dtype="INT4").linear(np.ones((4, 4)))
    path = product(graph, graph.at, graph.at, op="Div").bipolar().linear([[1] * 4]).save(tmp_path)
    with pytest.raises(UnsupportedOpError, match="its divisor is 0 for some integer; use a div"):
        load(path)
