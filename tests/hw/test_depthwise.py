"""Depthwise stages against a plain sum, their rate and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.flows.conformance import bench
from popshift.hw.dtypes import BIPOLAR, unsigned
from popshift.hw.errors import DatatypeError, FoldingError, GraphError
from popshift.hw.sim import simulate
from popshift.hw.stages import Depthwise, Thresholds


def depthwise(**changes: object) -> Depthwise:
    fields: dict[str, object] = {
        "name": "d",
        "inputs": ("x",),
        "outputs": ("y",),
        "weights": np.ones((4, 9)),
        "input_dtype": BIPOLAR,
        "kernel": "xnor",
        "leading": (3, 3),
        "pe": 2,
    }
    return Depthwise(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_accumulators_equal_a_plain_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stage = Depthwise.random("d", rng)
    x = stage.input_dtype.random((3, *stage.input_types[0].shape), rng)
    taps = x.reshape(*x.shape[:-1], stage.taps, stage.channels).repeat(stage.multiplier, axis=-1)
    if stage.kernel == "xnor":
        plain = (taps == stage.weights.T).sum(axis=-2)
    elif stage.kernel == "adder":
        plain = -np.abs(taps - stage.weights.T).sum(axis=-2)
    else:
        plain = (taps * stage.weights.T).sum(axis=-2)
    np.testing.assert_array_equal(stage.accumulators(x), plain)
    (y,) = stage.execute(x)
    assert y.shape[1:] == stage.output_types[0].shape
    stage.output_types[0].dtype.check(y, "y")


@pytest.mark.parametrize("channels", [2, 4, 20])
@pytest.mark.parametrize("taps", [1, 2, 9])
def test_a_beat_a_cycle(channels: int, taps: int) -> None:
    stage = depthwise(weights=np.ones((channels, taps)))
    ends = simulate(bench((stage,)), images=4).cycles["y"].reshape(4, -1)[:, -1]
    assert np.diff(ends).tolist() == [stage.input_types[0].beats] * 3


def test_a_bit_of_a_memory_is_named() -> None:
    stage = depthwise()
    assert stage.locate("WEIGHTS_FILE", 5, 1) == "channel 3, weight 2"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pe": 3}, FoldingError, "d: pe=3 must divide channels=4"),
        ({"kernel": "times"}, GraphError, "d: kernel 'times' is none of"),
        ({"input_dtype": unsigned(2)}, DatatypeError, "takes BIPOLAR inputs"),
        ({"weights": np.zeros((4, 9))}, DatatypeError, "xnor weights"),
        ({"weights": np.ones(4)}, GraphError, r"weights must be \(channels, taps\)"),
        (
            {"thresholds": Thresholds(levels=np.zeros((3, 1)), is_rising=np.ones(3, bool))},
            GraphError,
            "thresholds for 3 channels, but channels=4",
        ),
    ],
)
def test_impossible_stages_are_refused(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        depthwise(**changes)
