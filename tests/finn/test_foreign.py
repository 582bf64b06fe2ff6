"""Graphs of FINN's own ops become dataflows that compute FINN's integers, or are refused by name."""

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper

from popshift.flows.bench.finn import NETWORKS
from popshift.flows.finn.own import estimate
from popshift.flows.finn.reading import read
from popshift.flows.golden import load_golden, stream_images
from popshift.hw import frontend, storage
from popshift.hw.errors import GraphError, ModelFileError, UnsupportedOpError
from popshift.hw.finn.foreign import read_finn
from popshift.hw.finn.foreign.node import op_of
from popshift.hw.finn.graph import to_finn
from popshift.hw.stages import Fifo, MatVec, Pool, Threshold, Window

from . import finn_graphs as graphs
from .finn_graphs import Graph

pytestmark = pytest.mark.finn


def imported(model, tmp_path):
    model.save(str(tmp_path / "graph.onnx"))
    return read_finn(tmp_path / "graph.onnx")


def assert_computes_what_finn_computes(graph, tmp_path, images=6, seed=0):
    """Compare the import of a graph with FINN's own execution, on both ends of the range first."""
    model = graph.model()
    dataflow = imported(model, tmp_path).dataflow
    (kind,) = dataflow.inputs.values()
    x = kind.dtype.random((images, *kind.shape), np.random.default_rng(seed))
    x[0], x[1] = kind.dtype.min, kind.dtype.max
    (output,) = dataflow.outputs
    have = dataflow.execute(x)[output]
    bits = graph.types["x"] == "BINARY" and kind.dtype.name == "BIPOLAR"
    want = graphs.executed(model, (x + 1) // 2 if bits else x)
    if have.min() < 0 and want.min() == 0 and dataflow.streams[output].dtype.name == "BIPOLAR":
        want = 2 * want - 1
    np.testing.assert_array_equal(have.reshape(want.shape), want)
    return dataflow


def rng():
    return np.random.default_rng(7)


def test_a_layer_of_integers_with_thresholds(finn, tmp_path):
    graph = Graph([1, 12], "UINT4")
    levels = np.sort(rng().integers(-40, 40, (6, 3)), axis=1)
    graphs.mvau(
        graph, rng().choice([-1, 1], (12, 6)), levels, dtype="INT4", ActVal=-2, SIMD=4, PE=3
    )
    dataflow = assert_computes_what_finn_computes(graph, tmp_path)
    (layer,) = [stage for stage in dataflow.stages if isinstance(stage, MatVec)]
    assert (layer.simd, layer.pe, layer.kernel) == (4, 3, "signed")


def test_levels_between_integers_are_met_by_the_next_one(finn, tmp_path):
    graph = Graph([1, 5], "INT3")
    graphs.thresholding(graph, [[-1.5], [0.25], [-0.0], [2.0], [9.5]], "BINARY")
    assert_computes_what_finn_computes(graph, tmp_path, images=12)


def test_one_level_for_all_channels(finn, tmp_path):
    graph = Graph([1, 6], "UINT3")
    graphs.thresholding(graph, [[1, 4, 5]], "UINT2", pe=2)
    dataflow = assert_computes_what_finn_computes(graph, tmp_path, images=9)
    assert dataflow.stages[0].thresholds.channels == 6


def test_bits_are_bipolar_from_the_xnor_layer_back_to_what_makes_them(finn, tmp_path):
    graph = Graph([1, 6, 6, 4], "UINT3")
    graphs.thresholding(graph, rng().integers(0, 9, (4, 1)), "BINARY", pe=4)
    graphs.windows(graph, 2, stride=2, depthwise=1)
    graphs.pool(graph, 4, pe=2)
    graphs.windows(graph, 2, simd=4)
    weights = rng().integers(0, 2, (16, 8))
    graphs.mvau(
        graph, weights, rng().integers(4, 12, (8, 1)), dtype="BINARY", binaryXnorMode=1,
        weightDataType="BINARY", leading=(1, 2, 2), SIMD=8, PE=2,
    )  # fmt: skip
    graphs.mvau(
        graph, rng().integers(0, 2, (8, 3)), dtype="INT32", binaryXnorMode=1,
        weightDataType="BINARY", leading=(1, 2, 2),
    )  # fmt: skip
    dataflow = assert_computes_what_finn_computes(graph, tmp_path)
    kinds = [type(stage) for stage in dataflow.stages if stage.kind != "width"]
    assert kinds == [Threshold, Pool, Window, MatVec, MatVec]
    names = {kind.dtype.name for stream, kind in dataflow.streams.items() if stream != "x"}
    assert "UINT1" not in names
    assert dataflow.inputs["x"].dtype.name == "UINT3"


def test_an_input_of_bits_is_bipolar(finn, tmp_path):
    graph = Graph([1, 128], "BINARY")
    graphs.mvau(graph, np.ones((128, 2)), dtype="INT32", binaryXnorMode=1, weightDataType="BINARY")
    dataflow = assert_computes_what_finn_computes(graph, tmp_path)
    assert dataflow.inputs["x"].dtype.name == "BIPOLAR"
    # All ones: 128, which FINN's own hardware would return as -128.
    assert dataflow.streams[dataflow.outputs[0]].dtype.name == "UINT8"


def test_zero_bits_around_an_image_of_bits_are_minus_one(finn, tmp_path):
    graph = Graph([1, 4, 4, 2], "UINT2")
    graphs.thresholding(graph, [[1], [3]], "BINARY")
    graphs.padded(graph, (1, 2, 0, 1))
    graphs.windows(graph, 3)
    graphs.mvau(
        graph, rng().integers(0, 2, (18, 4)), dtype="INT32", binaryXnorMode=1,
        weightDataType="BINARY", leading=(1, 3, 5),
    )  # fmt: skip
    dataflow = assert_computes_what_finn_computes(graph, tmp_path)
    (window,) = [stage for stage in dataflow.stages if isinstance(stage, Window)]
    assert (window.padding, window.pad_value) == ((1, 2, 0, 1), -1)


def test_padding_of_integers_is_zero(finn, tmp_path):
    graph = Graph([1, 4, 5, 2], "INT3")
    graphs.padded(graph, (1, 1, 1, 1))
    graphs.windows(graph, 3, stride=2, simd=2)
    graphs.mvau(graph, rng().choice([-1, 0, 1], (18, 3)), dtype="INT16", leading=(1, 2, 3))
    assert_computes_what_finn_computes(graph, tmp_path)


def test_a_depthwise_layer_takes_the_windows_of_its_channels(finn, tmp_path):
    graph = Graph([1, 5, 5, 4], "INT4")
    graphs.windows(graph, 3, simd=2, depthwise=1)
    weights = rng().choice([-1, 0, 1], (4, 1, 3, 3))
    levels = np.sort(rng().integers(-12, 12, (4, 2)), axis=1)
    graph.add(
        "VVAU", [1, 3, 3, 4], "UINT2", weights, levels, PE=2, SIMD=1, Dim=[3, 3], Channels=4,
        Kernel=[3, 3], inputDataType="INT4", weightDataType="INT2", outputDataType="UINT2",
        noActivation=0, ActVal=0,
    )  # fmt: skip
    dataflow = assert_computes_what_finn_computes(graph, tmp_path)
    assert dataflow.stage("vvau_1").pe == 2


def test_pools_sums_and_the_greatest_label(finn, tmp_path):
    graph = Graph([1, 6, 6, 3], "INT5")
    graphs.windows(graph, 3, stride=3, depthwise=1)
    graphs.pool(graph, 3, "AccPool", "INT9", kernel=3, pe=3)
    graph.add(
        "GlobalAccPool", [1, 1, 1, 3], "INT11", NumChannels=3, PE=1, inputDataType="INT9",
        numInputVectors=[1, 2, 2],
    )  # fmt: skip
    graph.add(
        "LabelSelect", [1, 1, 1, 1], "UINT2", Labels=3, PE=3, K=1, inputDataType="INT11",
        outputDataType="UINT2", numInputVectors=[1, 1, 1],
    )  # fmt: skip
    assert_computes_what_finn_computes(graph, tmp_path, images=12)


def test_fifos_and_converters_keep_what_fifos_hold(finn, tmp_path):
    graph = Graph([1, 12], "UINT4")
    graphs.thresholding(graph, [[3, 9, 11]], "UINT2", pe=6)
    graphs.fifo(graph, 32, lanes=6)
    graphs.converter(graph, 12, 4)
    graphs.fifo(graph, 3, lanes=2)
    graphs.mvau(graph, rng().choice([-1, 1], (12, 4)), dtype="INT8", SIMD=2, PE=4)
    dataflow = assert_computes_what_finn_computes(graph, tmp_path)
    (buffer,) = [stage for stage in dataflow.stages if isinstance(stage, Fifo)]
    assert buffer.type.lanes == 6
    assert buffer.depth == 33  # 32 beats of 6 elements and 3 of 2


def test_constants_at_the_end_are_left_to_the_host(finn, tmp_path):
    graph = Graph([1, 6], "UINT3")
    graphs.mvau(graph, rng().choice([-1, 1], (6, 3)), dtype="INT7")
    given = {"lhs_shape": [1, 3], "lhs_style": "input", "rhs_style": "const", "out_shape": [1, 3]}
    graph.add("ElementwiseMul", [1, 3], "FLOAT32", [0.25], lhs_dtype="INT7", rhs_dtype="FLOAT32",
              out_dtype="FLOAT32", rhs_shape=[1], **given)  # fmt: skip
    graph.add("ElementwiseAdd", [1, 3], "FLOAT32", [1.0, -2.0, 0.5], lhs_dtype="FLOAT32",
              rhs_dtype="FLOAT32", out_dtype="FLOAT32", rhs_shape=[3], **given)  # fmt: skip
    model = graph.model()
    dataflow = imported(model, tmp_path).dataflow
    (output,) = dataflow.outputs
    host = dataflow.host[output]
    x = np.random.default_rng(0).integers(0, 8, (5, 6))
    scores = dataflow.execute(x)[output] * np.array(host.scale) + np.array(host.bias)
    np.testing.assert_array_equal(scores, graphs.executed(model, x))


REFUSED = {
    "an average divides": (
        lambda g: graphs.pool(graphs.windows(g, 2, stride=2, depthwise=1), 4, "AvgPool"),
        r"node Pool_1: Pool: AvgPool divides",
    ),
    "a pool without its windows": (
        lambda g: graphs.pool(g, 4),
        r"node Pool_0: Pool: it needs a sliding window without dilation before it",
    ),
    "weights of many bits": (
        lambda g: graphs.mvau(
            graphs.windows(g, 4), np.full((64, 2), 1 << 16), dtype="INT32", leading=(1, 1, 1)
        ),
        r"node MVAU_1: MVAU: kernel signed takes weights of at most 16 bits, got 65536",
    ),
    "padding that no window takes": (
        lambda g: graphs.thresholding(graphs.padded(g, (1, 1, 1, 1)), [[1]], "UINT1"),
        r"node Thresholding_1: Thresholding: its input is padded",
    ),
    "several labels": (
        lambda g: g.add(
            "LabelSelect", [1, 4, 4, 2], "UINT2", Labels=4, PE=1, K=2, inputDataType="INT4",
            numInputVectors=[1, 4, 4],
        ),
        r"node LabelSelect_0: LabelSelect: K=2",
    ),
    "all unknown ops are named": (
        lambda g: g.add("Lookup", [1, 4, 4, 4], "INT4").add("HWSoftmax", [1, 4, 4, 4], "INT4"),
        r"no stage expresses Lookup_0 \(Lookup\), HWSoftmax_1 \(HWSoftmax\); known ops: .*Conv",
    ),
    "a missing attribute": (
        lambda g: g.add("LabelSelect", [1, 4, 4, 1], "UINT2", PE=1, K=1),
        r"node LabelSelect_0: LabelSelect: attribute Labels is None, not an integer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_stage_expresses_is_refused_by_name(case, tmp_path):
    make, message = REFUSED[case]
    graph = Graph([1, 4, 4, 4], "INT4")
    make(graph)
    with pytest.raises(UnsupportedOpError, match=message):
        imported(graph.model(), tmp_path)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "graph.onnx").write_bytes(b"graph")
    with pytest.raises(ModelFileError, match="not ONNX"):
        read_finn(tmp_path / "graph.onnx")


def test_a_graph_of_our_own_ops_is_read_stage_by_stage(network, tmp_path):
    source = network("mlp", hidden=(16, 12))
    dataflow = frontend.load(source / "model.onnx", name="own")
    found = imported(to_finn(dataflow), tmp_path)
    assert [row[2] for row in found.nodes] == [stage.name for stage in dataflow.stages]
    (kind,) = dataflow.inputs.values()
    x = kind.dtype.random((3, *kind.shape), rng())
    for stream, want in dataflow.execute(x).items():
        np.testing.assert_array_equal(found.dataflow.execute(x)[stream], want)


@pytest.mark.parametrize(
    ("name", "fps"),
    [("mlp", 1000), ("tfc", 10_000), pytest.param("cnv", 1000, marks=pytest.mark.slow)],
)
def test_what_finns_own_steps_make_of_a_network_computes_its_integers(
    finn, network, tmp_path, name, fps
):
    source = network(name)
    own = estimate(source / "model.onnx", tmp_path, fps=fps, clock_mhz=100.0)
    found = read_finn(own.graph)
    golden = load_golden(source / "golden.npz", 2)
    reference = frontend.load(source / "model.onnx", name="x", argmax=False)
    images = stream_images(reference, golden.images)
    (kind,) = found.dataflow.inputs.values()
    (output,) = found.dataflow.outputs
    popcounts = found.dataflow.execute(images.reshape(-1, *kind.shape))[output]
    layers = [stage for stage in found.dataflow.stages if isinstance(stage, MatVec)]
    logits = golden.tensors[list(golden.tensors)[-1]]
    np.testing.assert_array_equal(2 * popcounts - layers[-1].synapses, logits)

    # Without waiting, a layer takes what FINN says, and the slowest one is its interval.
    reading = read(own.graph, fifos=None, images=2)
    for node in reading.nodes:
        if node.op.startswith(("MVAU", "Thresholding")) and node.stage:
            assert node.cycles == node.estimate, node.node
    assert max(node.estimate for node in reading.nodes) == own.interval_cycles
    assert reading.interval_cycles >= own.interval_cycles


def test_finns_own_narrow_accumulators_do_not_reach_ours(finn, network, tmp_path):
    """FINN gives a popcount of 256 bits 9 bits, of which one is a sign: 256 would be -256."""
    own = estimate(network("mlp") / "model.onnx", tmp_path, fps=1000, clock_mhz=100.0)
    model = ModelWrapper(str(own.graph))
    last = [node for node in model.graph.node if node.op_type.startswith("MVAU")][-1]
    assert model.get_tensor_datatype(last.output[0]).name == "INT9"
    dataflow = read_finn(own.graph).dataflow
    assert dataflow.streams[dataflow.outputs[0]].dtype.name == "UINT9"


def test_a_reading_is_stored_and_never_over_another(finn, tmp_path):
    graph = Graph([1, 12], "UINT4")
    graphs.mvau(graph, rng().choice([-1, 1], (12, 4)), dtype="INT8", SIMD=2, PE=4)
    graph.model().save(str(tmp_path / "graph.onnx"))
    reading = read(tmp_path / "graph.onnx", fifos=4, images=3, output=tmp_path / "out")
    assert reading.interval_cycles == 6
    stored = storage.load(tmp_path / "out")
    assert [stage.kind for stage in stored.stages].count("fifo") == 2
    with pytest.raises(GraphError, match="holds a dataflow already"):
        read(tmp_path / "graph.onnx", fifos=4, images=3, output=tmp_path / "out")


def test_old_names_of_ops_are_known():
    from onnx import NodeProto  # noqa: PLC0415

    for old, new in (
        ("StreamingFCLayer_Batch", "MVAU"),
        ("MatrixVectorActivation", "MVAU"),
        ("Vector_Vector_Activate_Batch", "VVAU"),
        ("StreamingMaxPool_Batch", "StreamingMaxPool"),
        ("Thresholding_rtl", "Thresholding"),
    ):
        assert op_of(NodeProto(op_type=old)) == new


def test_the_benchmark_asks_for_finns_networks():
    assert [name for name, _ in NETWORKS] == ["tfc", "sfc", "lfc", "cnv"]
