"""The serial line: receiver, transmitter, buffer, bridge and reset, cycle by cycle on their pins.

Each module is wrapped so that its ports are the pins of a board; every check takes the folder of
the modules, so that the same checks must fail on modules with a planted mistake.
"""

from pathlib import Path

import numpy as np
import pytest

from popshift.flows.boards.top import TOP_SOURCES
from popshift.flows.synth.netlist import compile_board
from popshift.flows.tools import BuildError
from popshift.hw.dtypes import BIPOLAR, DataType, signed, unsigned
from popshift.hw.errors import SimulationError
from popshift.hw.graph import StreamType

from .uart_checks import (
    CLOCKS,
    RECEIVER,
    RTL,
    Check,
    check_bridge,
    check_buffer,
    check_overrun,
    check_receiver,
    check_reset,
    check_transmitter,
    check_wide_bridge,
    frame,
    idle,
    line,
    loopback,
    probe,
    received,
)


@pytest.mark.parametrize(
    "check", [check_receiver, check_transmitter, check_buffer, check_reset, check_overrun]
)
def test_the_module_does_what_its_header_says(check: Check, tmp_path: Path) -> None:
    check(RTL, tmp_path)


@pytest.mark.parametrize(
    ("dtype", "lanes"),
    [
        (unsigned(8), 1),
        (BIPOLAR, 1),
        (BIPOLAR, 5),
        (unsigned(5), 4),
        (signed(12), 3),
        (signed(16), 2),
        (unsigned(17), 1),
    ],
)
def test_the_bridge_carries_elements_of(dtype: DataType, lanes: int, tmp_path: Path) -> None:
    check_bridge(dtype, lanes, RTL, tmp_path)


def test_the_bridge_ignores_bits_above_the_element(tmp_path: Path) -> None:
    stream = StreamType(dtype=unsigned(5), shape=(2,), lanes=2)
    with loopback(stream, RTL, tmp_path) as board:
        answers = board.run_uart(np.array([[0xE0, 0xFF], [0x3F, 0x40]], np.uint8), 2)
        assert answers.tolist() == [[0x00, 0x1F], [0x1F, 0x00]]


def test_the_leds_show_the_low_bits_of_the_last_answer(tmp_path: Path) -> None:
    stream = StreamType(dtype=unsigned(8), shape=(1,), lanes=1)
    with loopback(stream, RTL, tmp_path) as board:
        for value in (0x0F, 0xF0, 0x36):
            board.run_uart(np.array([[value]], np.uint8), 1)
            board.idle(20 * CLOCKS)
            assert board.leds == (value & 15) << 4


def test_run_uart_says_that_the_board_fell_silent(tmp_path: Path) -> None:
    stream = StreamType(dtype=unsigned(8), shape=(1,), lanes=1)
    with (
        loopback(stream, RTL, tmp_path, is_open=False) as board,
        pytest.raises(SimulationError, match=r"0 of 3 bytes.*overrun LED off"),
    ):
        board.run_uart(np.zeros((3, 1), np.uint8), 1)


@pytest.mark.parametrize("seed", [2, 3])
def test_no_answer_depends_on_what_memories_hold_at_power_on(seed: int, tmp_path: Path) -> None:
    with probe(RECEIVER, RTL, tmp_path, seed=seed) as board:
        board.idle(4, is_button_pressed=True)
        _, leds = board.drive(np.concatenate([idle(), line(frame(0xC3)), idle()]))
        assert received(leds)[::2] == ([0xC3], 0)


@pytest.mark.parametrize(
    ("module", "parameter"),
    [
        ("uart_rx", "CLOCKS_PER_BIT=3"),
        ("uart_tx", "CLOCKS_PER_BIT=3"),
        ("uart_fifo", "DEPTH=6"),
        ("power_on_reset", "CYCLES=1"),
        ("uart_bridge", "IN_BITS=0"),
    ],
)
def test_an_illegal_parameter_stops_elaboration(
    module: str, parameter: str, tmp_path: Path
) -> None:
    sources = [RTL / f"{name}.sv" for name in TOP_SOURCES]
    with pytest.raises(BuildError, match=f"verilator failed.*{module}"):
        compile_board(sources, module, tmp_path, f"-G{parameter}")


