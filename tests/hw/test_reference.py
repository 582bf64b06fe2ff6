"""The compiled reference computes what ``Dataflow.execute`` computes: layers of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, DataType, signed, unsigned
from popshift.hw.graph import StreamType
from popshift.hw.reference import compile_reference
from popshift.hw.stages import Argmax, Fifo, Threshold, Thresholds, Width

from .reference_cases import (
    assert_equal,
    bipolar,
    chain,
    matvec,
    one_stage,
    signs,
    staircases,
    stimulus,
)


@pytest.mark.parametrize("synapses", [1, 3, 63, 64, 65, 100, 127, 128, 130])
def test_popcounts_reach_both_ends(synapses, rng):
    weights = bipolar(rng, 9, synapses)
    x = np.concatenate([weights, -weights, bipolar(rng, 5, synapses)])
    dataflow = one_stage(matvec(weights))
    (found,) = compile_reference(dataflow)(x)
    assert (np.diag(found[:9]) == synapses).all()
    assert (np.diag(found[9:18]) == 0).all()
    assert_equal(dataflow, x)


def test_popcount_of_128_equal_bits_is_128():
    weights = np.ones((1, 128), int)
    (found,) = compile_reference(one_stage(matvec(weights)))(np.ones((1, 128), np.int8))
    assert found.tolist() == [[128]]


@pytest.mark.parametrize("neurons", [1, 7, 8, 9, 63, 64, 65, 130])
def test_every_number_of_neurons_keeps_padding_out(neurons, rng):
    """A second layer would count bits that the last tile of the first one left behind."""
    first = matvec(
        bipolar(rng, neurons, 70), thresholds=signs(rng, neurons, 30, 40), ends=("x", "h")
    )
    second = matvec(bipolar(rng, 5, neurons), ends=("h", "y"))
    dataflow = chain(first, second)
    assert_equal(dataflow, stimulus(dataflow, rng, 9))


def test_levels_at_the_tie_and_beyond_both_ends(rng):
    """Every level from below 0 to above K, rising and falling: also the constant ones."""
    synapses = 6
    levels = np.repeat(np.arange(-2, synapses + 4), 2)
    far = np.array([-(2**63), -(2**63), 2**63 - 1, 2**63 - 1])
    levels = np.concatenate([levels, far])[:, None]
    rising = np.arange(len(levels)) % 2 == 0
    thresholds = Thresholds(levels=levels, is_rising=rising)
    first = matvec(np.ones((len(levels), synapses), int), thresholds=thresholds, ends=("x", "h"))
    every_popcount = 2 * np.tri(synapses + 1, synapses, -1, dtype=int) - 1
    assert_equal(chain(first), every_popcount)
    second = matvec(bipolar(rng, 3, len(levels)), ends=("h", "y"))
    assert_equal(chain(first, second), every_popcount)


@pytest.mark.parametrize("images", [0, 1, 7, 127, 128, 129, 256, 300])
def test_every_batch_size(images, rng):
    first = matvec(bipolar(rng, 70, 100), thresholds=signs(rng, 70, 45, 55), ends=("x", "h"))
    dataflow = chain(first, matvec(bipolar(rng, 10, 70), ends=("h", "y")))
    assert_equal(dataflow, stimulus(dataflow, rng, images))


@pytest.mark.parametrize(
    "dtype",
    [BIPOLAR, unsigned(1), unsigned(5), unsigned(8), signed(1), signed(2), signed(8), signed(33)],
    ids=lambda dtype: dtype.name,
)
@pytest.mark.parametrize("values", [(-1, 1), (-1, 0, 1)], ids=["binary", "ternary"])
def test_signed_kernel_for_every_input(dtype, values, rng):
    weights = rng.choice(values, (11, 67))
    weights[-1] = values[1]  # all 1, or all 0
    plain = one_stage(matvec(weights, dtype, kernel="signed"))
    x = stimulus(plain, rng, 12)
    x[2:4] = np.where(weights[:2] > 0, dtype.max, dtype.min)  # the greatest accumulators
    x[4:6] = np.where(weights[:2] < 0, dtype.max, dtype.min)  # and the least
    assert_equal(plain, x)

    sums = plain.execute(x)["y"]
    thresholds = signs(rng, 11, int(sums.min()) - 1, int(sums.max()) + 1)
    first = matvec(weights, dtype, thresholds, ("x", "h"), "signed")
    assert_equal(chain(first, matvec(bipolar(rng, 4, 11), ends=("h", "y"))), x)


@pytest.mark.parametrize(
    ("dtype", "steps", "base"),
    [(unsigned(1), 1, 0), (signed(1), 1, -1), (unsigned(2), 3, 0), (signed(3), 7, -4),
     (signed(3), 5, -2), (unsigned(4), 15, 0)],
)  # fmt: skip
def test_multi_bit_thresholds_feed_the_next_layer(dtype: DataType, steps, base, rng):
    thresholds = staircases(rng, 66, steps, 25, 45, dtype, base)
    first = matvec(bipolar(rng, 66, 70), thresholds=thresholds, ends=("x", "h"))
    second = matvec(rng.integers(-1, 2, (5, 66)), dtype, ends=("h", "y"))
    dataflow = chain(first, second)
    assert_equal(dataflow, stimulus(dataflow, rng, 20))
    assert_equal(chain(first), stimulus(dataflow, rng, 20))


def test_accumulators_feed_a_layer_without_thresholds(rng):
    first = matvec(bipolar(rng, 70, 64), signed(4), ends=("x", "h"))
    second = matvec(bipolar(rng, 3, 70), first.accumulator_dtype, ends=("h", "y"))
    dataflow = chain(first, second)
    assert_equal(dataflow, stimulus(dataflow, rng, 6))


def test_threshold_stage_on_inputs_and_on_accumulators(rng):
    stage = Threshold(
        name="quantize",
        inputs=("x",),
        outputs=("h",),
        thresholds=staircases(rng, 70, 3, -9, 9, signed(3), -2),
        input_dtype=signed(5),
    )
    sums = matvec(bipolar(rng, 9, 70), signed(3), ends=("h", "s"))
    last = Threshold(
        name="sign",
        inputs=("s",),
        outputs=("y",),
        thresholds=signs(rng, 9, -5, 5),
        input_dtype=sums.accumulator_dtype,
    )
    dataflow = chain(stage, sums, last)
    assert_equal(dataflow, stimulus(dataflow, rng, 30))


def test_argmax_takes_the_first_of_equals(rng):
    sums = matvec(bipolar(rng, 10, 9), ends=("x", "s"))
    best = Argmax(
        name="best", inputs=("s",), outputs=("y",), classes=10, input_dtype=sums.accumulator_dtype
    )
    dataflow = chain(sums, best)
    x = stimulus(dataflow, rng, 200)
    logits = dataflow.execute(x)["s"]
    assert ((logits == logits.max(axis=1, keepdims=True)).sum(axis=1) > 1).any()
    assert_equal(dataflow, x)


def test_argmax_of_inputs_below_zero(rng):
    stage = Argmax(name="best", inputs=("x",), outputs=("y",), classes=5, input_dtype=signed(8))
    dataflow = one_stage(stage)
    assert_equal(dataflow, stimulus(dataflow, rng, 50))


def test_fifos_and_width_converters_change_nothing(rng):
    weights = bipolar(rng, 8, 12)
    wide = Width(
        name="widen",
        inputs=("x",),
        outputs=("w",),
        type=StreamType(dtype=BIPOLAR, shape=(12,), lanes=1),
        lanes=4,
    )
    fifo = Fifo(name="wait", inputs=("w",), outputs=("f",), type=wide.output_types[0], depth=2)
    layer = matvec(weights, ends=("f", "s")).with_(simd=4)
    after = Fifo(name="after", inputs=("s",), outputs=("y",), type=layer.output_types[0], depth=2)
    assert_equal(chain(wide, fifo, layer, after), bipolar(rng, 5, 12))
    assert_equal(chain(wide, fifo), bipolar(rng, 5, 12))


def test_vectors_of_an_image(rng):
    """A feature map is a row of vectors; each goes through the same matrix."""
    first = matvec(
        bipolar(rng, 66, 5), thresholds=signs(rng, 66, 1, 4), ends=("x", "h"), leading=(3, 4)
    )
    dataflow = chain(first, matvec(bipolar(rng, 3, 66), ends=("h", "y"), leading=(3, 4)))
    assert_equal(dataflow, stimulus(dataflow, rng, 131))
