"""Pools against a plain loop, their datatypes and their rate."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.flows.conformance import bench
from popshift.hw.dtypes import BIPOLAR, signed, unsigned
from popshift.hw.errors import FoldingError, GraphError
from popshift.hw.sim import simulate
from popshift.hw.stages import Pool


def pool(**changes: object) -> Pool:
    fields: dict[str, object] = {
        "name": "p",
        "inputs": ("x",),
        "outputs": ("y",),
        "input_dtype": signed(4),
        "height": 6,
        "width": 6,
        "channels": 4,
        "kernel": (2, 2),
        "stride": (2, 2),
        "operation": "max",
        "pe": 2,
    }
    return Pool(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(40))
def test_execute_equals_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stage = Pool.random("p", rng)
    x = stage.input_dtype.random((3, *stage.input_types[0].shape), rng)
    (y,) = stage.execute(x)
    reduce = np.max if stage.operation == "max" else np.sum
    rows, columns = stage.lines.out_shape
    for oy, ox in np.ndindex(rows, columns):
        top = oy * stage.stride[0] - stage.padding[0]
        left = ox * stage.stride[1] - stage.padding[1]
        under = x[
            :,
            max(top, 0) : top + stage.kernel[0],
            max(left, 0) : left + stage.kernel[1],
        ]
        np.testing.assert_array_equal(y[:, oy, ox], reduce(under, axis=(1, 2)))
    stage.output_types[0].dtype.check(y, "y")


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(BIPOLAR, signed(4)), (unsigned(2), unsigned(4)), (signed(2), signed(4))],
)
def test_a_sum_has_bits_for_every_window(dtype: object, expected: object) -> None:
    stage = pool(input_dtype=dtype, operation="sum")
    assert stage.output_types[0].dtype == expected


def test_a_pool_takes_a_beat_a_cycle() -> None:
    for kernel in ((2, 2), (3, 3)):
        stage = pool(kernel=kernel, height=12, width=12)
        ends = simulate(bench((stage,)), images=4).cycles["y"].reshape(4, -1)[:, -1]
        beats = max(stage.input_types[0].beats, kernel[0] * kernel[1] * stage.output_types[0].beats)
        assert np.diff(ends).tolist() == [beats] * 3


def test_a_global_pool_keeps_one_pixel() -> None:
    stage = pool(kernel=(6, 6), stride=(6, 6), operation="sum")
    assert not stage.is_overlapping
    assert stage.partials == 2
    assert len(stage.schedule().buffers) == 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pe": 3}, FoldingError, "p: pe=3 must divide channels=4"),
        ({"operation": "mean"}, GraphError, "p: operation 'mean' is none of"),
        ({"kernel": (7, 1)}, GraphError, "p: a window of 7 x 1 is larger"),
        ({"padding": (0, 0, 0, 2)}, GraphError, "p: padding .* must be smaller"),
    ],
)
def test_impossible_pools_are_refused(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pool(**changes)
