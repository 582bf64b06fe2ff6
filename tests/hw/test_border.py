"""Thresholds by border class: zero padding of bits is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from popshift.hw import storage
from popshift.hw.dtypes import BIPOLAR, signed
from popshift.hw.errors import GraphError
from popshift.hw.graph import Dataflow
from popshift.hw.reference import Reference
from popshift.hw.stages import Border, MatVec, Thresholds, Window, zero_padded
from popshift.hw.stages.line_buffer import LineBuffer


def layer(kernel: str, seed: int) -> tuple[Window, MatVec, Thresholds]:
    """Return a bipolar convolution, zero-padded, and the thresholds on its dot product."""
    rng = np.random.default_rng(seed)
    while True:
        lines = LineBuffer.random(rng)
        if any(lines.padding):
            break
    members = [-1, 1] if kernel == "xnor" else [-1, 0, 1]
    weights = rng.choice(members, (3, lines.kernel[0] * lines.kernel[1] * lines.folds))
    levels = np.sort(rng.integers(-9, 10, (3, 2)), axis=1)
    dot = Thresholds(levels=levels, is_rising=[True, False, True], base=-1, dtype=signed(2))
    window = Window(
        name="w",
        inputs=("x",),
        outputs=("taps",),
        input_dtype=BIPOLAR,
        height=lines.height,
        width=lines.width,
        channels=lines.folds,
        kernel=lines.kernel,
        stride=lines.stride,
        dilation=lines.dilation,
        padding=lines.padding,
        pad_value=-1,
    )
    thresholds, border = zero_padded(dot, weights, window.lines, kernel=kernel)
    matvec = MatVec(
        name="m",
        inputs=("taps",),
        outputs=("y",),
        weights=weights,
        input_dtype=BIPOLAR,
        kernel=kernel,
        thresholds=thresholds,
        border=border,
        leading=window.lines.out_shape,
    )
    return window, matvec, dot


def dataflow(window: Window, matvec: MatVec) -> Dataflow:
    inputs = {"x": window.input_types[0]}
    return Dataflow(name="net", inputs=inputs, outputs=("y",), stages=(window, matvec))


@pytest.mark.parametrize("kernel", ["xnor", "signed"])
@pytest.mark.parametrize("seed", range(20))
def test_bits_padded_with_minus_one_compute_as_if_padded_with_zero(kernel: str, seed: int) -> None:
    window, matvec, dot = layer(kernel, seed)
    x = BIPOLAR.random((16, *window.input_types[0].shape), np.random.default_rng(seed))
    top, left, bottom, right = window.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    taps = window.lines.windows(padded)
    products = taps.reshape(*taps.shape[:3], -1) @ matvec.weights.T
    net = dataflow(window, matvec)
    np.testing.assert_array_equal(net.execute(x)["y"], dot.execute(products))
    np.testing.assert_array_equal(Reference(net)(x)[0], dot.execute(products))


def test_a_3x3_kernel_with_padding_1_has_nine_classes() -> None:
    lines = LineBuffer(height=5, width=6, folds=2, kernel=(3, 3), padding=(1, 1, 1, 1))
    dot = Thresholds(levels=[[0]], is_rising=[True])
    thresholds, border = zero_padded(dot, np.ones((1, 18), np.int64), lines, kernel="xnor")
    assert border.classes == thresholds.channels == 9
    assert len(np.unique(border.map)) == 9
    inside = thresholds.levels[border.map[2, 2], 0]
    assert inside == 9
    # A corner has five taps of two channels in the padding, each of which counts -1 too much.
    assert thresholds.levels[border.map[0, 0], 0] == inside - 5


def test_a_border_is_stored(tmp_path: Path) -> None:
    net = dataflow(*layer("xnor", 0)[:2])
    storage.save(net, tmp_path)
    stage = storage.load(tmp_path).stage("m")
    assert isinstance(stage, MatVec)
    assert stage.border == net.stage("m").border  # type: ignore[attr-defined]


def test_a_bit_of_the_levels_names_its_border_class() -> None:
    _, matvec, _ = layer("xnor", 0)
    assert matvec.locate("LEVELS_FILE", 3 * 2 + 1, 0) == "channel 1, threshold 0, border class 2"
    assert matvec.locate("ROWS_FILE", 2, 0) == "border class of row 2"


def test_impossible_borders_are_refused() -> None:
    _, matvec, _ = layer("xnor", 0)
    with pytest.raises(GraphError, match="m: a border needs thresholds"):
        matvec.with_(thresholds=None)
    with pytest.raises(GraphError, match=r"but leading=\(9, 9\)"):
        matvec.with_(leading=(9, 9))
    with pytest.raises(GraphError, match=r"but MH=3 and the border has \d+ classes"):
        matvec.with_(thresholds=matvec.thresholds.part(0, 3))  # type: ignore[union-attr]
    with pytest.raises(GraphError, match="0 and up"):
        Border(rows=(-1,), columns=(0,))
