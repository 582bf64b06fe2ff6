"""The serial line: receiver, transmitter, buffer, bridge and reset, cycle by cycle on their pins.

Each module is wrapped so that its ports are the pins of a board; every check takes the folder of
the modules, so that the same checks must fail on modules with a planted mistake.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from popshift.flows.boards import find_board
from popshift.flows.boards.top import TOP_SOURCES, top_level
from popshift.flows.boards.uart import from_uart_bytes, image_bytes, to_uart_bytes
from popshift.flows.synth.netlist import FRAME_ERROR_LED, OVERRUN_LED, BoardModel, compile_board
from popshift.flows.tools import BuildError
from popshift.hw.dtypes import BIPOLAR, DataType, signed, unsigned
from popshift.hw.errors import SimulationError
from popshift.hw.graph import StreamType

RTL = Path(__file__).parents[2] / "hw" / "rtl"
CLOCKS = 9  # odd, so that the middle of a bit is not a matter of luck
EVERY_BYTE = np.arange(256, dtype=np.uint8)

Waveform = NDArray[np.uint8]
Check = Callable[[Path, Path], None]

PROBE = """
module probe(input logic clk, uart_rxd, button, output logic uart_txd, output logic [15:0] led);
  logic rst;
  {body}
endmodule
"""
RECEIVER = f"""
  logic [7:0] data; logic valid, wrong;
  assign rst = button;
  uart_rx #(.CLOCKS_PER_BIT({CLOCKS})) dut(.clk, .rst, .rxd(uart_rxd),
    .m_axis_tdata(data), .m_axis_tvalid(valid), .frame_error(wrong));
  assign uart_txd = 1'b1;
  assign led = {{6'd0, wrong, valid, data}};
"""
TRANSMITTER = f"""
  logic ready; logic [7:0] next;
  assign rst = button;
  uart_tx #(.CLOCKS_PER_BIT({CLOCKS})) dut(.clk, .rst, .s_axis_tdata(next),
    .s_axis_tvalid(uart_rxd), .s_axis_tready(ready), .txd(uart_txd));
  always_ff @(posedge clk) if (rst) next <= 0; else if (uart_rxd && ready) next <= next + 1;
  assign led = {{15'd0, ready}};
"""
BUFFER = """
  logic in_ready, out_valid; logic [7:0] next, data;
  power_on_reset start(.clk, .button(1'b0), .rst);
  uart_fifo #(.DEPTH(4)) dut(.clk, .rst,
    .s_axis_tdata(next), .s_axis_tvalid(uart_rxd), .s_axis_tready(in_ready),
    .m_axis_tdata(data), .m_axis_tvalid(out_valid), .m_axis_tready(button));
  always_ff @(posedge clk) if (rst) next <= 0; else if (uart_rxd && in_ready) next <= next + 1;
  assign uart_txd = 1'b1;
  assign led = {6'd0, in_ready, out_valid, data};
"""
RESET = """
  power_on_reset #(.CYCLES(16)) dut(.clk, .button, .rst);
  assign uart_txd = 1'b1;
  assign led = {15'd0, rst};
"""


def probe(body: str, rtl: Path, folder: Path, *, seed: int = 1) -> BoardModel:
    """Return a board whose pins are the ports of one module."""
    folder.mkdir(parents=True, exist_ok=True)
    top = folder / "probe.sv"
    top.write_text(PROBE.replace("{body}", body))
    sources = [*(rtl / f"{name}.sv" for name in TOP_SOURCES), top]
    library = compile_board(sources, "probe", folder, optimise="-O0")
    return BoardModel(library, folder, clocks_per_bit=CLOCKS, seed=seed)


def frame(byte: int, *, stop: int = 1) -> list[int]:
    """Return the ten levels of a frame."""
    return [0, *((byte >> i) & 1 for i in range(8)), stop]


def line(levels: list[int], clocks: float = CLOCKS) -> Waveform:
    """Return the waveform of levels that last ``clocks`` cycles each, not necessarily a whole."""
    ends = np.round(np.arange(1, len(levels) + 1) * clocks).astype(int)
    return np.repeat(np.array(levels, np.uint8), np.diff(ends, prepend=0))


def received(leds: NDArray[np.uint32]) -> tuple[list[int], list[int], int]:
    """Return bytes, their cycles, and the number of frame errors that a receiver reported."""
    (cycles,) = np.nonzero(leds & 0x100)
    return (leds[cycles] & 0xFF).tolist(), cycles.tolist(), int((leds & 0x200 > 0).sum())


def idle(bits: int = 12) -> Waveform:
    return np.ones(bits * CLOCKS, np.uint8)


def check_receiver(rtl: Path, folder: Path) -> None:
    latency = 9 * CLOCKS + CLOCKS // 2 + 3
    with probe(RECEIVER, rtl, folder) as board:
        board.idle(4, is_button_pressed=True)
        # The waveform's first level is sampled at the first clock edge: index i is cycle i + 1.
        for byte in (0x00, 0xFF, 0x01, 0x80, 0x55):
            _, leds = board.drive(np.concatenate([line(frame(byte)), idle()]))
            assert received(leds) == ([byte], [latency - 1], 0)

        for skew in (0.96, 1.0, 1.04):
            levels = [bit for byte in EVERY_BYTE for bit in frame(int(byte))]
            _, leds = board.drive(np.concatenate([line(levels, CLOCKS * skew), idle()]))
            assert received(leds)[0] == EVERY_BYTE.tolist()
            assert received(leds)[2] == 0

        half = CLOCKS // 2
        for low, answer in ((1, []), (half, []), (half + 1, [0xFF])):
            _, leds = board.drive(np.concatenate([np.zeros(low, np.uint8), idle()]))
            assert received(leds)[::2] == (answer, 0)

        wrong = line([*frame(0xA5, stop=0), 1, *frame(0x3C)])
        _, leds = board.drive(np.concatenate([wrong, idle()]))
        assert received(leds)[::2] == ([0x3C], 1)

        held_low = np.zeros(35 * CLOCKS, np.uint8)
        _, leds = board.drive(np.concatenate([held_low, idle(2), line(frame(0x3C)), idle()]))
        assert received(leds)[::2] == ([0x3C], 1)

        # Reset in the middle of a frame: what follows must not be taken for its rest.
        cut = np.concatenate([line(frame(0x00))[: 4 * CLOCKS], idle(2), line(frame(0x96)), idle()])
        button = np.zeros_like(cut)
        button[4 * CLOCKS - 3 : 4 * CLOCKS] = 1
        _, leds = board.drive(cut, button)
        assert received(leds)[::2] == ([0x96], 0)


def check_transmitter(rtl: Path, folder: Path) -> None:
    with probe(TRANSMITTER, rtl, folder) as board:
        board.idle(4, is_button_pressed=True)
        frames = [line(frame(byte)) for byte in (*range(256), 0)]
        valid = np.zeros(257 * 10 * CLOCKS + 20, np.uint8)
        valid[3:-20] = 1
        txd, leds = board.drive(valid)
        # Accepted at the clock edge of index 3; the start bit is on the line after that edge.
        expected = np.concatenate([np.ones(3), *frames, np.ones(17)]).astype(np.uint8)
        np.testing.assert_array_equal(txd, expected)
        busy = np.arange(len(leds))
        assert (np.diff(busy[(leds & 1) == 1][3:-20]) == 10 * CLOCKS).all()

        # One byte, a pause of one cycle more than a frame, another byte.
        valid = np.zeros(40 * CLOCKS, np.uint8)
        valid[[0, 10 * CLOCKS + 1]] = 1
        txd, _ = board.drive(valid)
        pause = np.ones(1, np.uint8)
        expected = np.concatenate([line(frame(1)), pause, line(frame(2)), idle(20)])
        np.testing.assert_array_equal(txd, expected[: len(txd)])

        valid[:] = 1
        button = np.zeros_like(valid)
        button[2 * CLOCKS :] = 1
        txd, _ = board.drive(valid, button)
        assert txd[2 * CLOCKS - 1] == 1  # bit 0 of 3
        assert (txd[2 * CLOCKS :] == 1).all()
        valid[:] = 0
        txd, _ = board.drive(valid)
        assert (txd == 1).all()


def check_buffer(rtl: Path, folder: Path) -> None:
    with probe(BUFFER, rtl, folder) as board:
        rng = np.random.default_rng(1)
        # Long stretches of a fast and of a slow reader: empty and full both happen.
        rates = np.repeat(rng.choice([0.0, 0.1, 0.5, 0.9, 1.0], size=(2, 200)), 20, axis=1)
        valid, ready = (rng.random(rates.shape) < rates).astype(np.uint8)
        _, leds = board.drive(valid, ready)
        # The line was idle, so 1, since reset: five bytes have been written, none taken.
        stored = deque([1, 2, 3, 4])
        waiting = deque([0])
        sent = 5
        for i in range(len(valid)):
            in_ready = len(stored) < 4
            take = ready[i] and bool(waiting)
            fetch = bool(stored) and (not waiting or take)
            store = valid[i] and in_ready
            if take:
                waiting.popleft()
            if fetch:
                waiting.append(stored.popleft())
            if store:
                stored.append(sent % 256)
                sent += 1
            assert (leds[i] >> 9) & 1 == (len(stored) < 4), i
            assert (leds[i] >> 8) & 1 == bool(waiting), i
            if waiting:
                assert leds[i] & 0xFF == waiting[0], i
        assert sent > 256


def check_reset(rtl: Path, folder: Path) -> None:
    with probe(RESET, rtl, folder) as board:
        assert board.leds == 0
        pressed = np.zeros(60, np.uint8)
        pressed[10:20] = 1
        _, leds = board.drive(np.ones_like(pressed), pressed)
        # Two flip-flops and the shift register: three edges after it is pressed; released, the
        # first edge that sees the button up is index 20 + 2, and 16 must pass.
        assert np.nonzero(leds & 1)[0].tolist() == list(range(12, 20 + 2 + 15))


LOOPBACK = """
module loopback(input logic clk, rst, input logic [{width}-1:0] s_axis_tdata,
  input logic s_axis_tvalid, output logic s_axis_tready,
  output logic [{width}-1:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready);
  assign m_axis_tdata = s_axis_tdata;
  assign m_axis_tvalid = s_axis_tvalid && {is_open} && !rst;
  assign s_axis_tready = m_axis_tready && {is_open};
  logic unused; assign unused = clk;
endmodule
"""


def loopback(
    stream: StreamType, rtl: Path, folder: Path, *, is_open: bool = True, fifo: int = 2048
) -> BoardModel:
    """Return a board whose accelerator answers with its input, or takes nothing if not open."""
    folder.mkdir(parents=True, exist_ok=True)
    text = top_level(find_board("ulx3s-85f"), "loopback", stream, stream, baud=25_000_000 // CLOCKS)
    text = text.replace(".FIFO_BYTES(2048)", f".FIFO_BYTES({fifo})")
    accelerator = folder / "loopback.sv"
    accelerator.write_text(
        LOOPBACK.replace("{width}", str(stream.width_bits)).replace("{is_open}", f"1'b{is_open:d}")
    )
    top = folder / "ulx3s_top.sv"
    top.write_text(text)
    sources = [*(rtl / f"{name}.sv" for name in TOP_SOURCES), accelerator, top]
    library = compile_board(sources, "ulx3s_top", folder, optimise="-O0")
    return BoardModel(library, folder, clocks_per_bit=CLOCKS, silence_cycles=5_000)


def both_ends(stream: StreamType, images: int) -> NDArray[np.int64]:
    """Return random images after one of the smallest and one of the largest integers."""
    dtype = stream.dtype
    rng = np.random.default_rng(2)
    if dtype == BIPOLAR:
        values = 2 * rng.integers(0, 2, (images, *stream.shape)) - 1
    else:
        values = rng.integers(dtype.min, dtype.max, (images, *stream.shape), endpoint=True)
    values[0], values[1] = dtype.min, dtype.max
    return values


def check_bridge(dtype: DataType, lanes: int, rtl: Path, folder: Path) -> None:
    stream = StreamType(dtype=dtype, shape=(2, 2 * lanes), lanes=lanes)
    images = both_ends(stream, 12)
    with loopback(stream, rtl, folder) as board:
        octets = board.run_uart(to_uart_bytes(images, stream), image_bytes(stream))
        np.testing.assert_array_equal(from_uart_bytes(octets, stream), images)
        np.testing.assert_array_equal(octets, to_uart_bytes(images, stream))


def check_overrun(rtl: Path, folder: Path) -> None:
    # Four bytes in memory, one at its output, two in the beat that nobody takes.
    stream = StreamType(dtype=unsigned(8), shape=(2,), lanes=2)
    room = 4 + 1 + 2
    with loopback(stream, rtl, folder, is_open=False, fifo=4) as board:
        assert board.leds & (OVERRUN_LED | FRAME_ERROR_LED) == 0
        for count in (room, room + 1):
            _, leds = board.drive(
                np.concatenate([line([bit for _ in range(count) for bit in frame(7)]), idle()])
            )
            assert (leds[-1] & OVERRUN_LED != 0) == (count > room)
            assert leds[-1] & FRAME_ERROR_LED == 0
            board.idle(1000)
            assert (board.leds & OVERRUN_LED != 0) == (count > room)
            board.press_reset()
            assert board.leds & OVERRUN_LED == 0
        _, leds = board.drive(np.concatenate([line(frame(7, stop=0)), idle()]))
        assert leds[-1] & FRAME_ERROR_LED
        board.idle(1000)
        assert board.leds & FRAME_ERROR_LED
        board.press_reset()
        assert board.leds & FRAME_ERROR_LED == 0


def check_wide_bridge(rtl: Path, folder: Path) -> None:
    check_bridge(signed(12), 3, rtl, folder)


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
