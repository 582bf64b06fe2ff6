"""Boards: constraints, baud rates, bytes of images, the top level."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from popshift.flows.boards import BoardError, Pin, all_boards, find_board
from popshift.flows.boards.lpf import lpf
from popshift.flows.boards.top import top_level
from popshift.flows.boards.uart import (
    clocks_per_bit,
    fifo_bytes,
    from_uart_bytes,
    image_bytes,
    to_uart_bytes,
)
from popshift.flows.tools import find_tool
from popshift.hw.dtypes import BIPOLAR, DataType, signed, unsigned
from popshift.hw.graph import StreamType

RTL = Path(__file__).parents[2] / "hw" / "rtl"
BOARD = find_board("ulx3s-85f")
STUB = """
module stub(input logic clk, rst, input logic [{i}:0] s_axis_tdata, input logic s_axis_tvalid,
  output logic s_axis_tready, output logic [{o}:0] m_axis_tdata, output logic m_axis_tvalid,
  input logic m_axis_tready);
  logic unused;
  assign unused = &{{clk, rst, s_axis_tdata, 1'b0}};
  assign m_axis_tdata = '0;
  assign m_axis_tvalid = s_axis_tvalid;
  assign s_axis_tready = m_axis_tready;
endmodule
"""


def test_the_three_sizes_of_the_ulx3s_differ_in_the_device_only() -> None:
    boards = [find_board(f"ulx3s-{size}") for size in ("85f", "25f", "12f")]
    assert [board.device for board in boards] == ["LFE5U-85F", "LFE5U-25F", "LFE5U-12F"]
    assert [board.device_flag for board in boards] == ["--85k", "--25k", "--12k"]
    assert len({lpf(board, 25.0) for board in boards}) == 1
    assert boards[0].lut > boards[1].lut > boards[2].lut
    assert boards[0].bram > boards[1].bram > boards[2].bram


def test_every_file_of_boards_is_found() -> None:
    assert set(all_boards()) >= {"ulx3s-85f", "ulx3s-25f", "ulx3s-12f"}
    assert all(board.name == name for name, board in all_boards().items())


def test_an_unknown_board_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BoardError, match=r"'ulx4s' is unknown.*ulx3s-85f"):
        find_board("ulx4s")


def test_two_ports_cannot_share_a_pin() -> None:
    with pytest.raises(BoardError, match=r"ulx3s-85f: two ports share the pin M1"):
        replace(BOARD, txd=Pin(site="M1"))


@pytest.mark.parametrize("count", [1, 9])
def test_a_board_has_two_to_eight_leds(count: int) -> None:
    leds = tuple(Pin(site=f"A{i}") for i in range(count))
    with pytest.raises(BoardError, match=f"leds must be 2 to 8 pins, got {count}"):
        replace(BOARD, leds=leds)


def test_constraints_place_every_port_and_time_the_clock() -> None:
    text = lpf(BOARD, 62.5)
    assert 'FREQUENCY PORT "clk" 62.5 MHZ;' in text
    for port, site in (
        ("clk", "G2"),
        ("uart_rxd", "M1"),  # ftdi_txd, on which the FTDI chip transmits
        ("uart_txd", "L4"),
        ("button", "R1"),
        ("led[0]", "B2"),
        ("led[7]", "H3"),
        ("wifi_gpio0", "L2"),
    ):
        assert f'LOCATE COMP "{port}" SITE "{site}";' in text
        assert f'IOBUF PORT "{port}" ' in text
    assert 'IOBUF PORT "uart_rxd" PULLMODE=UP IO_TYPE=LVCMOS33;' in text
    assert 'IOBUF PORT "button" PULLMODE=DOWN IO_TYPE=LVCMOS33;' in text
    assert text.count("LOCATE") == text.count("IOBUF") == 13


@pytest.mark.parametrize(
    ("baud", "cycles"), [(1_000_000, 25), (115_200, 217), (6_250_000, 4), (300, 83333)]
)
def test_a_baud_rate_becomes_clock_cycles(baud: int, cycles: int) -> None:
    assert clocks_per_bit(BOARD, baud) == cycles


def test_the_largest_error_of_a_baud_rate_is_two_percent() -> None:
    for clock_mhz in (9.81, 10.19):
        assert clocks_per_bit(replace(BOARD, clock_mhz=clock_mhz), 1_000_000) == 10
    for clock_mhz, error in ((9.79, r"-2\.1%"), (10.21, r"\+2\.1%")):
        with pytest.raises(BoardError, match=f"10 cycles a bit are {error} off"):
            clocks_per_bit(replace(BOARD, clock_mhz=clock_mhz), 1_000_000)
    with pytest.raises(BoardError, match=r"baud=3000000 .* \+4\.2% off; use 3125000"):
        clocks_per_bit(BOARD, 3_000_000)
    assert clocks_per_bit(BOARD, 3_125_000) == 8


@pytest.mark.parametrize(("baud", "rule"), [(0, "at least 1"), (12_000_000, "use 6250000 or less")])
def test_an_impossible_baud_rate_is_refused(baud: int, rule: str) -> None:
    with pytest.raises(BoardError, match=rule):
        clocks_per_bit(BOARD, baud)


@pytest.mark.parametrize(
    ("dtype", "values", "octets"),
    [
        (unsigned(8), [0, 255], [0, 255]),
        (BIPOLAR, [-1, 1], [0, 1]),
        (signed(4), [-8, 7], [8, 7]),
        (unsigned(12), [0xABC, 0xFFF], [0xBC, 0x0A, 0xFF, 0x0F]),
        (signed(17), [-65536, 65535], [0, 0, 1, 255, 255, 0]),
    ],
)
def test_elements_travel_as_little_endian_codes(
    dtype: DataType, values: list[int], octets: list[int]
) -> None:
    stream = StreamType(dtype=dtype, shape=(1, 2), lanes=1)
    sent = to_uart_bytes(np.array([[values]]), stream)
    assert sent.tolist() == [octets]
    assert image_bytes(stream) == len(octets)
    assert from_uart_bytes(sent, stream).tolist() == [[values]]


@pytest.mark.parametrize(
    ("elements", "depth"), [(64, 2048), (1024, 2048), (1025, 4096), (3072, 8192), (150_528, 16384)]
)
def test_the_buffer_holds_two_images_within_limits(elements: int, depth: int) -> None:
    assert fifo_bytes(StreamType(dtype=unsigned(8), shape=(elements,), lanes=1)) == depth


@pytest.mark.parametrize("name", list(all_boards()))
@pytest.mark.parametrize(
    ("source", "sink"),
    [
        (StreamType(dtype=unsigned(5), shape=(64,), lanes=4), unsigned(4)),
        (StreamType(dtype=BIPOLAR, shape=(64,), lanes=1), signed(20)),
    ],
)
def test_the_top_level_is_clean(
    name: str, source: StreamType, sink: DataType, tmp_path: Path
) -> None:
    answer = StreamType(dtype=sink, shape=(1,), lanes=1)
    board = find_board(name)
    top = tmp_path / f"{board.top}.sv"
    top.write_text(top_level(board, "stub", source, answer))
    (tmp_path / "stub.sv").write_text(STUB.format(i=source.width_bits - 1, o=sink.bits - 1))
    tool = find_tool("verilator")
    command = [*tool.command, "--lint-only", "-Wall", f"-I{RTL}", f"-I{tmp_path}", str(top)]
    done = subprocess.run(
        [*command, "--quiet-stats"],
        env={**os.environ, **tool.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_board_with_fewer_leds_keeps_the_errors_visible() -> None:
    stream = StreamType(dtype=unsigned(8), shape=(1,), lanes=1)
    text = top_level(replace(BOARD, leds=BOARD.leds[:2]), "stub", stream, stream)
    assert "output logic [1:0] led" in text
    assert "assign led = 2'({answer, !uart_txd, !uart_rxd, frame_error, overrun});" in text
