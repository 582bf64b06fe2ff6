"""Weights of every method without multipliers against qonnx: equal integers on every stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popshift.hw.errors import UnsupportedOpError
from popshift.hw.frontend import load
from popshift.hw.frontend.steps import common_step

from .qonnx_builder import GraphBuilder, assert_streams_equal, execute
from .test_frontend_branches import normed, random_images

ROWS = 4
COLUMNS = 6
QUANT = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}


def planes(rng: np.random.Generator, scales: np.ndarray) -> np.ndarray:
    """Return a sum of bipolar planes, whose scales are ``(rows, planes)`` or one row of them."""
    bits = rng.choice([-1.0, 1.0], (ROWS, COLUMNS, scales.shape[-1]))
    return (bits * scales[..., None, :]).sum(axis=-1)


def powers(rng: np.random.Generator, low: int, high: int, *, zeros: bool) -> np.ndarray:
    signs = rng.choice([-1.0, 0.0, 1.0] if zeros else [-1.0, 1.0], (ROWS, COLUMNS))
    return signs * 2.0 ** rng.integers(low, high + 1, (ROWS, COLUMNS))


PLAIN = {
    "DeepShift-PS of 5 bits": lambda rng: powers(rng, -14, 0, zeros=True),
    "DeepShift-Q of 5 bits": lambda rng: powers(rng, -15, 0, zeros=False),
    "S3": lambda rng: powers(rng, 0, 2, zeros=True),
    "planes of powers of two": lambda rng: planes(rng, np.array([[0.5, 0.25, 2.0]])),
    "planes of small integers": lambda rng: planes(rng, np.array([[0.7, 2.1 - 0.0]]) * 0 + [3, 5]),
    "planes of each output": lambda rng: planes(rng, 2.0 ** rng.integers(-20, 20, (ROWS, 3))),
    "real step of each output": lambda rng: (
        rng.integers(-3, 4, (ROWS, COLUMNS)) * rng.integers(1, 1 << 20, (ROWS, 1)) / 2.0**18
    ),
}


def multiplied(graph: GraphBuilder, weights: np.ndarray) -> GraphBuilder:
    return graph.then("MatMul", graph.const(weights.T))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("entry", ["INT5", "UINT4", "BIPOLAR"])
def test_plain_weights_on_a_grid_need_no_quantizer(tmp_path, name, entry):
    rng = np.random.default_rng(0)
    weights = PLAIN[name](rng).astype(np.float32)
    graph = multiplied(GraphBuilder(1, COLUMNS, dtype=entry), weights)
    graph.then("Add", graph.const(rng.standard_normal(ROWS))).quant(4, 2.0)
    path = multiplied(graph, rng.choice([-1.0, 1.0], (2, ROWS))).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert_streams_equal(path, dataflow, random_images(entry, (COLUMNS,), rng, 50))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 32),
    bits=st.integers(2, 16),
    mode=st.sampled_from(["ROUND", "FLOOR", "HALF_UP", "CEIL"]),
    is_per_channel=st.booleans(),
)
def test_quant_weights_of_any_width_equal_qonnx(tmp_path_factory, seed, bits, mode, is_per_channel):
    rng = np.random.default_rng(seed)
    graph = GraphBuilder(1, COLUMNS, dtype="INT4")
    scale = 2.0 ** rng.integers(-6, 3, (1, ROWS) if is_per_channel else ())
    raw = graph.const(rng.standard_normal((COLUMNS, ROWS)) * scale * 2.0 ** (bits - 2))
    parameters = [graph.const(v) for v in (scale, 0.0, bits)]
    graph.then(
        "MatMul", graph.node("Quant", raw, *parameters, signed=1, narrow=0, rounding_mode=mode)
    )
    path = multiplied(graph.quant(3, 4.0), rng.choice([-1.0, 1.0], (2, ROWS))).save(
        tmp_path_factory.mktemp("quant")
    )
    images = random_images("INT4", (COLUMNS,), rng, 20)
    assert_streams_equal(path, load(path, argmax=False), images)


def quantized(tmp_path, values: np.ndarray, bits: int, scale: float = 0.5, entry: str = "INT4"):
    """Return the layer of integer weights ``(outputs, inputs)`` times a scale, and its file."""
    graph = GraphBuilder(1, values.shape[1], dtype=entry)
    parameters = [graph.const(v) for v in (scale, 0.0, bits)]
    weights = graph.node("Quant", graph.const(values.T * scale), *parameters, **QUANT)
    path = graph.then("MatMul", weights).save(tmp_path)
    return load(path, argmax=False), path


def test_what_all_weights_of_a_layer_have_in_common_is_no_part_of_them(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.choice([-12, 0, 6, 18], (ROWS, COLUMNS))
    dataflow, path = quantized(tmp_path, values, 6)
    (layer,) = dataflow.stages
    np.testing.assert_array_equal(layer.weights * 6, values)
    (origin,) = (o for name, o in dataflow.origins.items() if name in layer.outputs)
    assert (origin.multiplier, origin.scale) == (6, (0.5,))
    assert_streams_equal(path, dataflow, random_images("INT4", (COLUMNS,), rng, 20))


def test_weights_of_one_size_are_binary_whatever_the_size(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.choice([-3, 3], (ROWS, COLUMNS))
    dataflow, path = quantized(tmp_path, values, 4, entry="BIPOLAR")
    assert dataflow.stages[0].kernel == "xnor"
    assert_streams_equal(path, dataflow, random_images("BIPOLAR", (COLUMNS,), rng, 20))


@pytest.mark.parametrize("entry", ["INT4", "BIPOLAR"])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 2)])
def test_what_an_output_has_in_common_goes_into_its_thresholds(tmp_path, entry, sizes):
    """Bits times weights of one size in each output are counted."""
    rng = np.random.default_rng(0)
    factors = np.array([[2], [3], [5], [1]])
    values = factors * rng.choice([-1, 1], (ROWS, COLUMNS)) * rng.choice(sizes, (ROWS, COLUMNS))
    graph = GraphBuilder(1, COLUMNS, dtype=entry)
    parameters = [graph.const(v) for v in (0.5, 0.0, 6)]
    graph.then("MatMul", graph.node("Quant", graph.const(values.T / 2), *parameters, **QUANT))
    normed(graph, rng, ROWS).quant(3, 0.5)
    path = multiplied(graph, rng.choice([-1.0, 1.0], (2, ROWS))).save(tmp_path)
    dataflow = load(path, argmax=False)
    layer = dataflow.stages[0]
    np.testing.assert_array_equal(layer.weights * factors, values)
    is_counted = entry == "BIPOLAR" and sizes == (1, 1)
    assert layer.kernel == ("xnor" if is_counted else "signed")
    images = random_images(entry, (COLUMNS,), rng, 50)
    streams = assert_streams_equal(path, dataflow, images)
    sums = layer.accumulators(streams[next(iter(dataflow.inputs))])
    origin = dataflow.accumulators["fc0"]
    expected = np.round(execute(path, images)[origin.tensor] / 0.5)
    np.testing.assert_array_equal(origin.integers(sums), expected)


def test_a_layer_of_zeros_is_a_layer(tmp_path):
    dataflow, path = quantized(tmp_path, np.zeros((ROWS, COLUMNS)), 4)
    images = random_images("INT4", (COLUMNS,), np.random.default_rng(0), 5)
    assert_streams_equal(path, dataflow, images)


@pytest.mark.parametrize(
    ("exponent_bits", "mantissa_bits", "bias"), [(2, 0, 1), (3, 0, 3), (4, 0, 15), (2, 1, 1)]
)
def test_minifloat_weights_are_integers(tmp_path, exponent_bits, mantissa_bits, bias):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, COLUMNS, dtype="INT4")
    raw = graph.const(rng.standard_normal((COLUMNS, ROWS)))
    format_ = (0.25, exponent_bits, mantissa_bits, bias, 1e9)
    parameters = [graph.const(float(v)) for v in format_]
    kind = {
        "rounding_mode": "ROUND",
        "has_inf": 0,
        "has_nan": 0,
        "has_subnormal": 0,
        "saturation": 1,
    }
    weights = graph.node("FloatQuant", raw, *parameters, **kind)
    path = graph.then("MatMul", weights).save(tmp_path)
    dataflow = load(path, argmax=False)
    sizes = np.unique(np.abs(dataflow.stages[0].weights))
    assert mantissa_bits or not (sizes & (sizes - 1)).any()
    assert_streams_equal(path, dataflow, random_images("INT4", (COLUMNS,), rng, 20))


def test_the_sum_of_two_scaled_planes_is_one_layer(tmp_path):
    """Planes as constants: 3 b_0 + 1.5 b_1, each behind a BipolarQuant and a factor."""
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, COLUMNS, dtype="INT4")
    parts = []
    for scale in (3.0, 1.5):
        raw = graph.const(rng.standard_normal((COLUMNS, ROWS)))
        plane = graph.node("BipolarQuant", raw, graph.const(1.0))
        parts.append(graph.node("Mul", graph.const(scale), plane))
    path = graph.then("MatMul", graph.node("Add", *parts)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert set(np.unique(dataflow.stages[0].weights)) == {-3, -1, 1, 3}
    assert_streams_equal(path, dataflow, random_images("INT4", (COLUMNS,), rng, 20))


def test_a_real_factor_behind_quantized_weights_goes_into_their_scale(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, COLUMNS, dtype="INT4")
    parameters = [graph.const(v) for v in (0.5, 0.0, 4.0)]
    raw = graph.const(rng.integers(-7, 8, (COLUMNS, ROWS)) / 2)
    weights = graph.node("Quant", raw, *parameters, **QUANT)
    factor = graph.const(np.array([[0.3, 0.7, 1.1, 0.013]]))
    path = graph.then("MatMul", graph.node("Mul", weights, factor)).save(tmp_path)
    dataflow = load(path, argmax=False)
    assert np.abs(dataflow.stages[0].weights).max() == 7
    assert_streams_equal(path, dataflow, random_images("INT4", (COLUMNS,), rng, 20))


def test_planes_of_real_scales_are_refused_with_what_would_help(tmp_path):
    weights = planes(np.random.default_rng(0), np.array([[0.31, 0.17]])).astype(np.float32)
    path = multiplied(GraphBuilder(1, COLUMNS, dtype="INT4"), weights).save(tmp_path)
    with pytest.raises(
        UnsupportedOpError, match=r"output 0 have 2 sizes .* powers of two or small"
    ):
        load(path)


def test_accumulators_beyond_32_bits_are_refused(tmp_path):
    values = np.full((1, 300), 32767)
    values[0, 0] = 1
    with pytest.raises(
        UnsupportedOpError, match=r"accumulators reach .* beyond 32 bits; use fewer"
    ):
        quantized(tmp_path, values, 16, entry="UINT8")


@pytest.mark.parametrize("scale", [1.0, 0.1, 2.0**-40, 3e7])
def test_the_common_step_is_the_greatest(scale):
    step = float(np.float32(scale))
    assert common_step(step * np.array([6.0, -9.0, 0.0, 15.0])) == 3 * step
    assert common_step(np.zeros(3)) == 1
    assert common_step(np.array([2.0**-60, 2.0**60])) is None
