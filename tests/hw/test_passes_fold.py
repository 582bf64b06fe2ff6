"""Folding: the same integers, the asked rate, the least LUTs, converters where beats differ."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popshift.hw.dtypes import BIPOLAR, signed, smallest_for, unsigned
from popshift.hw.errors import FoldingError, GraphError
from popshift.hw.graph import Dataflow, HostAffine, Origin, StreamType
from popshift.hw.passes import apply_folding, connect, fold, folding_report, logical_stages
from popshift.hw.passes.fold import cycles_per_image
from popshift.hw.stages import Argmax, Fifo, MatVec, Threshold, Thresholds, Width


def divisors(number):
    return [d for d in range(1, number + 1) if number % d == 0]


def mlp(has_argmax=True) -> Dataflow:
    """A threshold stage, 12 -> 18 -> 10 neurons, an argmax; all unfolded."""
    rng = np.random.default_rng(0)
    stages = [
        Threshold(
            name="act0",
            inputs=("x",),
            outputs=("act0_out",),
            thresholds=Thresholds(
                levels=np.sort(rng.integers(0, 256, (12, 3))),
                is_rising=rng.random(12) < 0.5,
                base=-1,
                dtype=signed(3),
            ),
            input_dtype=unsigned(8),
        ),
        MatVec(
            name="fc0",
            inputs=("act0_out",),
            outputs=("fc0_out",),
            weights=rng.choice([-1, 0, 1], (18, 12)),
            input_dtype=signed(3),
            kernel="signed",
            thresholds=Thresholds(levels=rng.integers(-3, 4, (18, 1)), is_rising=np.ones(18)),
        ),
        MatVec(
            name="fc1",
            inputs=("fc0_out",),
            outputs=("fc1_out",),
            weights=rng.choice([-1, 1], (10, 18)),
            input_dtype=BIPOLAR,
            kernel="xnor",
        ),
    ]
    if has_argmax:
        stages.append(
            Argmax(
                name="argmax",
                inputs=("fc1_out",),
                outputs=("argmax_out",),
                classes=10,
                input_dtype=smallest_for(0, 18),
            )
        )
    return Dataflow(
        name="mlp",
        inputs={"x": StreamType(dtype=unsigned(8), shape=(12,), lanes=1)},
        outputs=("argmax_out",) if has_argmax else ("fc1_out",),
        stages=tuple(stages),
        origins={"x": Origin(tensor="in"), "fc1_out": Origin(tensor="y", multiplier=2, offset=-18)},
        host={} if has_argmax else {"fc1_out": HostAffine(scale=(0.5,))},
    )


def images():
    return np.random.default_rng(1).integers(0, 256, (30, 12))


def assert_same_integers(folded: Dataflow, original: Dataflow):
    got, want = folded.execute(images()), original.execute(images())
    for stream, values in want.items():
        np.testing.assert_array_equal(got[stream], values)
    for a, b in zip(folded.outputs, original.outputs, strict=True):
        np.testing.assert_array_equal(got[a], want[b])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_folding_keeps_the_integers_and_joins_the_beats(data):
    original = mlp()
    folding = {
        "act0": {"pe": data.draw(st.sampled_from(divisors(12)))},
        "fc0": {
            "pe": data.draw(st.sampled_from(divisors(18))),
            "simd": data.draw(st.sampled_from(divisors(12))),
        },
        "fc1": {
            "PE": data.draw(st.sampled_from(divisors(10))),
            "SIMD": data.draw(st.sampled_from(divisors(18))),
        },
        "argmax": {"pe": data.draw(st.sampled_from(divisors(10)))},
    }
    depth = data.draw(st.sampled_from([0, 1, 4]))
    folded = connect(apply_folding(original, folding), fifo_depth=depth)
    assert_same_integers(folded, original)
    for name, wanted in folding.items():
        stage = folded.stage(name)
        assert all(getattr(stage, key.lower()) == value for key, value in wanted.items())
    # No converter is slower than the stages around it.
    slowest = max(cycles_per_image(s) for s in logical_stages(folded))
    assert all(cycles_per_image(stage) <= slowest for stage in folded.stages)
    # Converters and FIFOs are put in only where they are needed.
    wanted_fifos = 5 if depth else 0
    assert sum(isinstance(stage, Fifo) for stage in folded.stages) == wanted_fifos
    again = apply_folding(folded, folding)
    assert [s.name for s in again.stages] == [s.name for s in folded.stages]
    assert again.streams == folded.streams
    unfolded = apply_folding(connect(folded, fifo_depth=0), unfolded_keys(folding))
    assert [s.name for s in unfolded.stages] == [s.name for s in original.stages]
    assert unfolded.streams == original.streams
    assert (unfolded.origins, unfolded.outputs) == (original.origins, original.outputs)


def unfolded_keys(folding):
    return {name: dict.fromkeys(keys, 1) for name, keys in folding.items()}


def test_lanes_that_do_not_divide_go_through_their_least_common_multiple():
    folded = apply_folding(mlp(), {"act0": {"pe": 4}, "fc0": {"simd": 6}})
    widths = [stage for stage in folded.stages if isinstance(stage, Width)]
    assert [(w.name, w.type.lanes, w.lanes) for w in widths] == [
        ("act0_out_width", 4, 12),
        ("act0_out_width2", 12, 6),
    ]
    assert_same_integers(folded, mlp())


def test_inputs_take_the_lanes_of_their_stage():
    folded = apply_folding(mlp(), {"act0": {"pe": 3}})
    assert folded.inputs["x"].lanes == 3
    assert folded.stages[0].name == "act0"


def test_connectors_carry_the_origin_of_their_stream_and_outputs_follow_the_fifo():
    original = mlp(has_argmax=False)
    folded = connect(original, fifo_depth={"fc1_out": 7, "x": 2})
    assert folded.outputs == ("fc1_out_fifo_out",)
    assert folded.host == {"fc1_out_fifo_out": original.host["fc1_out"]}
    assert folded.origins["fc1_out_fifo_out"] == original.origins["fc1_out"]
    assert folded.origins["x_fifo_out"] == original.origins["x"]
    assert folded.stage("fc1_out_fifo").depth == 7
    assert apply_folding(folded, {"fc1": {"pe": 2}}).stage("fc1_out_fifo").depth == 7
    bare = connect(folded, fifo_depth=0)
    assert (bare.outputs, bare.host, bare.origins) == (
        original.outputs,
        original.host,
        original.origins,
    )


def test_wrong_fifos_are_named():
    with pytest.raises(GraphError, match=r"FIFO of stream 'y': unknown; the streams are \['x', "):
        connect(mlp(), fifo_depth={"y": 2})
    with pytest.raises(GraphError, match=r"FIFO of stream 'x': depth=-1 must be >= 0"):
        connect(mlp(), fifo_depth=-1)


@pytest.mark.parametrize(
    ("folding", "message"),
    [
        (
            {"fc9": {"pe": 1}},
            r"no stage 'fc9'; the stages are \['act0', 'fc0', 'fc1', 'argmax'\]",
        ),
        (
            {"fc0": {"pes": 1}},
            r"folding of fc0: unknown key 'pes'; it has \['pe', 'simd', 'kernel'\]",
        ),
        ({"act0": {"simd": 1}}, r"folding of act0: unknown key 'simd'; it has \['pe'\]"),
        ({"fc0": {"pe": 2, "PE": 2}}, r"folding of fc0: pe is given twice"),
        ({"fc0": {"pe": 5}}, r"fc0: pe=5 must divide MH=18"),
        ({"fc0": {"simd": 5}}, r"fc0: simd=5 must divide MW=12"),
        ({"fc0": {"simd": 0}}, r"fc0: simd=0 must divide MW=12"),
        ({"fc0": {"pe": True}}, r"folding of fc0: pe=True must be an integer"),
        ({"fc0": {"pe": 2.0}}, r"folding of fc0: pe=2.0 must be an integer"),
        ({"argmax": {"pe": 3}}, r"argmax: pe=3 must divide classes=10"),
    ],
)
def test_wrong_foldings_are_named(folding, message):
    with pytest.raises(FoldingError, match=message):
        apply_folding(mlp(), folding)


@pytest.mark.parametrize("name", ["act0", "fc0", "fc1", "argmax"])
@pytest.mark.parametrize("budget", [1, 2, 5, 18, 30, 216])
def test_target_rate_takes_the_fewest_luts_of_all_foldings(name, budget):
    stage = mlp().stage(name)
    keys = [key for key in ("pe", "simd") if hasattr(stage, key)]
    luts = []
    for folds in itertools.product(*(range(1, 19) for _ in keys)):
        try:
            candidate = stage.with_(**dict(zip(keys, folds, strict=True)))
        except FoldingError:
            continue
        if cycles_per_image(candidate) <= budget:
            luts.append(candidate.cost().lut)
    folded = fold(mlp(), fps=1e6 / budget, clock_mhz=1)
    assert cycles_per_image(folded.stage(name)) <= budget
    assert folded.stage(name).cost().lut == min(luts)
    assert_same_integers(folded, mlp())


@pytest.mark.parametrize("kernel", ["xnor", "signed"])
@pytest.mark.parametrize("budget", [64, 256, 1024, 6144])
def test_target_rate_takes_the_fewest_luts_of_a_larger_layer(kernel, budget):
    rng = np.random.default_rng(0)
    stage = MatVec(
        name="fc0",
        inputs=("x",),
        outputs=("y",),
        weights=rng.choice([-1, 1], (96, 64)),
        input_dtype=BIPOLAR if kernel == "xnor" else unsigned(5),
        kernel=kernel,
        thresholds=Thresholds(levels=np.zeros((96, 1)), is_rising=np.ones(96)),
    )
    dataflow = Dataflow(
        name="one", inputs={"x": stage.input_types[0]}, outputs=("y",), stages=(stage,)
    )
    folds = itertools.product(divisors(96), divisors(64))
    luts = [
        stage.with_(pe=pe, simd=simd).cost().lut
        for pe, simd in folds
        if 96 * 64 // (pe * simd) <= budget
    ]
    folded = fold(dataflow, fps=1e6 / budget, clock_mhz=1).stage("fc0")
    assert folded.cost().lut == min(luts)


def test_cycles_count_the_longest_thread_and_every_vector():
    stage = mlp().stage("fc0")
    assert cycles_per_image(stage) == 18 * 12
    assert cycles_per_image(stage.with_(pe=6, simd=4)) == 3 * 3
    assert cycles_per_image(stage.with_(leading=(5, 2))) == 18 * 12 * 10
    assert cycles_per_image(mlp().stage("argmax").with_(pe=5)) == 2
    kind = StreamType(dtype=unsigned(2), shape=(12,), lanes=2)
    for lanes, cycles in ((6, 6), (1, 12)):
        width = Width(name="w", inputs=("x",), outputs=("y",), type=kind, lanes=lanes)
        assert cycles_per_image(width) == cycles


def test_report_names_the_bottleneck_and_the_rate():
    folded = apply_folding(mlp(), {"fc0": {"pe": 18, "simd": 12}})
    report = folding_report(folded, clock_mhz=25)
    assert report.bottleneck.stage == "fc1"
    assert report.fps == 25e6 / 180
    assert [s.stage for s in report.stages] == [s.name for s in folded.stages]
    assert "fc1                     xnor         1     1       180" in str(report)
    assert str(report).count("bottleneck") == 1


def test_unreachable_rate_names_the_stage_and_the_greatest_rate():
    message = (
        r"fc0: 2e\+06 images/s at 1 MHz leave 0 cycles per image, but it needs 1; "
        r"at most 1000000\.0 images/s are reachable"
    )
    stages = [s for s in mlp().stages if s.name != "act0"]
    dataflow = Dataflow(
        name="mlp",
        inputs={"act0_out": stages[0].input_types[0]},
        outputs=("argmax_out",),
        stages=tuple(stages),
    )
    with pytest.raises(FoldingError, match=message):
        fold(dataflow, fps=2e6, clock_mhz=1)
    fastest = fold(dataflow, fps=1e6, clock_mhz=1)
    assert folding_report(fastest, clock_mhz=1).fps == 1e6


@pytest.mark.parametrize(("fps", "clock"), [(0, 1), (-1, 1), (1, 0), (math.nan, 1), (1, math.inf)])
def test_rates_must_be_positive(fps, clock):
    with pytest.raises(FoldingError, match="must be positive"):
        fold(mlp(), fps=fps, clock_mhz=clock)


def test_fold_of_a_connected_dataflow_is_the_fold_of_its_logical_stages():
    once = fold(mlp(), fps=1e4, clock_mhz=1)
    with_fifos = connect(once, fifo_depth=3)
    again = fold(with_fifos, fps=1e4, clock_mhz=1)
    assert again.streams == with_fifos.streams
    assert connect(again, fifo_depth=0).streams == once.streams
