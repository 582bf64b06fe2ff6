from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, unsigned
from popshift.hw.errors import DatatypeError, FoldingError, GraphError
from popshift.hw.graph import Dataflow, Origin, StreamType
from popshift.hw.stages import Argmax, Fifo, MatVec, Thresholds, Width

from .networks import images, small_network


def test_streams_are_listed_inputs_first() -> None:
    assert list(small_network().streams) == ["x", "a", "b", "c", "d", "e", "f", "y"]


def test_execute_refuses_wrong_inputs() -> None:
    net = small_network()
    with pytest.raises(GraphError, match=r"must be \(images, 8\), got \(3, 7\)"):
        net.execute(np.zeros((3, 7), np.int64))
    with pytest.raises(DatatypeError, match=r"input 'x': element \(0, 0\) is 32"):
        net.execute(images(2) + 32)
    with pytest.raises(GraphError, match="takes 1 inputs, got 2"):
        net.execute(images(2), images(2))


def test_a_stream_needs_a_producer_a_consumer_and_one_type() -> None:
    net = small_network()
    stages = {stage.name: stage for stage in net.stages}
    with pytest.raises(GraphError, match="argmax: input stream 'g' is not produced before it"):
        replace(net, stages=(*net.stages[:-1], stages["argmax"].with_(inputs=("g",))))
    with pytest.raises(GraphError, match="have no consumer"):
        replace(net, stages=net.stages[:-1])
    with pytest.raises(GraphError, match=r"act0: input 'd' is .* but must be"):
        replace(net, stages=tuple(s.with_(pe=1) if s.name == "act0" else s for s in net.stages))
    with pytest.raises(GraphError, match="two stages are called 'fc0'"):
        replace(net, stages=(*net.stages, net.stages[0]))
    with pytest.raises(GraphError, match="no stage 'fc9'"):
        net.stage("fc9")


def test_a_stream_is_consumed_once() -> None:
    net = small_network()
    twin = net.stages[-1].with_(name="argmax2", outputs=("z",))
    with pytest.raises(GraphError, match="argmax2: input stream 'f' is already consumed"):
        replace(net, stages=(*net.stages, twin), outputs=("y", "z"))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"simd": 3}, "fc0: simd=3 must divide MW=8"), ({"pe": 0}, "fc0: pe=0 must divide MH=12")],
)
def test_a_matvec_rejects_a_fold_that_does_not_divide(change: dict[str, int], message: str) -> None:
    with pytest.raises(FoldingError, match=message):
        small_network().stages[0].with_(**change)


def test_other_stages_reject_folds_that_do_not_divide() -> None:
    net = small_network()
    with pytest.raises(FoldingError, match="act0: pe=4 must divide channels=6"):
        net.stage("act0").with_(pe=4)
    with pytest.raises(FoldingError, match="argmax: pe=2 must divide classes=5"):
        net.stage("argmax").with_(pe=2)
    with pytest.raises(FoldingError, match="lanes 3 to 4"):
        net.stage("b_width").with_(lanes=4)
    with pytest.raises(FoldingError, match="lanes=4 must divide channels=6"):
        StreamType(dtype=BIPOLAR, shape=(6,), lanes=4)
    with pytest.raises(GraphError, match="depth=0"):
        net.stage("a_fifo").with_(depth=0)


def test_kernels_refuse_what_they_cannot_multiply() -> None:
    stage = small_network().stage("fc1")
    assert isinstance(stage, MatVec)
    with pytest.raises(DatatypeError, match="kernel xnor takes BIPOLAR inputs, got UINT4"):
        stage.with_(input_dtype=unsigned(4))
    with pytest.raises(DatatypeError, match="xnor weights"):
        stage.with_(weights=np.zeros((6, 12), np.int64))
    with pytest.raises(DatatypeError, match="at most 16 bits, got 65536"):
        stage.with_(kernel="signed", weights=np.full((6, 12), 1 << 16))
    with pytest.raises(GraphError, match="kernel 'multiply' is none of"):
        stage.with_(kernel="multiply")


def test_accumulators_are_as_wide_as_the_weights_need() -> None:
    weights = np.array([[1, 1, 1, 0], [-1, 1, 0, 0]])
    stage = MatVec(
        name="fc",
        inputs=("x",),
        outputs=("y",),
        weights=weights,
        input_dtype=unsigned(8),
        kernel="signed",
    )
    assert stage.accumulator_range == (-255, 765)
    assert stage.accumulator_dtype.name == "INT11"
    assert stage.with_(weights=np.abs(weights)).accumulator_dtype.name == "UINT10"


