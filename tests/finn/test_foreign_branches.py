"""Branches of FINN's graphs: read where the stages for them are, named where they are not."""

import numpy as np
import pytest

from popshift.hw.errors import UnsupportedOpError
from popshift.hw.finn.foreign import read_finn
from popshift.hw.stages import STAGES

from . import finn_graphs as graphs
from .finn_graphs import Graph

pytestmark = pytest.mark.finn


def rng():
    return np.random.default_rng(3)


def copies(graph, count=2, pe=1):
    """Append a DuplicateStreams and return the names of its outputs."""
    shape = graph.shapes[graph.here]
    graph.add(
        "DuplicateStreams", shape, graph.types[graph.here], outputs=count, NumChannels=shape[-1],
        PE=pe, NumOutputStreams=count, inputDataType=graph.types[graph.here],
        numInputVectors=shape[:-1],
    )  # fmt: skip
    return [graph.here, *(f"{graph.here}_{i}" for i in range(1, count))]


def elementwise(graph, op, first, second, dtype, pe=1):
    """Append the sum or difference of two streams."""
    shape = graph.shapes[first]
    return graph.add(
        op, shape, dtype, inputs=[first, second], PE=pe, lhs_style="input", rhs_style="input",
        lhs_shape=shape, rhs_shape=shape, out_shape=shape, lhs_dtype=graph.types[first],
        rhs_dtype=graph.types[second], out_dtype=dtype,
    )  # fmt: skip


def check(graph, tmp_path, kinds):
    """FINN's integers where every kind of stage is there; else the missing ops are named."""
    model = graph.model()
    model.save(str(tmp_path / "graph.onnx"))
    if not set(kinds) <= set(STAGES):
        with pytest.raises(UnsupportedOpError, match="no stage"):
            read_finn(tmp_path / "graph.onnx")
        return None
    dataflow = read_finn(tmp_path / "graph.onnx").dataflow
    (kind,) = dataflow.inputs.values()
    x = kind.dtype.random((6, *kind.shape), rng())
    x[0], x[1] = kind.dtype.min, kind.dtype.max
    have = dataflow.execute(x)
    from finn.core.onnx_exec import execute_onnx  # noqa: PLC0415

    for index, image in enumerate(x):
        want = execute_onnx(model, {"x": image.astype(np.float32)[None]})
        for info, stream in zip(model.graph.output, dataflow.outputs, strict=True):
            result = have[stream][index]
            np.testing.assert_array_equal(result, want[info.name].reshape(result.shape))
    return dataflow


@pytest.mark.parametrize("op", ["ElementwiseAdd", "ElementwiseSub"])
def test_a_stream_plus_what_a_layer_made_of_it(finn, tmp_path, op):
    graph = Graph([1, 6], "INT4")
    first, second = copies(graph, pe=2)
    graph.here = first
    graphs.mvau(graph, rng().choice([-1, 1], (6, 6)), dtype="INT8", SIMD=3, PE=2)
    elementwise(graph, op, second, graph.here, "INT9", pe=3)
    dataflow = check(graph, tmp_path, ["fork", "add"])
    if dataflow is not None:
        (total,) = [stage for stage in dataflow.stages if stage.kind == "add"]
        assert total.pe == 3


def test_joined_channels(finn, tmp_path):
    graph = Graph([1, 3, 3, 4], "UINT3")
    first, second = copies(graph)
    graph.here = second
    graphs.thresholding(graph, rng().integers(0, 8, (4, 3)).cumsum(axis=1), "UINT2", pe=2)
    graph.add(
        "StreamingConcat", [1, 3, 3, 8], "UINT3", inputs=[first, graph.here], SIMD=2,
        ChannelsPerStream=[4, 4], inputDataTypes=["UINT3", "UINT2"], numInputVectors=[1, 3, 3],
    )  # fmt: skip
    check(graph, tmp_path, ["fork", "concat"])


def test_separated_channels(finn, tmp_path):
    graph = Graph([1, 2, 2, 6], "INT3")
    shapes = [[1, 2, 2, 2], [1, 2, 2, 4]]
    graph.add(
        "StreamingSplit", shapes, "INT3", outputs=2, SIMD=2, ChannelsPerStream=[2, 4],
        inputDataType="INT3", numInputVectors=[1, 2, 2],
    )  # fmt: skip
    left, right = graph.here, f"{graph.here}_1"
    graph.here = right
    graphs.mvau(graph, rng().choice([-1, 1], (4, 2)), dtype="INT8", leading=(1, 2, 2))
    elementwise(graph, "ElementwiseAdd", left, graph.here, "INT9")
    check(graph, tmp_path, ["split", "add"])


def test_bits_that_are_numbers_on_another_branch_are_refused(tmp_path):
    graph = Graph([1, 8], "UINT2")
    graphs.thresholding(graph, [[1]], "BINARY")
    first, second = copies(graph)
    graph.here = first
    graphs.mvau(
        graph, rng().integers(0, 2, (8, 8)), dtype="INT8", binaryXnorMode=1,
        weightDataType="BINARY",
    )  # fmt: skip
    elementwise(graph, "ElementwiseAdd", graph.here, second, "INT9")
    graph.model().save(str(tmp_path / "graph.onnx"))
    reason = "bits to an XNOR layer as well" if "fork" in STAGES else r"DuplicateStreams_1 \(Dup"
    with pytest.raises(UnsupportedOpError, match=reason):
        read_finn(tmp_path / "graph.onnx")
