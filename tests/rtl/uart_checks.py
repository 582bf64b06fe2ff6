"""What each module of the serial line must do, cycle by cycle on the pins of a board.

Every check takes the folder of the modules and raises AssertionError where one does something else.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from popshift.flows.boards import find_board
from popshift.flows.boards.top import TOP_SOURCES, top_level
from popshift.flows.boards.uart import from_uart_bytes, image_bytes, to_uart_bytes
from popshift.flows.synth.netlist import FRAME_ERROR_LED, OVERRUN_LED, BoardModel, compile_board
from popshift.hw.dtypes import BIPOLAR, DataType, signed, unsigned
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
