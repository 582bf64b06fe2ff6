"""Stages that fork and join streams: what they compute, when, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.flows.conformance import bench
from popshift.hw.dtypes import BIPOLAR, signed, unsigned
from popshift.hw.emit import emit, top_level
from popshift.hw.errors import FoldingError, GraphError, SimulationError
from popshift.hw.graph import Dataflow, StreamType
from popshift.hw.sim import simulate
from popshift.hw.stages import Add, Concat, Fifo, Fork, Split

U4 = unsigned(4)
PIXELS = StreamType(dtype=U4, shape=(2, 2, 6), lanes=2)


def fork(outputs=("a", "b"), pe=2):
    return Fork(name="fork0", inputs=("x",), outputs=outputs, type=PIXELS, pe=pe)


def add(dtypes=(U4, U4), factors=(1, 1), bounds=None, inputs=("a", "b"), pe=2):
    return Add(
        name="add0",
        inputs=inputs,
        outputs=("y",),
        input_dtypes=dtypes,
        factors=factors,
        channels=6,
        leading=(2, 2),
        bounds=bounds,
        pe=pe,
    )


def concat(channels=(2, 4), dtypes=(U4, U4), pe=2):
    return Concat(
        name="concat0",
        inputs=("a", "b"),
        outputs=("y",),
        input_dtypes=dtypes,
        channels=channels,
        leading=(2, 2),
        pe=pe,
    )


def split(bounds=((0, 2), (2, 6)), pe=2):
    members = Split.ranges(list(bounds), 6)
    outputs = ("a", "b", "c")[: len(bounds)]
    return Split(name="split0", inputs=("x",), outputs=outputs, type=PIXELS, members=members, pe=pe)


def images(count=3):
    return PIXELS.dtype.random((count, *PIXELS.shape), np.random.default_rng(0))


def test_split_and_concat_are_inverse():
    x = images()
    parts = split().execute(x)
    assert [part.shape[-1] for part in parts] == [2, 4]
    np.testing.assert_array_equal(concat().execute(*parts)[0], x)


def test_outputs_of_a_split_may_share_and_drop_channels():
    x = images()
    first, second = split(((0, 4), (2, 4))).execute(x)
    np.testing.assert_array_equal(first, x[..., :4])
    np.testing.assert_array_equal(second, x[..., 2:4])


def test_sums_have_the_bits_for_every_value_and_bounds_clamp_them():
    dtypes = (unsigned(4), signed(4), BIPOLAR)
    stage = add(dtypes, (1, -2, 3), inputs=("a", "b", "c"))
    assert stage.sum_range == (0 - 14 - 3, 15 + 16 + 3)
    assert stage.output_types[0].dtype == signed(7)
    x = [np.full((1, 2, 2, 6), n) for n in (15, -8, 1)]
    assert (stage.execute(*x)[0] == 34).all()
    clamped = stage.with_(bounds=(0, 15))
    assert clamped.output_types[0].dtype == unsigned(4)
    assert (clamped.execute(*x)[0] == 15).all()
    assert (clamped.sums(*x) == 34).all()


def test_integers_of_other_datatypes_are_joined_in_one_that_holds_both():
    assert concat(dtypes=(unsigned(4), signed(3))).output_types[0].dtype == signed(5)
    assert concat(dtypes=(BIPOLAR, unsigned(1))).output_types[0].dtype == signed(2)
    assert concat(dtypes=(BIPOLAR, BIPOLAR)).output_types[0].dtype == BIPOLAR


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (lambda: fork(outputs=("a",)), "two outputs or more"),
        (lambda: add(factors=(1, 0)), "must not be 0"),
        (lambda: add(factors=(1, 1 << 15)), "nor beyond 32767"),
        (lambda: add(factors=(1,)), "must be of 2 inputs"),
        (lambda: add(bounds=(3, 2)), "must ascend and lie in 0 to 30"),
        (lambda: add(bounds=(-1, 2)), "must ascend and lie in 0 to 30"),
        (lambda: concat(channels=(6,)), "must be of 2 inputs"),
        (lambda: split(((0, 2), (3, 3))), "each output take some"),
        (lambda: split(pe=2).with_(members=np.ones((2, 5))), "must be (outputs, channels)"),
    ],
)
def test_impossible_parameters_are_refused(stage, message):
    with pytest.raises(GraphError) as error:
        stage()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (lambda: fork(pe=4), "pe=4 must divide channels=6"),
        (lambda: add(pe=4), "pe=4 must divide channels=6"),
        (lambda: concat(pe=3), "pe=3 must divide the channels of each input"),
        (lambda: split(pe=6), "pe=6 must divide 2"),
    ],
)
def test_folds_that_do_not_divide_are_refused(stage, message):
    with pytest.raises(FoldingError) as error:
        stage()
    assert message in str(error.value)


def test_an_eager_fork_lets_one_output_run_two_beats_ahead():
    dataflow = bench([fork()])
    cycles = simulate(dataflow, images=1, ready={"b": (0,) * 20 + (1,)}).cycles
    # `a` takes beats as they come, until two of them wait at `b`.
    assert cycles["a"][:2].tolist() == [1, 2]
    assert cycles["b"][0] == 20
    assert (cycles["a"][2:] > 20).all()


def test_joins_wait_for_the_input_that_comes_last():
    dataflow = bench([add()])
    cycles = simulate(dataflow, images=1, gaps={"a": (10,)}).cycles
    # The two buffers of `b` fill at once, then each beat waits for one of `a`.
    assert cycles["b"][:2].tolist() == [0, 1]
    assert (cycles["b"][2:] > cycles["a"][:-2]).all()
    assert (cycles["y"] == cycles["a"] + 1).all()


def test_a_branch_that_is_too_short_deadlocks_and_names_the_streams():
    # `late` needs three beats before it yields the first, the other branch holds two and two.
    whole = StreamType(dtype=unsigned(4), shape=(24,), lanes=2)
    x = fork(outputs=("a", "b"))
    late = Split(
        name="late",
        inputs=("a",),
        outputs=("c",),
        type=whole,
        members=Split.ranges([(12, 24)], 24),
        pe=2,
    )
    half = Split(
        name="half",
        inputs=("b",),
        outputs=("d",),
        type=whole,
        members=Split.ranges([(0, 12)], 24),
        pe=2,
    )
    join = Add(
        name="join",
        inputs=("c", "d"),
        outputs=("y",),
        input_dtypes=(unsigned(4), unsigned(4)),
        factors=(1, 1),
        channels=12,
        pe=2,
    )
    dataflow = Dataflow(
        name="net", inputs={"x": PIXELS}, outputs=("y",), stages=(x, late, half, join)
    )
    with pytest.raises(SimulationError) as error:
        simulate(dataflow, images=1)
    assert "deadlock" in str(error.value)
    kind = half.output_types[0]
    buffer = Fifo(name="fifo", inputs=("d",), outputs=("e",), type=kind, depth=2)
    fixed = Dataflow(
        name="net",
        inputs={"x": PIXELS},
        outputs=("y",),
        stages=(x, late, half, buffer, join.with_(inputs=("c", "e"))),
    )
    assert simulate(fixed, images=2).cycles["y"].size == 12


def test_ports_of_a_stage_are_one_vector_and_those_of_the_top_level_are_not(tmp_path):
    dataflow = bench([fork(), add(inputs=("c", "d"))])
    text = top_level(dataflow)
    assert ".m_axis_tdata({b_tdata, a_tdata})" in text
    assert ".s_axis_tready({d_tready, c_tready})" in text
    assert "output logic m_axis_2_tvalid" in text
    assert "eager_fork.sv" in emit(dataflow, tmp_path).sources
