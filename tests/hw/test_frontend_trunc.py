"""Trunc in both versions, and fixed-point activations, against qonnx: equal integers."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from popshift.hw.errors import UnsupportedOpError
from popshift.hw.frontend import load

from .qonnx_builder import QONNX, GraphBuilder, assert_streams_equal
from .test_frontend_branches import random_images

WEIGHTS = np.random.default_rng(7).integers(-3, 4, (5, 6))


def layer(entry: str = "INT4", scale: float = 0.5) -> GraphBuilder:
    graph = GraphBuilder(1, 6, dtype=entry)
    return graph.then("MatMul", graph.const(WEIGHTS.T * scale))


def ending(graph: GraphBuilder) -> GraphBuilder:
    """A layer behind, which takes integers only."""
    return graph.then("MatMul", graph.const(np.eye(5)))


def trunc(graph: GraphBuilder, *parameters: float, **attributes) -> GraphBuilder:
    return graph.then("Trunc", *(graph.const(p) for p in parameters), **attributes)


def saved(graph: GraphBuilder, tmp_path, version: int):
    """Return the file with the version of QONNX' operators, which decides between the two."""
    path = graph.save(tmp_path)
    model = onnx.load(path)
    for entry in model.opset_import:
        entry.version = version if entry.domain == QONNX else entry.version
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL"])
@pytest.mark.parametrize("zero_point", [0.0, 3.0])
def test_the_first_version_drops_bits_and_keeps_the_scale(tmp_path, mode, zero_point):
    graph = trunc(layer(), 0.5, zero_point, 8.0, 5.0, rounding_mode=mode)
    path = saved(ending(graph), tmp_path, 1)
    dataflow = load(path, argmax=False)
    assert [stage.kind for stage in dataflow.stages] == ["matvec", "matvec"]
    assert_streams_equal(path, dataflow, random_images("INT4", (6,), np.random.default_rng(0), 99))


@pytest.mark.parametrize(("signed", "narrow"), [(1, 0), (1, 1), (0, 0)])
@pytest.mark.parametrize("drop", [1, 8])
def test_the_second_version_clamps_to_its_bits(tmp_path, signed, narrow, drop):
    kind = {"rounding_mode": "FLOOR", "signed": signed, "narrow": narrow}
    graph = trunc(layer(), 0.5, 0.0, 8.0, 0.5 * drop, 3.0, **kind)
    path = saved(ending(graph), tmp_path, 2)
    dataflow = load(path, argmax=False)
    assert_streams_equal(path, dataflow, random_images("INT4", (6,), np.random.default_rng(0), 99))


@pytest.mark.parametrize("version", [1, 2])
def test_what_lies_between_the_steps_is_rounded_before_bits_are_dropped(tmp_path, version):
    """Multiples of 0.5 in steps of 1: halves go to the even step."""
    parameters = (1.0, 0.0, 8.0, 6.0) if version == 1 else (1.0, 0.0, 8.0, 4.0, 6.0)
    path = saved(ending(trunc(layer(), *parameters, rounding_mode="FLOOR")), tmp_path, version)
    dataflow = load(path, argmax=False)
    assert_streams_equal(path, dataflow, random_images("INT4", (6,), np.random.default_rng(0), 99))


def test_an_average_that_is_truncated_is_a_sum_with_thresholds(tmp_path):
    graph = GraphBuilder(1, 2, 4, 4, dtype="UINT4")
    graph.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    trunc(graph, 0.25, 0.0, 6.0, 4.0, rounding_mode="FLOOR")
    graph.conv(np.ones((1, 2, 1, 1)))
    path = saved(graph, tmp_path, 1)
    dataflow = load(path, argmax=False)
    assert [stage.kind for stage in dataflow.stages] == ["pool", "threshold", "matvec"]
    assert_streams_equal(
        path, dataflow, random_images("UINT4", (2, 4, 4), np.random.default_rng(0))
    )


@pytest.mark.parametrize(("bits", "scale"), [(4, 0.25), (8, 0.125)])
def test_fixed_point_rounds_down_behind_relu(tmp_path, bits, scale):
    graph = layer(scale=0.0625).then("Relu").quant(bits, scale, mode="FLOOR")
    path = ending(graph).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert dataflow.stages[0].thresholds.results[0] == 0
    assert_streams_equal(path, dataflow, random_images("INT4", (6,), np.random.default_rng(0), 99))


REFUSALS = {
    "many steps": (
        lambda: trunc(layer("INT8"), 0.5, 0.0, 20.0, 20.0),
        "drop more bits, for 255 steps",
    ),
    "rounding": (
        lambda: trunc(layer(), 0.5, 0.0, 8.0, 4.0, rounding_mode="DICE"),
        "rounding 'DICE' is unknown",
    ),
    "half a zero point": (lambda: trunc(layer(), 0.5, 0.5, 8.0, 4.0), "its zero point is 0.5; use"),
    "constants": (
        lambda: GraphBuilder(1, 6, dtype="INT4").then("MatMul", "trunc0"),
        "it truncates constants; export them truncated",
    ),
    "scales": (
        lambda: trunc(layer(), 0.5, 0.0, 8.0, 0.25, 4.0),
        "its output scale is not its scale times a power of two, 1 or more",
    ),
    "zero point off the coarse grid": (
        lambda: trunc(layer(), 0.5, 1.0, 8.0, 1.0, 4.0),
        "its zero point 1 is no multiple of 2; use a zero point of 0",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_has_no_integer_form_is_refused_by_name(tmp_path, case):
    build, message = REFUSALS[case]
    graph = build()
    if case == "constants":
        values = [graph.const(v) for v in (WEIGHTS.T, 1.0, 0.0, 8.0, 4.0)]
        graph.nodes.insert(0, onnx.helper.make_node("Trunc", values, ["trunc0"], domain=QONNX))
    with pytest.raises(UnsupportedOpError, match=re.escape(message)):
        load(graph.save(tmp_path), argmax=False)
