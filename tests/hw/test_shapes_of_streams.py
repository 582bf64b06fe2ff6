"""A stream read in another shape than it was written in: the same beats, the same elements."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, unsigned
from popshift.hw.errors import GraphError
from popshift.hw.graph import Dataflow, Origin, StreamType
from popshift.hw.passes import apply_folding, connect, fold, logical_stages
from popshift.hw.reference import compile_reference
from popshift.hw.sim import simulate
from popshift.hw.stages import MatVec, Thresholds


def conv_then_fc() -> Dataflow:
    """A 1x1 convolution on a 2 x 3 map of 5 channels, and a layer on its 36 bits."""
    rng = np.random.default_rng(0)
    conv = MatVec(
        name="conv0",
        inputs=("x",),
        outputs=("map",),
        weights=rng.choice([-1, 0, 1], (6, 5)),
        input_dtype=unsigned(4),
        kernel="signed",
        thresholds=Thresholds(levels=rng.integers(-4, 5, (6, 1)), is_rising=rng.random(6) < 0.5),
        leading=(2, 3),
    )
    fc = MatVec(
        name="fc0",
        inputs=("map",),
        outputs=("y",),
        weights=rng.choice([-1, 1], (4, 36)),
        input_dtype=BIPOLAR,
        kernel="xnor",
    )
    return Dataflow(
        name="net",
        inputs={"x": StreamType(dtype=unsigned(4), shape=(2, 3, 5), lanes=1)},
        outputs=("y",),
        stages=(conv, fc),
    )


def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 16, (9, 2, 3, 5))


def test_a_map_is_read_as_one_vector_pixel_by_pixel():
    net = conv_then_fc()
    streams = net.execute(images())
    bits = net.stage("conv0").execute(images())[0]
    np.testing.assert_array_equal(streams["map"], bits)
    assert streams["map"].shape == (9, 2, 3, 6)
    (sums,) = net.stage("fc0").execute(bits.reshape(9, 36))
    np.testing.assert_array_equal(streams["y"], sums)


@pytest.mark.parametrize(
    "lanes", [{"pe": 3, "simd": 12}, {"pe": 6, "simd": 4}, {"pe": 1, "simd": 36}]
)
def test_converters_take_a_map_as_one_vector(lanes):
    net = conv_then_fc()
    folded = apply_folding(net, {"conv0": {"pe": lanes["pe"]}, "fc0": {"simd": lanes["simd"]}})
    assert folded.stage("fc0").input_types[0].lanes == lanes["simd"]
    expected = net.execute(images())
    found = folded.execute(images())
    np.testing.assert_array_equal(found["y"], expected["y"])
    assert found["map"].shape == (9, 2, 3, 6)
    trace = simulate(folded, images=3)
    assert len(trace.cycles["y"]) == 3 * 4
    assert [stage.name for stage in logical_stages(connect(folded, fifo_depth=2))] == [
        "conv0",
        "fc0",
    ]
    assert folded.stage("fc0").inputs != ("map",)


def test_the_packed_reference_follows():
    for net in (conv_then_fc(), fold(conv_then_fc(), fps=1e6, clock_mhz=100)):
        reference = compile_reference(net)
        expected = net.execute(images())
        np.testing.assert_array_equal(reference(images())[0], expected["y"])
        for name, values in reference.streams(images()).items():
            np.testing.assert_array_equal(values, expected[name], err_msg=name)
        assert reference.streams(images()[:0])["map"].shape == (0, 2, 3, 6)


def test_an_input_takes_the_shape_of_a_consumer_whose_lanes_do_not_divide_its_channels():
    fc = conv_then_fc().stage("fc0")
    kind = StreamType(dtype=BIPOLAR, shape=(2, 3, 6), lanes=1)
    net = Dataflow(name="net", inputs={"map": kind}, outputs=("y",), stages=(fc,))
    assert apply_folding(net, {"fc0": {"simd": 3}}).inputs["map"] == kind.with_lanes(3)
    wide = apply_folding(net, {"fc0": {"simd": 4}})
    assert wide.inputs["map"] == StreamType(dtype=BIPOLAR, shape=(36,), lanes=4)
    bits = BIPOLAR.random((5, 2, 3, 6), np.random.default_rng(0))
    expected = net.execute(bits)["y"]
    np.testing.assert_array_equal(compile_reference(net)(bits)[0], expected)
    np.testing.assert_array_equal(wide.execute(bits.reshape(5, 36))["y"], expected)


def test_other_beats_are_refused():
    net = conv_then_fc()
    with pytest.raises(GraphError, match="must be"):
        Dataflow(
            name="net",
            inputs=net.inputs,
            outputs=("y",),
            stages=(net.stages[0], net.stages[1].with_(simd=2)),
        )


def test_an_origin_brings_planes_into_the_order_of_the_stream():
    tensor = np.arange(2 * 3 * 4).reshape(1, 3, 2, 4)
    origin = Origin(tensor="t", planes=3)
    expected = tensor.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(origin.in_stream_order(tensor, (2, 4, 3)), expected)
    np.testing.assert_array_equal(
        origin.in_stream_order(tensor.reshape(1, 24), (24,)), expected.reshape(1, 24)
    )
    same = Origin(tensor="t").in_stream_order(expected, (2, 4, 3))
    np.testing.assert_array_equal(same, expected)
    with pytest.raises(GraphError, match="do not fit"):
        origin.in_stream_order(tensor, (2, 4, 2))
