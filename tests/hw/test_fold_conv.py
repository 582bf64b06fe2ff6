"""Folding of convolutional dataflows: windows and pools follow, FINN's files are read."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, unsigned
from popshift.hw.errors import FoldingError
from popshift.hw.graph import Dataflow, StreamType
from popshift.hw.passes import apply_folding, connect, fold, folding_report, logical_stages
from popshift.hw.passes.finn_folding import without_attributes
from popshift.hw.passes.fold import cycles_per_image
from popshift.hw.sim import simulate
from popshift.hw.stages import Argmax, Depthwise, MatVec, Pool, Thresholds, Width, Window

# The layers of FINN's CNV, and the folding that its repository publishes, as its JSON has it.
CONVOLUTIONS = [
    (3, 64, ""),
    (64, 64, "pool"),
    (64, 128, ""),
    (128, 128, "pool"),
    (128, 256, ""),
    (256, 256, ""),
]
CNV_FOLDING = {
    "Defaults": {},
    "Thresholding_Batch_0": {"PE": 1, "mem_mode": "const"},
    "ConvolutionInputGenerator_0": {"SIMD": 3, "ram_style": "distributed"},
    **{
        f"MatrixVectorActivation_{i}": {
            "PE": pe,
            "SIMD": simd,
            "ram_style": "auto",
            "resType": "lut",
        }
        for i, (pe, simd) in enumerate(
            [(16, 3), (32, 32), (16, 32), (16, 32), (4, 32), (1, 32), (1, 4), (1, 8), (5, 1)]
        )
    },
    "LabelSelect_Batch_0": {"PE": 1},
}


def network(convolutions, hidden, *, side, channels=3, bits=8) -> Dataflow:
    """3 x 3 convolutions without padding, bits in between, and an argmax; random parameters."""
    rng = np.random.default_rng(0)
    stages: list = []
    at, dtype = "x", unsigned(bits)
    entry = StreamType(dtype=dtype, shape=(side, side, channels), lanes=1)

    def layer(name, outputs, inputs, leading, *, is_last=False):
        nonlocal at, dtype
        thresholds = Thresholds(
            levels=rng.integers(0, inputs, (outputs, 1)), is_rising=rng.random(outputs) < 0.5
        )
        stages.append(
            MatVec(
                name=name,
                inputs=(at,),
                outputs=(f"{name}_out",),
                weights=rng.choice([-1, 1], (outputs, inputs)),
                input_dtype=dtype,
                kernel="xnor" if dtype == BIPOLAR else "signed",
                thresholds=None if is_last else thresholds,
                leading=leading,
            )
        )
        at, dtype = f"{name}_out", stages[-1].output_types[0].dtype

    for number, (inputs, outputs, pool) in enumerate(convolutions):
        window = Window(
            name=f"window{number}",
            inputs=(at,),
            outputs=(f"window{number}_out",),
            input_dtype=dtype,
            height=side,
            width=side,
            channels=inputs,
            kernel=(3, 3),
        )
        stages.append(window)
        at, side = f"window{number}_out", side - 2
        layer(f"conv{number}", outputs, 9 * inputs, (side, side))
        if pool:
            stages.append(
                Pool(
                    name=f"pool{number}",
                    inputs=(at,),
                    outputs=(f"pool{number}_out",),
                    input_dtype=dtype,
                    height=side,
                    width=side,
                    channels=outputs,
                    kernel=(2, 2),
                    stride=(2, 2),
                    operation="max",
                )
            )
            at, side = f"pool{number}_out", side // 2
    sizes = [outputs * side * side, *hidden]
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        layer(f"fc{number}", outputs, inputs, (), is_last=number == len(hidden) - 1)
    stages.append(
        Argmax(name="argmax", inputs=(at,), outputs=("y",), classes=hidden[-1], input_dtype=dtype)
    )
    return Dataflow(name="cnn", inputs={"x": entry}, outputs=("y",), stages=tuple(stages))


def small() -> Dataflow:
    return network([(2, 8, "pool"), (8, 12, "")], [6, 4], side=12, channels=2, bits=4)


@pytest.fixture(scope="module")
def cnv() -> Dataflow:
    return network(CONVOLUTIONS, [512, 512, 10], side=32)


def test_finns_folding_of_cnv_takes_32768_cycles_an_image(cnv):
    folded = apply_folding(cnv, CNV_FOLDING)
    report = folding_report(folded, clock_mhz=100)
    assert (report.bottleneck.stage, report.bottleneck.cycles) == ("fc0", 32_768)
    assert report.fps == pytest.approx(3051.76, abs=0.01)
    lanes = {s.name: (s.pe, s.simd) for s in folded.stages if isinstance(s, MatVec)}
    assert lanes["conv0"] == (16, 3)
    assert lanes["fc2"] == (5, 1)
    cycles = {s.stage: s.cycles for s in report.stages}
    assert cycles["conv0"] == 32_400
    assert cycles["conv3"] == 28_800
    assert max(c for name, c in cycles.items() if not name.startswith(("conv", "fc"))) < 32_768


def test_windows_and_pools_follow_their_layers_so_that_no_converter_is_needed(cnv):
    folded = apply_folding(cnv, CNV_FOLDING)
    windows = [s.simd for s in folded.stages if isinstance(s, Window)]
    assert windows == [3, 32, 32, 32, 32, 32]
    assert [s.pe for s in folded.stages if isinstance(s, Pool)] == [32, 16]
    widths = {s.name for s in folded.stages if isinstance(s, Width)}
    assert not [name for name in widths if name.startswith("window")]


def test_a_rate_is_reached_by_every_stage_of_cnv(cnv):
    folded = fold(cnv, fps=3000, clock_mhz=100)
    report = folding_report(folded, clock_mhz=100)
    assert report.fps >= 3000
    assert report.bottleneck.cycles <= 100e6 / 3000
    layers = {s.inputs[0]: s for s in logical_stages(folded) if isinstance(s, MatVec)}
    for window in logical_stages(folded):
        if isinstance(window, Window):
            simd = layers[window.outputs[0]].simd
            assert simd % window.simd == 0 or window.simd % simd == 0


def test_the_same_integers_however_folded():
    net = small()
    images = np.random.default_rng(1).integers(0, 16, (6, 12, 12, 2))
    expected = net.execute(images)["y"]
    for budget in (20_000, 3_000, 1_000):
        folded = fold(net, fps=1e6 / budget, clock_mhz=1)
        assert max(cycles_per_image(stage) for stage in folded.stages) <= budget
        np.testing.assert_array_equal(folded.execute(images)["y"], expected)
    by_hand = apply_folding(net, {"conv1": {"pe": 4, "simd": 12}, "fc0": {"simd": 18}})
    np.testing.assert_array_equal(by_hand.execute(images)["y"], expected)
    assert by_hand.stage("window1").simd == 4


def test_a_window_that_is_given_keeps_its_lanes():
    folded = apply_folding(small(), {"conv1": {"simd": 8}, "window1": {"simd": 2}})
    assert folded.stage("window1").simd == 2
    again = apply_folding(folded, {"pool0": {"pe": 2}})
    assert again.stage("window1").simd == 2
    assert again.stage("conv1").simd == 8


def test_a_depthwise_layer_and_its_window_share_their_lanes():
    rng = np.random.default_rng(0)
    window = Window(
        name="window0", inputs=("x",), outputs=("w",), input_dtype=BIPOLAR, height=6, width=6,
        channels=12, kernel=(3, 3),
    )  # fmt: skip
    depthwise = Depthwise(
        name="dw0", inputs=("w",), outputs=("y",), weights=rng.choice([-1, 1], (12, 9)),
        input_dtype=BIPOLAR, kernel="xnor", leading=(4, 4),
    )  # fmt: skip
    net = Dataflow(
        name="dw", inputs={"x": window.input_types[0]}, outputs=("y",), stages=(window, depthwise)
    )
    folded = fold(net, fps=1e6 / 300, clock_mhz=1)
    assert [s.name for s in folded.stages] == ["window0", "dw0"]
    assert folded.stage("window0").simd == folded.stage("dw0").pe >= 6
    finn = apply_folding(net, {"VVAU_hls_0": {"PE": 4, "SIMD": 9}})
    assert (finn.stage("window0").simd, finn.stage("dw0").pe) == (4, 4)


@pytest.mark.parametrize(
    "names",
    [
        "MVAU_{}",
        "MVAU_hls_{}",
        "MVAU_rtl_{}",
        "StreamingFCLayer_Batch_{}",
        "MatrixVectorActivation_{}",
    ],
)
def test_layers_are_counted_in_order_under_every_name_that_finn_used(names):
    folded = apply_folding(
        small(), {names.format(1): {"PE": 3, "SIMD": 8}, names.format(3): {"PE": 2, "SIMD": 3}}
    )
    assert (folded.stage("conv1").pe, folded.stage("conv1").simd) == (3, 8)
    assert (folded.stage("fc1").pe, folded.stage("fc1").simd) == (2, 3)
    assert (folded.stage("conv0").pe, folded.stage("fc0").simd) == (1, 1)


@pytest.mark.parametrize(
    ("folding", "message"),
    [
        (
            {"MVAU_4": {"PE": 1}},
            r"'MVAU_4' is layer 4 of kind matvec, but the dataflow has 4: \['conv0'",
        ),
        ({"VVAU_0": {"PE": 1}}, r"'VVAU_0' is layer 0 of kind depthwise, but the dataflow has 0"),
        ({"MVAU": {"PE": 1}}, r"no stage 'MVAU'; the stages are \['window0'"),
        ({"MVAU_0": {"PE": 1}, "conv0": {"pe": 1}}, r"'conv0' is a second entry for stage 'conv0'"),
        ({"MVAU_0": {"PE": 3}}, r"conv0: pe=3 must divide MH=8"),
    ],
)
def test_entries_without_a_layer_are_named(folding, message):
    with pytest.raises(FoldingError, match=message):
        apply_folding(small(), folding)


def test_a_file_of_finn_is_reduced_to_its_folds():
    file = without_attributes(json.loads(json.dumps(CNV_FOLDING)))
    assert "Defaults" not in file
    assert file["MatrixVectorActivation_0"] == {"pe": 16, "simd": 3}
    assert file["LabelSelect_Batch_0"] == {"pe": 1}
    assert without_attributes({"fc0": {"pe": 2, "x": 1}}) == {"fc0": {"pe": 2, "x": 1}}


def test_cnv_in_finns_folding_yields_a_class_every_32768_cycles(cnv):
    folded = apply_folding(cnv, CNV_FOLDING)
    sized = connect(
        folded,
        fifo_depth={f"conv{i}_out": 1024 for i in range(6)} | {"fc0_out": 512, "fc1_out": 512},
    )
    classes = simulate(sized, images=6).cycles[sized.outputs[0]]
    assert np.diff(classes).tolist() == [32_768] * 5
