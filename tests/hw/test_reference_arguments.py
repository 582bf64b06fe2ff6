"""Arrays that go in and out of the compiled reference, and the steps between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, signed, unsigned
from popshift.hw.errors import DatatypeError, GraphError
from popshift.hw.graph import Dataflow, StreamType
from popshift.hw.reference import compile_reference
from popshift.hw.stages import Argmax, Fifo

from .reference_cases import (
    assert_equal,
    bipolar,
    chain,
    matvec,
    one_stage,
    staircases,
    stimulus,
)


def test_two_separate_paths(rng):
    left = matvec(bipolar(rng, 4, 10), ends=("a", "c"))
    right = matvec(bipolar(rng, 5, 6), unsigned(3), ends=("b", "d"))
    dataflow = Dataflow(
        name="net",
        inputs={"b": right.input_types[0], "a": left.input_types[0]},
        outputs=("c", "d"),
        stages=(left, right),
    )
    reference = compile_reference(dataflow)
    b, a = rng.integers(0, 8, (9, 6)), bipolar(rng, 9, 10)
    expected = dataflow.execute(b, a)
    for name, values in zip(dataflow.outputs, reference(b, a), strict=True):
        np.testing.assert_array_equal(values, expected[name])
    with pytest.raises(GraphError, match=r"\[8, 9\] images"):
        reference(b[:8], a)


@dataclass(frozen=True, kw_only=True, eq=False)
class Unknown(Fifo):
    """A stage that no kernel knows: adds 1 in its own ``execute``."""

    kind = "unknown"

    def execute(self, *inputs):
        return (np.minimum(inputs[0] + 1, self.type.dtype.max),)


def test_unknown_stages_run_by_their_own_execute(rng):
    first = matvec(
        bipolar(rng, 6, 9), thresholds=staircases(rng, 6, 3, 2, 8, unsigned(2)), ends=("x", "h")
    )
    odd = Unknown(name="odd", inputs=("h",), outputs=("o",), type=first.output_types[0], depth=1)
    last = matvec(bipolar(rng, 3, 6), unsigned(2), ends=("o", "y"))
    dataflow = chain(first, odd, last)
    x = stimulus(dataflow, rng, 140)
    assert (dataflow.execute(x)["o"] != dataflow.execute(x)["h"]).any()
    assert_equal(dataflow, x)


def test_an_index_feeds_a_layer(rng):
    """An argmax leaves integers, a layer takes bits: two kernels."""
    best = Argmax(name="best", inputs=("x",), outputs=("h",), classes=4, input_dtype=signed(4))
    dataflow = chain(best, matvec(np.array([[1], [-1]]), unsigned(2), ends=("h", "y")))
    assert_equal(dataflow, stimulus(dataflow, rng, 9))


def test_a_dataflow_without_stages_returns_its_inputs(rng):
    kind = StreamType(dtype=BIPOLAR, shape=(3,), lanes=1)
    dataflow = Dataflow(name="wire", inputs={"x": kind}, outputs=("x",), stages=())
    x = bipolar(rng, 4, 3)
    assert_equal(dataflow, x)
    with pytest.raises(DatatypeError, match="element"):
        compile_reference(dataflow)(x * 2)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int64, np.uint64, np.float32])
@pytest.mark.parametrize("synapses", [20, 64, 70])
def test_every_element_type_gives_the_same(dtype, synapses, rng):
    dataflow = one_stage(matvec(bipolar(rng, 3, synapses), unsigned(7)))
    x = stimulus(dataflow, rng, 5)
    reference = compile_reference(dataflow)
    expected = dataflow.execute(x)["y"]
    np.testing.assert_array_equal(reference(x.astype(dtype))[0], expected)
    np.testing.assert_array_equal(reference(np.asfortranarray(x.astype(dtype)))[0], expected)
    frozen = x.astype(dtype)
    frozen.setflags(write=False)
    np.testing.assert_array_equal(reference(frozen)[0], expected)
    np.testing.assert_array_equal(reference(x.astype(dtype).tolist())[0], expected)


@pytest.mark.parametrize("synapses", [20, 70])
def test_pixels_from_128_to_255_are_positive(synapses, rng):
    dataflow = one_stage(matvec(bipolar(rng, 3, synapses), unsigned(8)))
    x = stimulus(dataflow, rng, 5)
    assert x.max() == 255
    (found,) = compile_reference(dataflow)(x.astype(np.uint8))
    np.testing.assert_array_equal(found, dataflow.execute(x)["y"])


@pytest.mark.parametrize("element", [np.int8, np.int64, np.float64])
@pytest.mark.parametrize("position", [0, 63, 64, 69])
@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [(BIPOLAR, 0), (BIPOLAR, 2), (BIPOLAR, -3), (unsigned(3), -1), (unsigned(3), 8),
     (signed(3), -5), (signed(3), 4)],
)  # fmt: skip
def test_a_value_outside_is_refused_like_in_execute(element, position, dtype, wrong, rng):
    dataflow = one_stage(matvec(bipolar(rng, 3, 70), dtype))
    x = stimulus(dataflow, rng, 4)
    x[2, position] = wrong
    with pytest.raises(DatatypeError) as expected:
        dataflow.execute(x)
    reference = compile_reference(dataflow)
    with pytest.raises(DatatypeError, match=rf"\(2, {position}\)") as found:
        reference(x.astype(element))
    assert str(found.value).split(" is ")[0] == str(expected.value).split(" is ")[0]
    with pytest.raises(DatatypeError):
        reference.streams(x.astype(element))


@pytest.mark.parametrize("element", [np.int8, np.uint8])
@pytest.mark.parametrize("synapses", [20, 70])
def test_arrays_narrower_than_the_datatype_are_taken(element, synapses, rng):
    limits = np.iinfo(element)
    x = rng.integers(limits.min, limits.max, (5, synapses), dtype=element, endpoint=True)
    x[0], x[1] = limits.min, limits.max
    dataflow = one_stage(matvec(bipolar(rng, 3, synapses), signed(12)))
    (found,) = compile_reference(dataflow)(x)
    np.testing.assert_array_equal(found, dataflow.execute(x)["y"])


@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [(unsigned(2), -1), (unsigned(2), 4), (unsigned(2), 100), (BIPOLAR, 0), (BIPOLAR, 2)],
)
def test_a_value_outside_is_refused_in_short_vectors(dtype, wrong, rng):
    reference = compile_reference(one_stage(matvec(bipolar(rng, 3, 5), dtype)))
    x = np.ones((2, 5), np.int8)
    x[1, 4] = wrong
    with pytest.raises(DatatypeError, match=r"\(1, 4\)"):
        reference(x)


def test_fractions_are_refused(rng):
    reference = compile_reference(one_stage(matvec(bipolar(rng, 3, 5), unsigned(2))))
    with pytest.raises(DatatypeError, match=r"0\.5"):
        reference(np.full((1, 5), 0.5))


def test_wrong_shapes_and_numbers_of_inputs_are_refused(rng):
    reference = compile_reference(one_stage(matvec(bipolar(rng, 3, 70))))
    for x in (bipolar(rng, 2, 71), bipolar(rng, 70), bipolar(rng, 2, 70, 1), np.int64(1)):
        with pytest.raises(GraphError, match="must be"):
            reference(x)
        with pytest.raises(GraphError, match="must be"):
            reference.streams(x)
    with pytest.raises(GraphError, match="takes 1 inputs, got 2"):
        reference(bipolar(rng, 2, 70), bipolar(rng, 2, 70))
    with pytest.raises(GraphError, match="takes 1 inputs, got 0"):
        reference()


def test_results_of_one_call_survive_the_next(rng):
    dataflow = one_stage(matvec(bipolar(rng, 3, 70)))
    reference = compile_reference(dataflow)
    x = bipolar(rng, 2, 5, 70)
    (first,) = reference(x[0])
    streams = reference.streams(x[0])
    reference(x[1])
    np.testing.assert_array_equal(first, dataflow.execute(x[0])["y"])
    np.testing.assert_array_equal(streams["y"], first)
