"""A small connected network of every stage, for tests of what is done with dataflows."""

from __future__ import annotations

import numpy as np

from popshift.hw.dtypes import BIPOLAR, IntArray, unsigned
from popshift.hw.graph import Dataflow, Origin, StreamType
from popshift.hw.stages import Argmax, Fifo, MatVec, Threshold, Thresholds, Width


def small_network(seed: int = 0) -> Dataflow:
    """Return 8 integers of 5 bits -> 12 bits -> 6 accumulators -> thresholds -> 5 classes."""
    rng = np.random.default_rng(seed)
    source = StreamType(dtype=unsigned(5), shape=(8,), lanes=2)
    first = MatVec(
        name="fc0",
        inputs=("x",),
        outputs=("a",),
        weights=rng.choice([-1, 1], (12, 8)),
        input_dtype=unsigned(5),
        kernel="signed",
        thresholds=_thresholds(12, -20, 20, rng),
        simd=2,
        pe=3,
    )
    buffer = Fifo(name="a_fifo", inputs=("a",), outputs=("b",), type=first.output_types[0], depth=2)
    width = Width(
        name="b_width", inputs=("b",), outputs=("c",), type=first.output_types[0], lanes=6
    )
    second = MatVec(
        name="fc1",
        inputs=("c",),
        outputs=("d",),
        weights=BIPOLAR.random((6, 12), rng),
        input_dtype=BIPOLAR,
        kernel="xnor",
        simd=6,
        pe=2,
    )
    act = Threshold(
        name="act0",
        inputs=("d",),
        outputs=("e",),
        thresholds=_thresholds(6, 3, 9, rng),
        input_dtype=second.accumulator_dtype,
        pe=2,
    )
    third = MatVec(
        name="fc2",
        inputs=("e",),
        outputs=("f",),
        weights=rng.choice([-1, 0, 1], (5, 6)),
        input_dtype=BIPOLAR,
        kernel="signed",
        simd=2,
        pe=1,
    )
    argmax = Argmax(
        name="argmax",
        inputs=("f",),
        outputs=("y",),
        classes=5,
        input_dtype=third.accumulator_dtype,
    )
    return Dataflow(
        name="small",
        inputs={"x": source},
        outputs=("y",),
        stages=(first, buffer, width, second, act, third, argmax),
        origins={"f": Origin(tensor="logits", scale=(0.5,))},
        accumulators={"fc0": Origin(tensor="sums")},
    )


def images(count: int, seed: int = 0) -> IntArray:
    """Return inputs of ``small_network``, both ends of the range first."""
    x = np.random.default_rng(seed).integers(0, 32, (count, 8))
    x[:2] = [[0], [31]][:count]
    return x


def _thresholds(channels: int, low: int, high: int, rng: np.random.Generator) -> Thresholds:
    return Thresholds(
        levels=rng.integers(low, high, (channels, 1)),
        is_rising=np.asarray(rng.integers(0, 2, channels), np.bool_),
    )
