"""Small dataflows for the tests of the compiled reference, and what must hold for all."""

from __future__ import annotations

import numpy as np

from popshift.hw.dtypes import BIPOLAR
from popshift.hw.graph import Dataflow, Stage
from popshift.hw.reference import compile_reference
from popshift.hw.stages import MatVec, Thresholds


def one_stage(stage: Stage) -> Dataflow:
    inputs = dict(zip(stage.inputs, stage.input_types, strict=True))
    return Dataflow(name="net", inputs=inputs, outputs=stage.outputs, stages=(stage,))


def chain(*stages: Stage) -> Dataflow:
    first = stages[0]
    inputs = dict(zip(first.inputs, first.input_types, strict=True))
    return Dataflow(name="net", inputs=inputs, outputs=stages[-1].outputs, stages=stages)


def matvec(weights, dtype=BIPOLAR, thresholds=None, ends=("x", "y"), kernel=None, leading=()):
    return MatVec(
        name=f"to_{ends[1]}",
        inputs=(ends[0],),
        outputs=(ends[1],),
        weights=np.asarray(weights),
        input_dtype=dtype,
        kernel=kernel or ("xnor" if dtype == BIPOLAR else "signed"),
        thresholds=thresholds,
        leading=leading,
    )


def bipolar(rng, *shape):
    return 2 * rng.integers(0, 2, shape) - 1


def signs(rng, neurons, low, high):
    """Return one level per neuron from ``low`` to ``high``, rising and falling."""
    levels = rng.integers(low, high + 1, (neurons, 1))
    return Thresholds(levels=levels, is_rising=rng.integers(0, 2, neurons) == 1)


def staircases(rng, neurons, steps, low, high, dtype, base=0):
    levels = np.sort(rng.integers(low, high + 1, (neurons, steps)), axis=1)
    rising = rng.integers(0, 2, neurons) == 1
    return Thresholds(levels=levels, is_rising=rising, base=base, dtype=dtype)


def stimulus(dataflow, rng, images):
    """Return both ends of the range, then random; as many images as asked for."""
    (kind,) = dataflow.inputs.values()
    low, high = kind.dtype.min, kind.dtype.max
    x = rng.integers(low, high, (images, *kind.shape), endpoint=True)
    x[:1], x[1:2] = low, high
    if kind.dtype == BIPOLAR:
        x[x == 0] = 1
    return x


def assert_equal(dataflow, x):
    expected = dataflow.execute(x)
    reference = compile_reference(dataflow)
    found = reference.streams(x)
    assert list(found) == list(dataflow.streams)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    for name, values in zip(dataflow.outputs, reference(x), strict=True):
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
        assert values.dtype == np.int64