def test_a_popcount_of_128_needs_8_unsigned_bits() -> None:
    stage = MatVec(
        name="fc",
        inputs=("x",),
        outputs=("y",),
        weights=np.ones((1, 128), np.int64),
        input_dtype=BIPOLAR,
        kernel="xnor",
    )
    assert stage.accumulator_dtype.name == "UINT8"
    assert stage.execute(np.ones((1, 128), np.int64))[0].tolist() == [[128]]
    assert stage.execute(-np.ones((1, 128), np.int64))[0].tolist() == [[0]]


def test_origin_turns_a_popcount_into_the_dot_product() -> None:
    origin = Origin(tensor="t", multiplier=2, offset=-128)
    assert origin.integers(np.array([0, 64, 128])).tolist() == [-128, 0, 128]


def test_thresholds_at_the_tie_and_beside_it() -> None:
    levels = np.array([[2], [2], [-99], [99]])
    rising = np.array([True, False, True, True])
    thresholds = Thresholds(levels=levels, is_rising=rising)
    x = np.array([[1] * 4, [2] * 4, [3] * 4])
    assert thresholds.execute(x).tolist() == [[-1, 1, 1, -1], [1, -1, 1, -1], [1, -1, 1, -1]]


def test_multi_bit_thresholds_count_steps_from_the_base() -> None:
    thresholds = Thresholds(
        levels=np.array([[0, 2, 2]]),
        is_rising=np.array([True]),
        base=-1,
        dtype=unsigned(2).parse("INT3"),
    )
    assert thresholds.execute(np.array([[-1], [0], [1], [2]]))[:, 0].tolist() == [-1, 0, 0, 2]


def test_thresholds_refuse_what_they_cannot_hold() -> None:
    one = np.array([True])
    with pytest.raises(GraphError, match="levels of channel 0 must ascend"):
        Thresholds(levels=np.array([[2, 1]]), is_rising=one, dtype=unsigned(2))
    with pytest.raises(GraphError, match="results 0 to 2 are not in UINT1"):
        Thresholds(levels=np.array([[1, 2]]), is_rising=one, dtype=unsigned(1))
    with pytest.raises(GraphError, match="results 1 to 4 are not in UINT2"):
        Thresholds(levels=np.array([[1, 2, 3]]), is_rising=one, base=1, dtype=unsigned(2))
    with pytest.raises(GraphError, match="must be"):
        Thresholds(levels=np.array([[1]]), is_rising=np.array([True, True]))


def test_stages_locate_the_bits_of_their_memories() -> None:
    stage = small_network().stages[0]
    assert stage.locate("WEIGHTS_FILE", 0, 0) == "channel 0, weight 0"
    assert stage.locate("WEIGHTS_FILE", 5, 4 + 1) == "channel 5, weight 3"
    words = stage.module().memories["LEVELS_FILE"]
    assert stage.locate("LEVELS_FILE", 1, 0) == "channel 3, threshold 0"
    assert stage.locate("LEVELS_FILE", 1, words.width_bits - 1) == "channel 5, direction"


def test_parts_need_not_be_connected() -> None:
    kind = StreamType(dtype=unsigned(3), shape=(4,), lanes=2)
    stages = tuple(
        Fifo(name=f"f{i}", inputs=(f"x{i}",), outputs=(f"y{i}",), type=kind, depth=2)
        for i in range(2)
    )
    net = Dataflow(name="two", inputs={"x0": kind, "x1": kind}, outputs=("y0", "y1"), stages=stages)
    x = kind.dtype.random((3, 4), np.random.default_rng(0))
    values = net.execute(x, 7 - x)
    assert values["y1"].tolist() == (7 - x).tolist()


def test_width_and_argmax_compute_what_they_say() -> None:
    kind = StreamType(dtype=unsigned(3), shape=(4,), lanes=4)
    width = Width(name="w", inputs=("x",), outputs=("y",), type=kind, lanes=1)
    assert width.output_types[0].beats == 4
    argmax = Argmax(name="m", inputs=("x",), outputs=("y",), classes=4, input_dtype=unsigned(3))
    assert argmax.execute(np.array([[1, 7, 7, 0], [0, 0, 0, 0]]))[0].tolist() == [[1], [0]]
