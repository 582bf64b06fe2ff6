"""Branches that no stage expresses are refused by name."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from popshift.hw.errors import UnsupportedOpError
from popshift.hw.frontend import load

from .branch_graphs import branch, shuffled
from .qonnx_builder import GraphBuilder


def scales_without_grid():
    graph = GraphBuilder(1, 4, dtype="INT4")
    start = graph.at
    graph.linear(np.ones((4, 4))).quant(4, 0.3)
    left = graph.at
    branch(graph, start).linear(np.ones((4, 4))).quant(4, 0.7)
    return graph.then("Add", left)


def scales_per_channel():
    graph = GraphBuilder(1, 2, dtype="INT4")
    start = graph.at
    graph.linear(np.ones((2, 2))).quant(4, [[0.5, 0.25]])
    return graph.then("Add", start)


def float_branch():
    graph = GraphBuilder(1, 2, dtype="INT4")
    start = graph.at
    return graph.linear(np.ones((2, 2))).then("Relu").then("Add", start)


def shapes():
    graph = GraphBuilder(1, 2, 3, 3, dtype="INT4")
    start = graph.at
    return graph.then("GlobalAveragePool").then("Add", start)


def moved_operand():
    graph = GraphBuilder(1, 4, 2, 2, dtype="INT4")
    start = graph.at
    return shuffled(graph, 2, 4, 2).then("Add", start)


def joined_rows():
    graph = GraphBuilder(1, 4, 2, 2, dtype="INT4")
    graph.at = graph.node("Concat", graph.at, graph.at, axis=2)
    return graph


def joined_floats():
    graph = GraphBuilder(1, 4, dtype="INT4")
    start = graph.at
    graph.linear(np.ones((4, 4))).then("Tanh")
    graph.at = graph.node("Concat", start, graph.at, axis=1)
    return graph


def cropped():
    graph = GraphBuilder(1, 4, 3, 3, dtype="INT4")
    ends = [graph.const([n], np.int64) for n in (0, 2, 2)]
    return graph.then("Slice", *ends).conv(np.ones((4, 4, 1, 1)))


def chosen_by_data():
    graph = GraphBuilder(1, 4, dtype="INT4")
    graph.at = graph.node("Gather", graph.const(np.ones(9)), graph.at)
    return graph


def sum_with_a_term():
    graph = GraphBuilder(1, 4, dtype="BIPOLAR")
    start = graph.at
    return graph.linear(np.ones((4, 4))).then("Add", start)


def floats_of_two_quantizers():
    graph = GraphBuilder(1, 4)
    start = graph.at
    left = graph.quant(4, 1.0).at
    return branch(graph, start).quant(4, 0.5).then("Add", left)


CASES = {
    "grid": (scales_without_grid, "have scales 0.7 and 0.3, which have no common integer grid"),
    "channels": (scales_per_channel, "varies from channel to channel, which leaves no common"),
    "floats": (float_branch, "is no scaled integer behind node 'Relu_"),
    "shapes": (shapes, "it adds (1, 2, 1, 1) and (1, 2, 3, 3); give both the same shape"),
    "order": (moved_operand, "were moved differently and lie in different orders"),
    "rows": (joined_rows, "joins axis 2 of (1, 4, 2, 2), which are not the channels of a stream"),
    "joined floats": (joined_floats, "(Tanh); put a quantizer before the Concat"),
    "crop": (cropped, "which are not the same channels of every pixel, each once; select channels"),
    "index": (chosen_by_data, "input 'c0' is constant; fold it on export"),
    "term": (sum_with_a_term, "is no scaled integer, but for a term; put a quantizer"),
    "inputs": (floats_of_two_quantizers, "'in' feeds 2 consumers (node 'Quant_0' (Quant), node"),
}


@pytest.mark.parametrize("case", CASES)
def test_refusal_says_where_why_and_what_to_do(tmp_path, case):
    build, message = CASES[case]
    graph = build()
    path = graph.linear(np.ones((2, 4))).save(tmp_path)
    assert onnx.load(path).graph.node
    with pytest.raises(UnsupportedOpError) as caught:
        load(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