MUTANTS: list[tuple[str, str, str, Check]] = [
    # Receiver: sample point, bit order, stop bit, start bit, edge, reset, synchronizer.
    ("uart_rx", "CLOCKS_PER_BIT / 2 - 1", "CLOCKS_PER_BIT - 1", check_receiver),
    ("uart_rx", "CLOCKS_PER_BIT / 2 - 1", "0", check_receiver),
    ("uart_rx", "{level, m_axis_tdata[7:1]}", "{m_axis_tdata[6:0], level}", check_receiver),
    ("uart_rx", "position == STOP && level;", "position == STOP;", check_receiver),
    ("uart_rx", "position == STOP && !level;", "1'b0;", check_receiver),
    ("uart_rx", "position == START ? !level : ", "", check_receiver),
    ("uart_rx", "previous && !level", "!level", check_receiver),
    ("uart_rx", "    if (rst) begin", "    if (1'b0) begin", check_receiver),
    ("uart_rx", "level  = synchronizer[1]", "level  = synchronizer[0]", check_receiver),
    ("uart_rx", "STOP  = 4'd9", "STOP  = 4'd8", check_receiver),
    # Transmitter: bit order, bit length, number of bits, gap, data held, reset.
    ("uart_tx", "{1'b1, frame[8:1]}", "{frame[7:0], 1'b1}", check_transmitter),
    ("uart_tx", "COUNT_W'(CLOCKS_PER_BIT - 1)", "COUNT_W'(CLOCKS_PER_BIT - 2)", check_transmitter),
    ("uart_tx", "left  <= 4'd10", "left  <= 4'd9", check_transmitter),
    ("uart_tx", " || (left == 4'd1 && bit_ends)", "", check_transmitter),
    ("uart_tx", "{s_axis_tdata, 1'b0}", "{s_axis_tdata, 1'b1}", check_transmitter),
    ("uart_tx", "    if (rst) begin", "    if (1'b0) begin", check_transmitter),
    # Buffer: full, empty, output held, order.
    ("uart_fifo", "(write_pointer ^ read_pointer) != {1'b1, {ADDR_W{1'b0}}}", "1'b1", check_buffer),
    ("uart_fifo", "(!m_axis_tvalid || m_axis_tready)", "1'b1", check_buffer),
    ("uart_fifo", "(m_axis_tvalid && !m_axis_tready)", "1'b0", check_buffer),
    ("uart_fifo", "write_pointer != read_pointer && ", "", check_buffer),
    # Bridge: byte order both ways, sticky bits, lanes.
    ("uart_bridge", "{stored_tdata, gathered} >> 8", "{gathered, stored_tdata}", check_wide_bridge),
    ("uart_bridge", "waiting <= waiting >> 8", "waiting <= waiting << 8", check_wide_bridge),
    ("uart_bridge", "gathered[lane*8*IN_BYTES", "gathered[lane*IN_BITS", check_wide_bridge),
    ("uart_bridge", "missing != '0;", "1'b1;", check_overrun),
    ("uart_bridge", "overrun || (received", "(received", check_overrun),
    ("uart_bridge", "(received_tvalid && !received_tready)", "1'b0", check_overrun),
    ("uart_bridge", "frame_error || received_wrong", "received_wrong", check_overrun),
    # Reset: length, button.
    ("power_on_reset", "released[CYCLES-1];", "released[CYCLES-2];", check_reset),
    ("power_on_reset", "synchronizer[1] ? '0 : ", "", check_reset),
]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "old", "new", "check"), MUTANTS)
def test_a_planted_mistake_is_noticed(
    module: str, old: str, new: str, check: Check, tmp_path: Path
) -> None:
    rtl = tmp_path / "rtl"
    rtl.mkdir()
    for name in TOP_SOURCES:
        (rtl / f"{name}.sv").write_text((RTL / f"{name}.sv").read_text())
    text = (rtl / f"{module}.sv").read_text()
    assert old in text
    (rtl / f"{module}.sv").write_text(text.replace(old, new))
    with pytest.raises((AssertionError, SimulationError)):
        check(rtl, tmp_path / "build")
