"""The compiled reference computes what ``Dataflow.execute`` computes: images and branches."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, signed, unsigned
from popshift.hw.graph import Dataflow, StreamType
from popshift.hw.reference import compile_reference
from popshift.hw.reference.lower import is_lowered
from popshift.hw.stages import (
    STAGES,
    Add,
    Concat,
    Depthwise,
    Fork,
    Layer,
    MatVec,
    Pool,
    Split,
    Threshold,
    Thresholds,
    Window,
)
from popshift.hw.stages.kernels import KERNELS, Computes

from .reference_cases import assert_equal, bipolar, chain, matvec, signs, staircases, stimulus

TERNARY = signed(2)


def convolution(rng, x, name, outputs, *, levels=(1,), ternary=False, **geometry):
    """Return a window of the output of stage ``x`` and the layer behind it.

    Args:
        rng: Source of randomness.
        x: Type of the input.
        name: Of the stages and of the output; the input is ``x_<name>``.
        outputs: Channels.
        levels: Steps of the thresholds and the datatype of the results; None for accumulators.
        ternary: Whether weights may be 0.
        geometry: Fields of the window.
    """
    height, width, channels = x.shape
    geometry.setdefault("kernel", (3, 3))
    window = Window(
        name=f"{name}_window",
        inputs=(f"x_{name}",),
        outputs=(f"{name}_taps",),
        input_dtype=x.dtype,
        height=height,
        width=width,
        channels=channels,
        **geometry,
    )
    groups = geometry.get("groups", 1)
    synapses = window.output_types[0].shape[-1] // groups
    members = (-1, 0, 1) if ternary else (-1, 1)
    layer = MatVec(
        name=name,
        inputs=(f"{name}_taps",),
        outputs=(name,),
        weights=rng.choice(members, (outputs, synapses)),
        input_dtype=x.dtype,
        kernel="xnor" if x.dtype == BIPOLAR and not ternary else "signed",
        groups=groups,
        simd=window.simd,
        leading=window.lines.out_shape,
    )
    if levels is not None:
        layer = layer.with_(thresholds=middle(rng, layer, *levels))
    return window, layer


def middle(rng, layer, steps, dtype=BIPOLAR, base=0):
    """Return staircases with levels in the middle of the accumulators."""
    low, high = layer.accumulator_range
    center, spread = (low + high) // 2, max(2, (high - low) // 8)
    return staircases(rng, layer.neurons, steps, center - spread, center + spread, dtype, base)


def joined(*stages):
    """Return a dataflow in which each stage follows the one before it."""
    linked = [stages[0]]
    for stage in stages[1:]:
        linked.append(stage.with_(inputs=linked[-1].outputs))
    return chain(*linked)


def pool(kind, operation="max", **fields):
    height, width, channels = kind.shape
    return Pool(
        name="pool",
        inputs=("x_pool",),
        outputs=("pool",),
        operation=operation,
        input_dtype=kind.dtype,
        height=height,
        width=width,
        channels=channels,
        **{"kernel": (2, 2), "stride": (2, 2)} | fields,
    )


def image(dtype, *shape):
    return StreamType(dtype=dtype, shape=shape, lanes=1)


@pytest.mark.parametrize("kind", sorted(STAGES))
def test_random_stages_of_every_kind_are_compiled(kind, rng):
    stages = tuple(STAGES[kind].random(f"s{i}", rng) for i in range(4))
    assert all(is_lowered(stage) != measures_distance(stage) for stage in stages)
    assert_equal_alone(stages, rng)


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_layers_of_every_kernel(kernel, rng):
    """Wide weights, which are multiplied in lanes of 16, 32 or 64 bits; distances as before."""
    stages = tuple(MatVec.random_with(kernel, f"s{i}", rng) for i in range(4))
    assert {is_lowered(stage) for stage in stages} == {kernel != "adder"}
    assert_equal_alone(stages, rng)


def measures_distance(stage):
    return isinstance(stage, Layer) and stage.arithmetic.computes is Computes.DISTANCE


def assert_equal_alone(stages, rng):
    """Compare stages side by side, on both ends of the range and random integers."""
    inputs = {n: t for s in stages for n, t in zip(s.inputs, s.input_types, strict=True)}
    outputs = tuple(name for stage in stages for name in stage.outputs)
    dataflow = Dataflow(name="net", inputs=inputs, outputs=outputs, stages=stages)
    images = [t.dtype.random((5, *t.shape), rng) for t in inputs.values()]
    for x, t in zip(images, inputs.values(), strict=True):
        x[0], x[1] = t.dtype.min, t.dtype.max
    expected, found = dataflow.execute(*images), compile_reference(dataflow).streams(*images)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("channels", [3, 64, 70])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 2, 0, 1)])
def test_two_binary_convolutions_pool_and_layer(channels, padding, rng):
    """Channels that fill words and that do not: windows are gathered or their bits joined."""
    first = convolution(rng, image(unsigned(8), 7, 6, 3), "c0", channels)
    options = {"padding": padding, "pad_value": -1, "kernel": (2, 3), "stride": (1, 2)}
    second = convolution(rng, first[1].output_types[0], "c1", 9, **options)
    pooled = pool(second[1].output_types[0], kernel=(2, 1), stride=(2, 1))
    flat = int(np.prod(pooled.output_types[0].shape))
    last = matvec(bipolar(rng, 5, flat), ends=("x", "y"))
    dataflow = joined(*first, *second, pooled, last)
    assert len(compile_reference(dataflow)._steps) == 1
    assert_equal(dataflow, stimulus(dataflow, rng, 9))


@pytest.mark.parametrize("ternary", [False, True])
@pytest.mark.parametrize(
    "levels",
    [(2, TERNARY, -1), (3, TERNARY, -2), (3, unsigned(2), 0), (20, signed(6), -9)],
    ids=["-1 to 1", "-2 to 1", "0 to 3", "-9 to 11"],
)
def test_convolutions_of_several_bits(levels, ternary, rng):
    first = convolution(rng, image(unsigned(8), 6, 6, 2), "c0", 65, levels=levels)
    maxima = pool(first[1].output_types[0])
    options = {"ternary": ternary, "kernel": (2, 2), "padding": (1, 0, 0, 1)}
    second = convolution(rng, maxima.output_types[0], "c1", 70, levels=None, **options)
    dataflow = joined(*first, maxima, *second)
    assert_equal(dataflow, stimulus(dataflow, rng, 20))


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("dtype", [BIPOLAR, unsigned(4)], ids=["bits", "integers"])
def test_a_depthwise_convolution_between_others(dtype, multiplier, rng):
    first = convolution(
        rng, image(unsigned(4), 5, 5, 2), "c0", 10, levels=(1 if dtype == BIPOLAR else 15, dtype)
    )
    window, _ = convolution(rng, first[1].output_types[0], "w", 1, kernel=(2, 2))
    depthwise = Depthwise(
        name="depthwise",
        inputs=window.outputs,
        outputs=("d",),
        weights=bipolar(rng, 10 * multiplier, 4),
        input_dtype=dtype,
        kernel="xnor" if dtype == BIPOLAR else "signed",
        multiplier=multiplier,
        leading=window.lines.out_shape,
    )
    depthwise = depthwise.with_(thresholds=middle(rng, depthwise, 1))
    second = convolution(rng, depthwise.output_types[0], "c1", 3, kernel=(1, 1), simd=multiplier)
    dataflow = joined(*first, window, depthwise, *second)
    assert_equal(dataflow, stimulus(dataflow, rng, 11))


@pytest.mark.parametrize("dtype", [BIPOLAR, unsigned(3)], ids=["bits", "integers"])
def test_a_convolution_in_groups_between_others(dtype, rng):
    levels = (1, dtype) if dtype == BIPOLAR else (7, dtype)
    first = convolution(rng, image(unsigned(4), 5, 5, 2), "c0", 12, levels=levels)
    options = {"groups": 3, "padding": (1, 1, 1, 1), "pad_value": dtype.min}
    second = convolution(rng, first[1].output_types[0], "c1", 6, **options)
    third = convolution(rng, second[1].output_types[0], "c2", 3, levels=None)
    dataflow = joined(*first, *second, *third)
    assert_equal(dataflow, stimulus(dataflow, rng, 11))


def test_a_sum_pool_feeds_thresholds(rng):
    first = convolution(rng, image(unsigned(8), 5, 6, 1), "c0", 20, levels=(3, unsigned(2)))
    sums = pool(first[1].output_types[0], "sum", kernel=(3, 2), stride=(1, 2))
    kind = sums.output_types[0]
    last = Threshold(
        name="sign",
        inputs=("s",),
        outputs=("y",),
        thresholds=signs(rng, 20, 4, 12),
        input_dtype=kind.dtype,
        leading=kind.shape[:-1],
    )
    dataflow = joined(*first, sums, last)
    assert_equal(dataflow, stimulus(dataflow, rng, 11))


@pytest.mark.parametrize("steps", [2, 5, 20])
@pytest.mark.parametrize(
    ("dtype", "base"), [(BIPOLAR, 1), (signed(3), -2), (unsigned(2), 3)], ids=str
)
def test_thresholds_that_turn_feed_layers_and_leave(steps, dtype, base, rng):
    """Sums of steps of both directions wrap around the datatype."""
    levels = np.sort(rng.integers(25, 46, (66, steps)), axis=1)
    turns = Thresholds(
        levels=levels, is_rising=rng.integers(0, 2, (66, steps)) == 1, base=base, dtype=dtype
    )
    assert not turns.is_monotone
    first = matvec(bipolar(rng, 66, 70), thresholds=turns, ends=("x", "h"))
    dataflow = chain(first, matvec(bipolar(rng, 5, 66), dtype, ends=("h", "y")))
    assert_equal(dataflow, stimulus(dataflow, rng, 40))
    assert_equal(chain(first), stimulus(dataflow, rng, 5))


def test_lanes_past_the_last_channel_never_count(rng):
    """Behind the last of 128 images lie the bits of the first, which look like 32767."""
    thresholds = Thresholds(levels=np.ones((20, 1), int), is_rising=np.ones(20, bool))
    first = Threshold(
        name="sign",
        inputs=("x",),
        outputs=("h",),
        thresholds=thresholds,
        input_dtype=signed(15),
    )
    dataflow = chain(first, matvec(bipolar(rng, 5, 20), ends=("h", "y")))
    x = rng.integers(-9, 9, (128, 20))
    x[0] = 1
    x[0, 15:] = 0
    assert_equal(dataflow, x)


def test_bits_joined_as_integers_are_bits_again(rng):
    first = matvec(bipolar(rng, 7, 9), thresholds=signs(rng, 7, 3, 6), ends=("a", "c"))
    second = matvec(bipolar(rng, 66, 9), thresholds=signs(rng, 66, 3, 6), ends=("b", "d"))
    concat = Concat(
        name="concat",
        inputs=("c", "d"),
        outputs=("h",),
        input_dtypes=(BIPOLAR, BIPOLAR),
        channels=(7, 66),
    )
    fork = Fork(name="fork", inputs=("x",), outputs=("a", "b"), type=first.input_types[0])
    dataflow = chain(fork, first, second, concat, matvec(bipolar(rng, 5, 73), ends=("h", "y")))
    assert_equal(dataflow, stimulus(dataflow, rng, 30))


def test_branches_of_an_image_meet_again(rng):
    """A residual block with bits and integers, a join, and channels chosen from it."""
    first = convolution(rng, image(unsigned(8), 5, 5, 3), "c0", 70, levels=(3, unsigned(2)))
    kind = first[1].output_types[0]
    fork = Fork(name="fork", inputs=("c0",), outputs=("x_c1", "short", "raw"), type=kind)
    options = {"padding": (1, 1, 1, 1), "levels": (6, signed(3), -3)}
    branch = convolution(rng, kind, "c1", 70, **options)
    dtypes = (branch[1].output_dtype, kind.dtype)
    add = Add(
        name="add",
        inputs=("c1", "short"),
        outputs=("sum",),
        input_dtypes=dtypes,
        factors=(3, -2),
        channels=70,
        leading=(3, 3),
        bounds=(-7, 5),
    )
    concat = Concat(
        name="concat",
        inputs=("sum", "raw"),
        outputs=("both",),
        input_dtypes=(add.output_types[0].dtype, kind.dtype),
        channels=(70, 70),
        leading=(3, 3),
    )
    members = rng.integers(0, 2, (2, 140)) == 1
    kind = concat.output_types[0]
    split = Split(
        name="split", inputs=("both",), outputs=("x_c2", "rest"), type=kind, members=members
    )
    last = convolution(rng, split.output_types[0], "c2", 4, levels=None)
    stages = (first[0].with_(inputs=("x",)), first[1], fork, *branch, add, concat, split, *last)
    dataflow = Dataflow(
        name="net",
        inputs={"x": first[0].input_types[0]},
        outputs=("rest", "c2"),
        stages=stages,
    )
    assert len(compile_reference(dataflow)._steps) == 1
    assert_equal(dataflow, stimulus(dataflow, rng, 12))
