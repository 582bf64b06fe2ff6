"""The RTL's handshakes are those of the schedules: proven for every kind of stage, for ever.

The conformance suite compares some thousand cycles of hundreds of stages. Here stages are looked at
in all states that they can reach, whatever is offered and taken, and whatever the data.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from popshift.flows.conformance import random_bench
from popshift.hw.dtypes import BIPOLAR, IntArray, signed, unsigned
from popshift.hw.emit import RTL_FOLDER
from popshift.hw.graph import Stage, StreamType
from popshift.hw.stages import (
    STAGES,
    Add,
    Argmax,
    Border,
    Concat,
    Depthwise,
    Fifo,
    Fork,
    MatVec,
    Pool,
    Split,
    Threshold,
    Thresholds,
    Width,
    Window,
)

from .control import ControlError, TooManyStatesError, prove

ENDS = {"inputs": ("x",), "outputs": ("y",)}
RANDOM_STAGES = 8
BITS = StreamType(dtype=unsigned(1), shape=(6,), lanes=1)


def levels(channels: int, steps: int = 1) -> Thresholds:
    return Thresholds(
        levels=np.tile(np.arange(1, steps + 1), (channels, 1)), is_rising=np.ones(channels)
    )


def matvec(shape: tuple[int, int], **fields: Any) -> MatVec:
    weights = BIPOLAR.random(shape, np.random.default_rng(0))
    given = {"weights": weights, "input_dtype": BIPOLAR, "kernel": "xnor", **fields}
    return MatVec(name="a", **ENDS, **given)


def window(**fields: Any) -> Window:
    given = {"height": 3, "width": 3, "channels": 1, "kernel": (2, 2), **fields}
    return Window(name="a", **ENDS, input_dtype=unsigned(1), **given)


def pool(**fields: Any) -> Pool:
    given = {"height": 4, "width": 4, "channels": 1, "kernel": (2, 2), "stride": (2, 2), **fields}
    return Pool(name="a", **ENDS, input_dtype=unsigned(2), operation="max", **given)


PLANES: IntArray = np.array([[3, -1, 1, -3]])

CASES: dict[str, Stage] = {
    **{f"fifo of {n}": Fifo(name="a", **ENDS, type=BITS, depth=n) for n in (1, 2, 3, 5)},
    "width up": Width(name="a", **ENDS, type=BITS, lanes=3),
    "width down": Width(name="a", **ENDS, type=BITS.with_lanes(6), lanes=2),
    "threshold": Threshold(
        name="a", **ENDS, thresholds=levels(4, 3), input_dtype=unsigned(3), pe=2
    ),
    "argmax": Argmax(name="a", **ENDS, classes=6, input_dtype=unsigned(2), pe=2),
    "matvec, one fold": matvec((2, 6), simd=2, pe=2),
    "matvec, a beat a vector": matvec((2, 3), simd=3),
    "matvec, several folds": matvec((4, 6), simd=2, pe=2, thresholds=levels(4)),
    "matvec, groups": matvec((4, 2), simd=1, pe=1, groups=2),
    "matvec, constants": matvec((3, 5), simd=5, pe=3),
    "matvec, adder graph": matvec((2, 3), simd=3, pe=2, kernel="signed"),
    "matvec, scales of planes": matvec(
        (1, 4), weights=PLANES, simd=2, kernel="coded", input_dtype=unsigned(2)
    ),
    "matvec, border": matvec(
        (1, 2),
        simd=2,
        thresholds=levels(4),
        border=Border(rows=(0, 1), columns=(1, 0)),
        leading=(2, 2),
    ),
    "depthwise": Depthwise(
        name="a",
        **ENDS,
        weights=np.array([[1, -1, 0], [0, 1, 1]]),
        input_dtype=signed(2),
        kernel="signed",
        pe=1,
    ),
    "window": window(),
    "window, padded": window(padding=(1, 0, 0, 1), kernel=(2, 2), height=2),
    "window, stride": window(stride=(2, 2), height=4, width=4, channels=2),
    "pool": pool(),
    "pool, padded": pool(padding=(1, 0, 0, 1), height=3, width=3),
    "pool, overlapping": pool(stride=(1, 1), height=3, width=3),
    "fork": Fork(name="a", inputs=("x",), outputs=("y", "z"), type=BITS),
    "add": Add(
        name="a",
        inputs=("x", "w"),
        outputs=("y",),
        input_dtypes=(unsigned(2), signed(2)),
        factors=(1, 2),
        channels=2,
    ),
    "concat": Concat(
        name="a",
        inputs=("x", "w"),
        outputs=("y",),
        input_dtypes=(unsigned(2), signed(2)),
        channels=(2, 1),
    ),
    "split": Split(
        name="a",
        inputs=("x",),
        outputs=("y", "z"),
        type=BITS,
        members=np.array([[1, 0, 1, 1, 0, 0], [0, 1, 1, 0, 0, 1]], np.bool_),
    ),
}


def test_every_kind_of_stage_is_proven() -> None:
    assert {stage.kind for stage in CASES.values()} == set(STAGES)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_handshakes_are_those_of_the_schedule_in_every_state(case: str, tmp_path: Path) -> None:
    proof = prove(CASES[case], tmp_path)
    assert proof.states > 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(STAGES))
def test_handshakes_of_random_stages_are_those_of_their_schedules(
    kind: str, tmp_path: Path
) -> None:
    proven = 0
    for stage in random_bench(kind, RANDOM_STAGES, 0).stages:
        try:
            prove(stage, tmp_path / stage.name)
        except TooManyStatesError:
            continue
        proven += 1
    # A large window or a deep FIFO may have more states than are looked at.
    assert proven >= RANDOM_STAGES - 2


FAULTS = {
    "matvec, one fold": ("matvec", "= !is_last || has_place;", "= 1'b1;"),
    "matvec, several folds": ("replay", "places     <= 2'd2;", "places     <= 2'd1;"),
    "pool, overlapping": ("pool", "can_fire && (!yields || has_place)", "can_fire"),
    "fifo of 3": ("credit_buffer", "!= COUNT_W'(CAPACITY)", "!= COUNT_W'(CAPACITY - 1)"),
    "matvec, a beat a vector": ("credit_buffer", "<= COUNT_W'(CAPACITY);", "<= COUNT_W'(2);"),
    "threshold": ("credit_buffer", "assign has_place = places != '0;", "assign has_place = 1'b1;"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_of_the_control_is_found(case: str, tmp_path: Path) -> None:
    module, before, after = FAULTS[case]
    modules = tmp_path / "modules"
    shutil.copytree(RTL_FOLDER, modules)
    source = modules / f"{module}.sv"
    assert source.read_text().count(before) == 1
    source.write_text(source.read_text().replace(before, after))
    with pytest.raises(ControlError, match="after reset"):
        prove(CASES[case], tmp_path / "proof", modules)


def test_a_handshake_that_depends_on_data_is_named(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(RTL_FOLDER, modules)
    source = modules / "matvec.sv"
    text = source.read_text()
    assert text.count("assign can_fire      = s_axis_tvalid;") == 1
    source.write_text(text.replace("= s_axis_tvalid;", "= s_axis_tvalid && s_axis_tdata[0];"))
    with pytest.raises(ValueError, match="depends on data"):
        prove(CASES["matvec, one fold"], tmp_path / "proof", modules)
