"""The clock simulator against cycle counts worked out by hand, and its errors.

That it equals the RTL on every beat is shown by the conformance suite.
"""

from __future__ import annotations

import numpy as np
import pytest

from popshift.hw.dtypes import unsigned
from popshift.hw.errors import SimulationError
from popshift.hw.graph import Dataflow, Stage, StreamType
from popshift.hw.schedule import Pipe, Thread, table
from popshift.hw.sim.clock import simulate
from popshift.hw.stages import Fifo, Width

from .networks import small_network


def chain(*stages: Stage) -> Dataflow:
    return Dataflow(
        name="chain",
        inputs={"x": stages[0].input_types[0]},
        outputs=(stages[-1].outputs[0],),
        stages=stages,
    )


def fifo(depth: int, beats: int = 4) -> Dataflow:
    kind = StreamType(dtype=unsigned(2), shape=(beats,), lanes=1)
    return chain(Fifo(name="f", inputs=("x",), outputs=("y",), type=kind, depth=depth))


def test_a_fifo_of_two_passes_a_beat_a_cycle() -> None:
    trace = simulate(fifo(2), images=1)
    assert trace.cycles["x"].tolist() == [0, 1, 2, 3]
    assert trace.cycles["y"].tolist() == [1, 2, 3, 4]
    assert trace.total_cycles == 5


def test_a_fifo_of_one_passes_a_beat_every_second_cycle() -> None:
    trace = simulate(fifo(1), images=1)
    assert trace.cycles["x"].tolist() == [0, 2, 4, 6]
    assert trace.cycles["y"].tolist() == [1, 3, 5, 7]


def test_a_large_fifo_is_in_block_ram_and_takes_four_cycles() -> None:
    kind = StreamType(dtype=unsigned(8), shape=(4 * 64,), lanes=4)
    stage = Fifo(name="f", inputs=("x",), outputs=("y",), type=kind, depth=64)
    assert stage.is_block_ram
    assert not stage.with_(depth=32).is_block_ram
    trace = simulate(chain(stage), images=1)
    assert trace.cycles["x"].tolist() == list(range(64))
    assert trace.cycles["y"].tolist() == list(range(4, 68))


def test_gaps_delay_beats_and_repeat() -> None:
    trace = simulate(fifo(2), images=1, gaps={"x": [2, 0, 1]})
    assert trace.cycles["x"].tolist() == [2, 3, 5, 8]


def test_a_stalled_sink_fills_the_fifo() -> None:
    trace = simulate(fifo(2), images=1, ready={"y": [0, 0, 0, 0, 1]})
    assert trace.cycles["y"].tolist() == [4, 9, 14, 19]
    assert trace.cycles["x"].tolist() == [0, 1, 5, 10]


def test_a_widening_converter_takes_one_beat_a_cycle() -> None:
    kind = StreamType(dtype=unsigned(2), shape=(6,), lanes=1)
    net = chain(Width(name="w", inputs=("x",), outputs=("y",), type=kind, lanes=3))
    trace = simulate(net, images=1)
    assert trace.cycles["x"].tolist() == [0, 1, 2, 3, 4, 5]
    assert trace.cycles["y"].tolist() == [3, 6]


def test_a_matvec_reads_once_and_yields_a_beat_per_neuron_fold() -> None:
    net = small_network()
    trace = simulate(net, images=1)
    assert trace.cycles["x"].tolist() == [0, 1, 2, 3]
    assert trace.cycles["a"].tolist() == [9, 13, 17, 21]


def test_no_images_move_no_beats() -> None:
    assert simulate(small_network(), images=0).total_cycles == 0


def test_every_image_takes_the_interval_of_the_slowest_stage() -> None:
    ends = simulate(small_network(), images=10).cycles["y"]
    assert set(np.diff(ends)[4:].tolist()) == {16}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": -1}, "images=-1 must be >= 0"),
        ({"images": 1, "gaps": {"y": [1]}}, "gaps: 'y' is none of"),
        ({"images": 1, "gaps": {"x": []}}, "must hold integers >= 0"),
        ({"images": 1, "ready": {"y": [0, 0]}}, "at least one 1"),
        ({"images": 1, "max_cycles": 3}, "max_cycles=3 passed; incomplete streams: x"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        simulate(fifo(2), **arguments)  # type: ignore[arg-type]


def test_a_deadlock_names_the_waiting_streams() -> None:
    class Greedy(Fifo):
        """Needs a third beat before it lets the first go, but holds only one image of two."""

        def schedule(self):  # type: ignore[no-untyped-def]
            thread = Thread(
                consumes={"s_axis": table(3, slice(None))}, produces={"m_axis": table(3, -1)}
            )
            return (
                super()
                .schedule()
                .__class__(threads=(thread,), pipes={"m_axis": Pipe(latency=1, capacity=1)})
            )

    kind = StreamType(dtype=unsigned(2), shape=(2,), lanes=1)
    net = chain(Greedy(name="f", inputs=("x",), outputs=("y",), type=kind, depth=1))
    with pytest.raises(
        SimulationError, match=r"deadlock at cycle \d+; incomplete streams: y \(0 of 2"
    ):
        simulate(net, images=1)


def test_pipes_and_threads_refuse_nonsense() -> None:
    with pytest.raises(ValueError, match="must be >= 1"):
        Pipe(latency=0, capacity=1)
    with pytest.raises(ValueError, match="one length"):
        Thread(consumes={"s_axis": table(2, 0)}, produces={"m_axis": table(3, 0)})
