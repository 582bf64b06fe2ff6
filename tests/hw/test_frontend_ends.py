"""Ends of a model: argmax as a stage where it commutes, else scale and bias for the host."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.hw.frontend import load, load_with_report

from .qonnx_builder import GraphBuilder, assert_streams_equal


@pytest.mark.parametrize("entry", ["BIPOLAR", "INT4"])
@pytest.mark.parametrize(
    ("form", "commutes"), [("common", True), ("bias", False), ("scale", False), ("minus", False)]
)
def test_argmax_stage_only_where_it_commutes(tmp_path, entry, form, commutes):
    rng = np.random.default_rng(2)
    weights = rng.choice([-1, 1], (5, 9))
    graph = GraphBuilder(1, 9, dtype=entry)
    graph.linear(weights, [0.1, 0.2, 0.1, 0.1, 0.1] if form == "scale" else 0.1)
    if form == "bias":
        graph.then("Add", graph.const(rng.standard_normal(5)))
    path = graph.then("Mul", graph.const(-0.7 if form == "minus" else 0.7)).save(tmp_path)
    dataflow, report = load_with_report(path)
    x = rng.choice([-1, 1], (50, 9))
    streams = assert_streams_equal(path, dataflow, x)
    assert dataflow.origins["fc0_out"].tensor == "matmul2"
    if commutes:
        assert dataflow.outputs == ("argmax_out",)
        integer_sums = x @ weights.T
        np.testing.assert_array_equal(streams["argmax_out"][:, 0], integer_sums.argmax(axis=1))
    else:
        assert dataflow.outputs == ("fc0_out",)
        assert any("no argmax stage" in note for note in report.notes)


def test_without_argmax_the_host_gets_scale_and_bias(tmp_path):
    graph = GraphBuilder(1, 9, dtype="BIPOLAR").linear(np.ones((2, 9)), 0.5)
    path = graph.then("Add", graph.const(0.25)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert dataflow.outputs == ("fc0_out",)
    assert dataflow.host["fc0_out"].scale == (1.0,)
    assert dataflow.host["fc0_out"].bias == (-9 * 0.5 + 0.25,)
    assert_streams_equal(path, dataflow, np.ones((1, 9)))


@pytest.mark.parametrize("op", ["ArgMax", "TopK"])
def test_argmax_nodes_of_the_file_become_the_stage(tmp_path, op):
    graph = GraphBuilder(1, 6, dtype="UINT4").linear(np.tril(np.ones((6, 6))) * 2 - 1)
    if op == "ArgMax":
        graph.then("ArgMax", axis=1, keepdims=1)
    else:
        graph.then("TopK", graph.const([1], np.int64), outputs=2, axis=1)
        graph.at += "_1"
    path = graph.save(tmp_path)
    dataflow = load(path, argmax=False)
    assert [stage.name for stage in dataflow.stages] == ["fc0", "argmax"]
    assert dataflow.origins["argmax_out"].tensor == graph.at
    x = np.random.default_rng(3).integers(0, 16, (30, 6))
    assert_streams_equal(path, dataflow, x)
