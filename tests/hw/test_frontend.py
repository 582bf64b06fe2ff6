"""The frontend against qonnx' own executor: equal integers on every stream."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from popshift.hw.dtypes import BIPOLAR, DataType
from popshift.hw.errors import DatatypeError, GraphError
from popshift.hw.frontend import load, load_with_report
from popshift.hw.stages import MatVec

from .qonnx_builder import GraphBuilder, assert_streams_equal, execute, extreme_images

BYTES = np.arange(256).reshape(-1, 1)


def random_batch_norm(graph: GraphBuilder, rng: np.random.Generator, channels: int, spread: float):
    """Append a BatchNorm with positive, negative, zero, huge and tiny gammas."""
    gamma = rng.standard_normal(channels)
    gamma[rng.random(channels) < 0.15] = 0
    gamma *= 10.0 ** rng.integers(-6, 7, channels)
    beta = rng.standard_normal(channels) * np.where(gamma == 0, 1, np.abs(gamma))
    return graph.batch_norm(
        gamma,
        beta,
        rng.standard_normal(channels) * spread / 2,
        rng.uniform(0.1, 2, channels) * spread**2,
        epsilon=1e-5,
    )


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 32),
    sizes=st.lists(st.integers(2, 20), min_size=2, max_size=4),
    entry=st.sampled_from(["UINT8", "INT4", "BIPOLAR", "UINT1"]),
    activation=st.sampled_from(["bipolar", "signed1", "unsigned1", "bits2", "bits4", "ternary"]),
    form=st.sampled_from(["MatMul", "Gemm"]),
    is_ternary=st.booleans(),
    has_bias=st.booleans(),
    scales=st.sampled_from(["one", "layer", "channel"]),
)
def test_random_mlps_equal_qonnx_on_every_stream(
    tmp_path_factory, seed, sizes, entry, activation, form, is_ternary, has_bias, scales
):
    rng = np.random.default_rng(seed)
    dtype = DataType.parse(entry)
    graph = GraphBuilder(1, sizes[0], dtype=entry)
    first = None
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        weights = rng.choice([-1, 0, 1] if is_ternary else [-1, 1], (outputs, inputs))
        first = weights if first is None else first
        scale = {"one": 1.0, "layer": 0.25, "channel": 2.0 ** rng.integers(-3, 3, outputs)}[scales]
        bias = rng.standard_normal(outputs) * 3 if has_bias else None
        graph.linear(weights, scale, form=form, bias=bias)
        if number == len(sizes) - 2:
            break
        random_batch_norm(graph, rng, outputs, spread=max(1.0, inputs**0.5))
        if activation == "bipolar":
            graph.bipolar()
        elif activation == "signed1":
            graph.quant(1, 0.5)
        elif activation == "unsigned1":
            graph.quant(1, 0.5, signed=0)
        elif activation == "bits2":
            graph.quant(2, 0.25, signed=0)
        elif activation == "bits4":
            graph.quant(4, 0.125)
        else:
            graph.quant(2, 0.5, narrow=1)
    path = graph.save(tmp_path_factory.mktemp("mlp"))
    dataflow, report = load_with_report(path)
    assume(not report.warnings)
    members = [-1, 1] if dtype == BIPOLAR else range(dtype.min, dtype.max + 1)
    x = np.concatenate(
        [rng.choice(members, (40, sizes[0])), extreme_images(first, dtype.min, dtype.max)]
    )
    streams = assert_streams_equal(path, dataflow, x)
    if "argmax" in [stage.name for stage in dataflow.stages]:
        logits = execute(path, x)[graph.at]
        np.testing.assert_array_equal(streams["argmax_out"][:, 0], logits.argmax(axis=1))


def test_bipolar_ties_go_to_plus_one_on_both_slopes(tmp_path):
    mean = np.arange(0, 256, 5)
    channels = len(mean)
    gamma = np.where(np.arange(channels) % 2, 0.5, -2.0)
    graph = GraphBuilder(1, 1, dtype="UINT8").linear(np.ones((channels, 1)))
    path = graph.batch_norm(gamma, np.zeros(channels), mean, np.ones(channels)).bipolar()
    path = path.save(tmp_path)
    dataflow, report = load_with_report(path)
    bits = assert_streams_equal(path, dataflow, BYTES)["fc0_out"]
    assert (bits[mean, np.arange(channels)] == 1).all()
    assert not report.warnings


@pytest.mark.parametrize(
    "mode", ["ROUND", "HALF_EVEN", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]
)
@pytest.mark.parametrize("is_signed", [0, 1])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_every_rounding_and_tie_of_quant_equals_qonnx(tmp_path, mode, is_signed, bits):
    gain = np.array([1, -1, 0.5, -0.5, 0.25, -0.25, 2, -2, 0, 1024, 0.125, 1])
    shift = np.array([0, 0, 0.5, -0.5, 0.25, 1, 0, 0.5, 0.5, 0, -7, 300])
    zeros, ones = np.zeros(len(gain)), np.ones(len(gain))
    graph = GraphBuilder(1, 1, dtype="INT8").linear(np.ones((len(gain), 1)))
    graph.batch_norm(gain, shift, zeros, ones).quant(bits, 0.5, signed=is_signed, mode=mode)
    path = graph.save(tmp_path)
    dataflow, report = load_with_report(path)
    assert_streams_equal(path, dataflow, np.arange(-128, 128).reshape(-1, 1))
    assert not report.warnings


@pytest.mark.parametrize(("is_signed", "is_narrow"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("zero_point", [0, 3, -2])
def test_narrow_ranges_and_zero_points_equal_qonnx(tmp_path, is_signed, is_narrow, zero_point):
    graph = GraphBuilder(1, 1, dtype="INT8").linear([[1], [-1]])
    graph.quant(3, 8.0, signed=is_signed, narrow=is_narrow, zero_point=zero_point)
    path = graph.linear([[1, -1], [1, 1], [0, 1]]).save(tmp_path)
    assert_streams_equal(path, load(path), np.arange(-128, 128).reshape(-1, 1))


def test_dead_channels_are_constant(tmp_path):
    gamma, beta = np.zeros(4), np.array([-1.0, 0.0, 1.0, 1e-30])
    graph = GraphBuilder(1, 3, dtype="UINT8").linear(np.ones((4, 3)))
    path = graph.batch_norm(gamma, beta, np.full(4, 5.0), np.ones(4)).bipolar().save(tmp_path)
    x = np.array([[0, 0, 0], [255, 255, 255]])
    bits = assert_streams_equal(path, load(path), x)["fc0_out"]
    np.testing.assert_array_equal(bits, [[-1, 1, 1, 1]] * 2)


def test_multi_threshold_equals_qonnx_at_and_beside_every_threshold(tmp_path):
    thresholds = np.array([[-3, 0, 7.5], [10, 10, 10], [-200, 0, 200]])
    graph = GraphBuilder(1, 1, dtype="INT8").linear([[1], [-1], [1]])
    graph.then(
        "MultiThreshold", graph.const(thresholds), out_dtype="INT3", out_scale=0.5, out_bias=-1.0
    )
    path = graph.linear([[1, 1, -1]]).save(tmp_path)
    dataflow = load(path)
    assert dataflow.streams["fc0_out"].dtype.name == "INT3"
    assert_streams_equal(path, dataflow, np.arange(-128, 128).reshape(-1, 1))


def test_multi_threshold_with_two_levels_is_bipolar(tmp_path):
    graph = GraphBuilder(1, 1, dtype="UINT8").linear([[1], [-1]])
    graph.then(
        "MultiThreshold", graph.const([[4.0]]), out_dtype="BIPOLAR", out_scale=2.0, out_bias=-1.0
    )
    path = graph.linear([[1, -1]]).save(tmp_path)
    dataflow = load(path)
    assert [stage.kernel for stage in dataflow.stages] == ["signed", "xnor"]
    assert_streams_equal(path, dataflow, BYTES)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Relu", {}),
        ("LeakyRelu", {"alpha": 0.25}),
        ("Tanh", {}),
        ("Sigmoid", {}),
        ("HardSigmoid", {"alpha": 0.25, "beta": 0.5}),
        ("Elu", {"alpha": 0.5}),
        ("Softplus", {}),
        ("Softsign", {}),
        ("Neg", {}),
        ("Identity", {}),
    ],
)
def test_elementwise_functions_equal_qonnx(tmp_path, op, attributes):
    channels = 6
    graph = GraphBuilder(1, 1, dtype="INT8").linear(np.ones((channels, 1)))
    graph.then("Mul", graph.const([0.03, -0.03, 0.4, -0.4, 2.0, 0.007]))
    graph.then(op, **attributes).then("Sub", graph.const(0.0131)).quant(4, 0.0773)
    path = graph.save(tmp_path)
    dataflow, report = load_with_report(path)
    assert not any(layer.channels_differing for layer in report.layers)
    assert_streams_equal(path, dataflow, np.arange(-128, 128).reshape(-1, 1))


def test_constants_on_the_left_and_clips_equal_qonnx(tmp_path):
    graph = GraphBuilder(1, 1, dtype="INT8").linear([[1], [-1]])
    graph.at = graph.node("Sub", graph.const([3.0, -3.0]), graph.at)
    graph.at = graph.node("Mul", graph.const(0.5), graph.at)
    graph.then("Clip", graph.const(-4.0), graph.const(20.0)).then("Div", graph.const([[-2.0, 4.0]]))
    path = graph.quant(5, 0.5).save(tmp_path)
    assert_streams_equal(path, load(path), np.arange(-128, 128).reshape(-1, 1))


def test_a_falling_prelu_is_tabulated_and_exact_where_the_result_is_monotone(tmp_path):
    graph = GraphBuilder(1, 1, dtype="INT8").linear(np.ones((3, 1)))
    graph.then("PRelu", graph.const([-0.5, 0.5, -2.0])).then("Sub", graph.const([[-1.0, 3.0, 300]]))
    path = graph.bipolar().save(tmp_path)
    dataflow, report = load_with_report(path)
    assert report.layers[0].method == "table"
    assert_streams_equal(path, dataflow, np.arange(-128, 128).reshape(-1, 1))


def test_table_and_bisection_find_the_same_thresholds(tmp_path):
    rng = np.random.default_rng(0)
    ranges = []

    def thresholds(with_abs: bool):
        graph = GraphBuilder(1, 8, dtype="UINT4").linear(rng_weights)
        graph.batch_norm(gamma, beta, mean, var)
        if with_abs:
            # |x| is no monotone function, but 1000 keeps it from bending.
            graph.then("Add", graph.const(1000.0)).then("Abs").then("Sub", graph.const(1000.0))
        folder = tmp_path / str(with_abs)
        folder.mkdir()
        dataflow, report = load_with_report(graph.quant(4, 0.25).save(folder))
        ranges.append(report.layers[0].accumulators)
        return dataflow.stages[0].thresholds, report.layers[0].method

    rng_weights = rng.choice([-1, 1], (50, 8))
    gamma, beta, mean = (rng.standard_normal(50) for _ in range(3))
    var = rng.uniform(10, 1000, 50)
    (bisected, by_bisection), (tabulated, by_table) = thresholds(False), thresholds(True)
    assert (by_bisection, by_table) == ("bisection", "table")
    low, high = ranges[0]
    assert ranges == [(low, high)] * 2
    sums = np.repeat(np.arange(low, high + 1)[:, None], 50, axis=1)
    np.testing.assert_array_equal(bisected.execute(sums), tabulated.execute(sums))


def test_popcounts_of_128_products_are_0_to_128_in_uint8(tmp_path):
    weights = np.ones((1, 128))
    path = GraphBuilder(1, 128, dtype="BIPOLAR").linear(weights).save(tmp_path)
    dataflow = load(path)
    (stage,) = dataflow.stages
    assert (stage.kernel, stage.accumulator_range) == ("xnor", (0, 128))
    assert dataflow.streams["fc0_out"].dtype.name == "UINT8"
    x = np.stack([-np.ones(128), np.ones(128)])
    streams = assert_streams_equal(path, dataflow, x)
    np.testing.assert_array_equal(streams["fc0_out"], [[0], [128]])
    origin = dataflow.origins["fc0_out"]
    assert (origin.multiplier, origin.offset) == (2, -128)


def test_steps_that_no_channel_takes_are_left_out(tmp_path):
    graph = GraphBuilder(1, 1, dtype="UINT4").linear([[1], [1]])
    path = graph.then("Relu").quant(8, 1.0).save(tmp_path)
    dataflow = load(path)
    thresholds = dataflow.stages[0].thresholds
    assert (thresholds.base, thresholds.steps, thresholds.dtype.name) == (0, 15, "INT8")
    assert_streams_equal(path, dataflow, np.arange(16).reshape(-1, 1))


def test_input_already_on_the_grid_needs_no_stage(tmp_path):
    graph = GraphBuilder(1, 4, dtype="UINT8").quant(8, 1.0, signed=0).linear(np.ones((2, 4)))
    path = graph.save(tmp_path)
    dataflow = load(path)
    assert [stage.name for stage in dataflow.stages] == ["fc0", "argmax"]
    assert dataflow.origins[next(iter(dataflow.inputs))].tensors == ("in", "quant0")
    assert_streams_equal(path, dataflow, np.array([[0, 1, 254, 255]]))


def test_input_on_another_grid_gets_a_threshold_stage(tmp_path):
    graph = GraphBuilder(1, 3, dtype="UINT8")
    graph.then("Div", graph.const(255.0)).then("Sub", graph.const([0.5, 0.25, 0.75]))
    path = graph.quant(4, 0.07).linear(np.array([[1, -1, 1]])).save(tmp_path)
    dataflow = load(path)
    assert [stage.name for stage in dataflow.stages] == ["act0", "fc0"]
    assert_streams_equal(path, dataflow, np.repeat(BYTES, 3, axis=1))


def test_float_input_is_quantized_in_software_by_the_first_quantizer(tmp_path):
    graph = GraphBuilder(1, 1, 2, 2).then("Flatten", axis=1).bipolar(0.5)
    path = graph.linear([[1, 1, -1, -1], [1, -1, 1, -1]]).save(tmp_path)
    dataflow, report = load_with_report(path)
    (entry,) = dataflow.inputs
    assert dataflow.inputs[entry].dtype == BIPOLAR
    assert dataflow.origins[entry].tensor == "bipolarquant1"
    assert "quantized in software" in report.notes[0]
    x = np.random.default_rng(0).standard_normal((20, 1, 2, 2))
    assert_streams_equal(path, dataflow, x)


def test_image_input_is_flattened_in_row_major_order(tmp_path):
    rng = np.random.default_rng(1)
    graph = GraphBuilder(1, 2, 3, 3, dtype="UINT8")
    shape = graph.const([-1, 18], np.int64)
    path = graph.then("Reshape", shape).linear(rng.choice([-1, 1], (3, 18))).save(tmp_path)
    assert_streams_equal(path, load(path), rng.integers(0, 256, (7, 2, 3, 3)))


def test_shape_computed_from_the_input_is_folded(tmp_path):
    graph = GraphBuilder(1, 2, 2, dtype="UINT8")
    batch = graph.node("Gather", graph.node("Shape", "in"), graph.const(0, np.int64))
    first = graph.node("Unsqueeze", batch, graph.const([0], np.int64))
    target = graph.node("Concat", first, graph.const([-1], np.int64), axis=0)
    path = graph.then("Reshape", target).linear(np.ones((2, 4))).save(tmp_path)
    assert load(path).inputs["in"].shape == (4,)


def test_plain_weights_on_a_ternary_grid_need_no_quantizer(tmp_path):
    graph = GraphBuilder(1, 3, dtype="INT8")
    path = graph.then("MatMul", graph.const([[0.5, 0], [-0.5, 0], [0, 0.25]])).save(tmp_path)
    dataflow = load(path)
    np.testing.assert_array_equal(dataflow.stages[0].weights, [[1, -1, 0], [0, 0, 1]])
    assert dataflow.origins["fc0_out"].scale == (0.5, 0.25)


def test_report_names_channels_that_float32_decides_otherwise(tmp_path):
    # 16777217 = 2^24 + 1 is no float32: the sum rounds to 2^24 and the comparison flips.
    graph = GraphBuilder(1, 1, dtype="UINT8").linear([[1], [1]])
    graph.then("Add", graph.const([2.0**24, 0])).then("Sub", graph.const([2.0**24, 0]))
    path = graph.then("Sub", graph.const(1.0)).bipolar().save(tmp_path)
    _, report = load_with_report(path)
    (layer,) = report.layers
    assert layer.channels_differing == (0,)
    assert layer.channels_at_risk == (0,)
    assert "float32 switches at another integer in channels 0" in report.warnings[0]


def test_names_and_errors_of_the_arguments(tmp_path):
    path = GraphBuilder(1, 2, dtype="UINT8").linear([[1, -1]]).save(tmp_path)
    assert load(path).name == "model"
    assert load(path, name="tfc").name == "tfc"
    assert load(path, input_dtype="UINT8").inputs["in"].dtype.name == "UINT8"
    with pytest.raises(GraphError, match=r"name 'my net' is no SystemVerilog identifier"):
        load(path, name="my net")
    with pytest.raises(GraphError, match=r"name 'module'"):
        load(path, name="module")
    with pytest.raises(DatatypeError, match=r"the file says UINT8, input_dtype says INT8"):
        load(path, input_dtype="INT8")
    with pytest.raises(DatatypeError, match=r"'FLOAT32' is none of"):
        load(path, input_dtype="FLOAT32")


def test_every_stage_is_unfolded_and_every_stream_but_argmax_has_an_origin(tmp_path):
    graph = GraphBuilder(1, 4, dtype="UINT8").linear(np.ones((6, 4))).bipolar()
    dataflow = load(graph.linear(np.ones((3, 6))).save(tmp_path))
    assert all((stage.pe, getattr(stage, "simd", 1)) == (1, 1) for stage in dataflow.stages)
    assert set(dataflow.streams) - set(dataflow.origins) == {"argmax_out"}
    assert isinstance(dataflow.stage("fc0"), MatVec)


def test_bits_that_are_quantized_to_the_same_bits_need_no_stage(tmp_path):
    graph = GraphBuilder(1, 4, dtype="BIPOLAR")
    graph.then("Mul", graph.const(3.0)).bipolar(0.5)
    path = graph.linear([[1, 1, -1, 1], [1, -1, 1, -1]], form="Gemm").save(tmp_path)
    dataflow = load(path, argmax=False)
    assert [stage.name for stage in dataflow.stages] == ["fc0"]
    assert dataflow.origins["fc0_out"].scale == (0.5,)
    x = np.array([[1, 1, -1, 1], [-1, -1, 1, -1], [1, -1, 1, 1]])
    assert_streams_equal(path, dataflow, x)


def test_epsilon_of_batch_norm_counts(tmp_path):
    ones = np.ones(2)
    graph = GraphBuilder(1, 1, dtype="UINT8").linear([[1], [1]])
    graph.batch_norm(ones, [-10, -20], 0 * ones, ones, epsilon=3.0)
    path = graph.bipolar().save(tmp_path)
    dataflow = load(path)
    np.testing.assert_array_equal(dataflow.stages[0].thresholds.levels, [[20], [40]])
    assert_streams_equal(path, dataflow, BYTES)


def test_latent_weights_of_0_are_plus_one(tmp_path):
    graph = GraphBuilder(1, 3, dtype="INT8")
    raw = graph.const([[0.0, -0.0], [-0.1, 0.1], [-1e-30, 0.0]])
    path = graph.then("MatMul", graph.node("BipolarQuant", raw, graph.const(1.0))).save(tmp_path)
    dataflow = load(path)
    np.testing.assert_array_equal(dataflow.stages[0].weights, [[1, -1, -1], [1, 1, 1]])
    assert_streams_equal(path, dataflow, np.array([[1, 10, 100]]))


@pytest.mark.parametrize("bits", [1, 3])
def test_negative_scales_equal_qonnx(tmp_path, bits):
    graph = GraphBuilder(1, 1, dtype="INT8").linear([[1], [-1]])
    path = graph.quant(bits, -4.0).linear([[1, -1], [1, 1]], -0.5).save(tmp_path)
    assert_streams_equal(path, load(path), np.arange(-128, 128).reshape(-1, 1))


def test_alpha_and_beta_of_gemm_equal_qonnx(tmp_path):
    graph = GraphBuilder(1, 2, dtype="INT8")
    quantized = graph.node("BipolarQuant", graph.const([[1, 2], [-1, 1]]), graph.const(1.0))
    graph.then("Gemm", quantized, graph.const([40.0, -3.0]), alpha=0.25, beta=2.0, transB=1)
    path = graph.save(tmp_path)
    dataflow = load(path)
    assert dataflow.host["fc0_out"].bias == (80.0, -6.0)
    assert_streams_equal(path, dataflow, np.array([[-128, 127], [5, 6]]))


@pytest.mark.parametrize(
    ("element", "name"), [(onnx.TensorProto.UINT8, "UINT8"), (onnx.TensorProto.INT16, "INT16")]
)
def test_integer_graph_inputs_declare_themselves(tmp_path, element, name):
    graph = GraphBuilder(1, 2, element=element).then("Cast", to=onnx.TensorProto.FLOAT)
    path = graph.linear([[1, -1]]).save(tmp_path)
    assert load(path).inputs["in"].dtype.name == name
    assert load(path, input_dtype="UINT4").inputs["in"].dtype.name == "UINT4"
