"""Stages that few random ones may miss: odd sizes, padding at one side, block RAM, full buffers."""

from __future__ import annotations

import numpy as np

from popshift.hw.dtypes import BIPOLAR, signed, unsigned
from popshift.hw.graph import Stage, StreamType
from popshift.hw.stages import Border, Concat, Depthwise, Fifo, MatVec, Pool, Thresholds, Window


def directed(kind: str) -> tuple[Stage, ...]:
    """Return stages of a kind, or layers of a kernel."""
    ends = {"inputs": ("a_x",), "outputs": ("a_y",)}
    if kind == "signed":
        rng = np.random.default_rng(0)
        constant = (rng.integers(-1, 2, (6, 14)), signed(6).random((5, 8), rng))
        return tuple(
            MatVec(
                name=f"u{index}",
                inputs=(f"u{index}_x",),
                outputs=(f"u{index}_y",),
                weights=weights,
                input_dtype=unsigned(3),
                kernel=kind,
                simd=weights.shape[1],
                pe=weights.shape[0],
            )
            for index, weights in enumerate(constant)
        ) + tuple(
            MatVec(
                name=f"w{bits}",
                inputs=(f"w{bits}_x",),
                outputs=(f"w{bits}_y",),
                weights=signed(bits).random((4, 6), rng),
                input_dtype=unsigned(3),
                kernel=kind,
                simd=3,
            )
            for bits in (2, 4)
        )
    if kind == "depthwise":
        weights = np.random.default_rng(0).choice([-1, 0, 1], (12, 3))
        return (
            Depthwise(
                name="a",
                **ends,
                weights=weights,
                input_dtype=signed(3),
                kernel="signed",
                multiplier=3,
                pe=2,
            ),
        )
    if kind == "concat":
        dtypes = (signed(2), unsigned(5))
        return (
            Concat(
                name="a",
                inputs=("a_x0", "a_x1"),
                outputs=("a_y",),
                input_dtypes=dtypes,
                channels=(2, 2),
            ),
        )
    if kind == "window":
        shape = {"height": 6, "width": 5, "channels": 2, "kernel": (3, 3), "input_dtype": signed(3)}
        return (Window(name="a", **ends, **shape, stride=(2, 2), padding=(1, 1, 1, 1)),)
    if kind == "fifo":
        beats = StreamType(dtype=signed(8), shape=(32,), lanes=4)
        return (Fifo(name="a", **ends, type=beats, depth=64),)
    if kind == "matvec":
        rng = np.random.default_rng(0)
        border = Border(rows=(0, 1, 1, 2), columns=(0, 1, 2))
        weights = BIPOLAR.random((4, 12), rng)
        popcounts = rng.integers(4, 9, (16, 4 * border.classes))
        return (
            MatVec(
                name="a",
                **ends,
                weights=weights,
                input_dtype=BIPOLAR,
                kernel="xnor",
                thresholds=Thresholds.random(popcounts, rng),
                border=border,
                leading=(4, 3),
                simd=4,
                pe=2,
            ),
            # Weights in two slices of block RAM.
            MatVec(
                name="b",
                inputs=("b_x",),
                outputs=("b_y",),
                weights=BIPOLAR.random((64, 384), rng),
                input_dtype=BIPOLAR,
                kernel="xnor",
                simd=6,
                pe=2,
            ),
            # No vector is kept, and a result every second cycle fills the output buffer.
            MatVec(
                name="once",
                inputs=("once_x",),
                outputs=("once_y",),
                weights=BIPOLAR.random((4, 8), rng),
                input_dtype=BIPOLAR,
                kernel="xnor",
                simd=4,
                pe=4,
            ),
        )
    if kind == "xnor":
        # A popcount with registers inside, weights from a memory and constant ones.
        weights = BIPOLAR.random((9, 80), np.random.default_rng(0))
        beats = {"input_dtype": BIPOLAR, "kernel": kind, "simd": 80}
        return (
            MatVec(name="wide", **ends, weights=weights[:4], pe=2, **beats),
            MatVec(
                name="constant", inputs=("b_x",), outputs=("b_y",), weights=weights, pe=9, **beats
            ),
        )
    if kind == "planes":
        # Popcounts of 42 bits: six counters, so that three columns are six bits high behind them,
        # the highest that no full adder takes.
        weights = BIPOLAR.random((4, 42), np.random.default_rng(0))
        beats = {"input_dtype": unsigned(2), "kernel": kind, "simd": 42, "pe": 2}
        return (MatVec(name="high", **ends, weights=weights, **beats),)
    if kind == "coded":
        rng = np.random.default_rng(0)
        few = np.einsum("rp,rpc->rc", rng.integers(1, 61, (4, 3)), rng.choice([-1, 1], (4, 3, 12)))
        many = np.einsum(
            "rp,rpc->rc", rng.integers(1, 256, (64, 2)), rng.choice([-1, 1], (64, 2, 24))
        )
        halves = rng.choice([-4, -1, 1, 4], (2, 6))  # planes of 5/2 and 3/2
        beats = {"input_dtype": unsigned(3), "kernel": kind}
        return (
            MatVec(name="half", inputs=("v",), outputs=("w",), weights=halves, simd=2, **beats),
            # All weights in use in every cycle; two stages of digits; digits in block RAM.
            MatVec(name="all", inputs=("p",), outputs=("q",), weights=few, simd=12, pe=4, **beats),
            MatVec(name="two", inputs=("r",), outputs=("s",), weights=few, simd=3, pe=2, **beats),
            MatVec(name="block", inputs=("t",), outputs=("u",), weights=many, simd=2, **beats),
        )
    if kind == "pool":
        cases = (
            (BIPOLAR, (2, 2), (1, 1), (1, 0, 0, 1), "sum"),
            (signed(4), (3, 3), (2, 2), (1, 1, 1, 1), "max"),
            (signed(4), (2, 2), (3, 3), (0, 0, 0, 0), "sum"),
            (signed(4), (2, 2), (2, 2), (0, 0, 1, 1), "max"),
            # Windows that overlap, with a result every second cycle: the output buffer fills.
            (signed(4), (1, 2), (1, 1), (0, 0, 0, 0), "max"),
        )
        small = tuple(
            Pool(
                name=f"p{i}",
                inputs=(f"p{i}_x",),
                outputs=(f"p{i}_y",),
                input_dtype=dtype,
                height=7,
                width=7,
                channels=4,
                kernel=kernel,
                stride=stride,
                padding=padding,
                operation=operation,
            )
            for i, (dtype, kernel, stride, padding, operation) in enumerate(cases)
        )
        return (*small, wide_pool())
    return ()


def wide_pool() -> Pool:
    """Return a pool whose partial results are in block RAM."""
    return Pool(
        name="wide",
        inputs=("wide_x",),
        outputs=("wide_y",),
        input_dtype=signed(8),
        height=4,
        width=24,
        channels=12,
        kernel=(2, 2),
        stride=(2, 2),
        operation="max",
        pe=4,
    )
