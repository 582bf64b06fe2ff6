"""Synthesis for real: a small accelerator becomes a bitstream, its netlist answers like its RTL."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from popshift.flows.boards import Board, BoardError, find_board
from popshift.flows.boards.uart import from_uart_bytes, to_uart_bytes
from popshift.flows.synth import (
    BoardModel,
    SynthResult,
    fit,
    netlist_model,
    rtl_model,
    synthesize,
)
from popshift.flows.synth.ecp5 import Utilization, read_report, shortage
from popshift.flows.synth.netlist import compile_board
from popshift.flows.synth.plan import ecp5_plan
from popshift.flows.tools import BuildError
from popshift.hw.dtypes import unsigned
from popshift.hw.graph import StreamType

BOARD = find_board("ulx3s-85f")
SMALL = find_board("ulx3s-12f")
BYTES = StreamType(dtype=unsigned(8), shape=(4,), lanes=1)
SUM = StreamType(dtype=unsigned(12), shape=(1,), lanes=1)

LOOKUP_SUM = """
module lookup_sum(input logic clk, rst, input logic [7:0] s_axis_tdata, input logic s_axis_tvalid,
  output logic s_axis_tready, output logic [11:0] m_axis_tdata, output logic m_axis_tvalid,
  input logic m_axis_tready);
  (* ram_style = "block" *) logic [8:0] memory [1024];
  initial $readmemh("table.hex", memory);
  logic [8:0] value;
  logic       is_value;
  logic [1:0] position;
  assign s_axis_tready = !m_axis_tvalid && !is_value;
  always_ff @(posedge clk) value <= memory[{position, s_axis_tdata}];
  always_ff @(posedge clk) begin
    is_value <= !rst && s_axis_tvalid && s_axis_tready;
    if (is_value) m_axis_tdata <= 12'(value) + (position == 0 ? 12'd0 : m_axis_tdata);
    position <= rst ? 2'd0 : position + 2'(is_value);
    m_axis_tvalid <= !rst && ((is_value && position == 3) || (m_axis_tvalid && !m_axis_tready));
  end
endmodule
"""

PRODUCT = """
module product(input logic clk, rst, input logic [35:0] s_axis_tdata, input logic s_axis_tvalid,
  output logic s_axis_tready, output logic [35:0] m_axis_tdata, output logic m_axis_tvalid,
  input logic m_axis_tready);
  assign s_axis_tready = !m_axis_tvalid;
  always_ff @(posedge clk) begin
    if (s_axis_tready) m_axis_tdata <= s_axis_tdata[17:0] * s_axis_tdata[35:18];
    m_axis_tvalid <= !rst && (s_axis_tvalid || (m_axis_tvalid && !m_axis_tready));
  end
endmodule
"""

# One memory of every width that a block RAM has, read and written at the same address.
MEMORY_WIDTHS = (1, 2, 4, 9, 18, 36)
MEMORIES = """
module memories(input logic clk, rst, input logic [31:0] s_axis_tdata, input logic s_axis_tvalid,
  output logic s_axis_tready, output logic [69:0] m_axis_tdata, output logic m_axis_tvalid,
  input logic m_axis_tready);
  logic is_read, is_write;
  assign s_axis_tready = !is_read && !is_write && !m_axis_tvalid;
  always_ff @(posedge clk) begin
    is_read <= !rst && s_axis_tvalid && s_axis_tready;
    is_write <= is_read && !rst;
    m_axis_tvalid <= !rst && (is_write || (m_axis_tvalid && !m_axis_tready));
  end
  logic [31:0] request;
  always_ff @(posedge clk) if (s_axis_tready) request <= s_axis_tdata;
  memory #(.WIDTH(1), .FILE("memory1.hex")) m1(.clk, .is_read, .is_write, .request,
    .value(m_axis_tdata[0]));
  memory #(.WIDTH(2), .FILE("memory2.hex")) m2(.clk, .is_read, .is_write, .request,
    .value(m_axis_tdata[2:1]));
  memory #(.WIDTH(4), .FILE("memory4.hex")) m4(.clk, .is_read, .is_write, .request,
    .value(m_axis_tdata[6:3]));
  memory #(.WIDTH(9), .FILE("memory9.hex")) m9(.clk, .is_read, .is_write, .request,
    .value(m_axis_tdata[15:7]));
  memory #(.WIDTH(18), .FILE("memory18.hex")) m18(.clk, .is_read, .is_write, .request,
    .value(m_axis_tdata[33:16]));
  memory #(.WIDTH(36), .FILE("memory36.hex")) m36(.clk, .is_read, .is_write, .request,
    .value(m_axis_tdata[69:34]));
endmodule

module memory #(parameter int WIDTH = 1, parameter FILE = "") (input logic clk, is_read, is_write,
  input logic [31:0] request, output logic [WIDTH-1:0] value);
  localparam int DEPTH = WIDTH < 9 ? 16384 / WIDTH : 16384 / (WIDTH / 9) / 8;
  localparam int ADDR_W = $clog2(DEPTH);
  (* ram_style = "block", no_rw_check *) logic [WIDTH-1:0] words [DEPTH];
  initial $readmemh(FILE, words);
  // Request: bit 31 write, bits 30..16 data (repeated), low bits address.
  logic [44:0] data;
  assign data = {3{request[30:16]}};
  always_ff @(posedge clk) begin
    if (is_read) value <= words[request[ADDR_W-1:0]];
    if (is_write && request[31]) words[request[ADDR_W-1:0]] <= data[WIDTH-1:0];
  end
endmodule
"""


def write_accelerator(folder: Path, name: str, text: str) -> Path:
    """Write a folder of RTL as the emitter does."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.sv").write_text(text)
    (folder / "sources.f").write_text(f"{name}.sv\n")
    return folder


def write_table(folder: Path, seed: int) -> NDArray[np.int64]:
    """Write the table of ``lookup_sum`` and return it."""
    table = np.random.default_rng(seed).integers(0, 512, 1024)
    table[0], table[-1] = 0, 511
    (folder / "table.hex").write_text("".join(f"{value:03x}\n" for value in table))
    return table


def lookup_sum(table: NDArray[np.int64], images: NDArray[np.int64]) -> NDArray[np.int64]:
    return table[images + 256 * np.arange(4)].sum(axis=1)


@pytest.fixture(scope="module")
def rtl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_accelerator(tmp_path_factory.mktemp("rtl"), "lookup_sum", LOOKUP_SUM)


@pytest.fixture(scope="module")
def table(rtl: Path) -> NDArray[np.int64]:
    return write_table(rtl, 1)


@pytest.fixture(scope="module")
def result(
    rtl: Path, table: NDArray[np.int64], tmp_path_factory: pytest.TempPathFactory
) -> SynthResult:
    return synthesize(rtl, "lookup_sum", BYTES, SUM, BOARD, tmp_path_factory.mktemp("synth"))


def test_the_bitstream_is_for_the_board(result: SynthResult) -> None:
    content = result.bitstream.read_bytes()
    assert b"Part: LFE5U-85F-6CABGA381" in content[:64]
    assert result.bitstream.name == "lookup_sum.bit"
    assert not list(result.bitstream.parent.glob("*.part"))
    assert re.fullmatch("[0-9a-f]{64}", result.sha256)
    assert list(result.seconds) == ["yosys", "nextpnr-ecp5", "ecppack"]


def test_the_result_tells_resources_and_frequency(result: SynthResult) -> None:
    assert result.used.dsp == 0
    assert result.used.bram == 2  # the table and the receive buffer
    assert 100 < result.used.lut < 300
    assert 100 < result.used.ff < 200
    assert result.used.fmax_mhz > result.clock_mhz == 25.0
    assert (result.clocks_per_bit, result.window, result.top) == (25, 512, "ulx3s_top")


def test_equal_inputs_give_an_equal_bitstream(
    rtl: Path, result: SynthResult, tmp_path: Path
) -> None:
    again = synthesize(rtl, "lookup_sum", BYTES, SUM, BOARD, tmp_path / "elsewhere")
    assert again.sha256 == result.sha256
    assert again.plan_digest == result.plan_digest


def test_the_netlist_fits_the_smallest_board(result: SynthResult) -> None:
    found = fit(result, SMALL)
    assert found.is_fit
    assert found.board == "ulx3s-12f"
    assert (found.used.lut, found.used.bram) == (result.used.lut, result.used.bram)


def test_a_netlist_cannot_be_fitted_on_another_kind_of_board(result: SynthResult) -> None:
    with pytest.raises(BoardError, match=r"other-1: needs other_top.*ulx3s_top"):
        fit(result, replace(SMALL, name="other-1"))


@pytest.mark.parametrize("model", [rtl_model, netlist_model])
def test_the_board_answers_what_the_table_says(
    model: Callable[[SynthResult, Path], BoardModel],
    result: SynthResult,
    table: NDArray[np.int64],
    tmp_path: Path,
) -> None:
    images = np.random.default_rng(2).integers(0, 256, (200, 4))
    images[0], images[1] = 0, 255
    with model(result, tmp_path) as board:
        octets = board.run_uart(to_uart_bytes(images, BYTES), 2)
    np.testing.assert_array_equal(from_uart_bytes(octets, SUM)[:, 0], lookup_sum(table, images))


def test_rtl_and_netlist_agree_in_every_cycle(result: SynthResult, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    # Frames, noise on the line and a reset in between, not only well-formed bytes.
    rxd = np.repeat(rng.integers(0, 2, 4000).astype(np.uint8), rng.integers(1, 60, 4000))
    button = np.zeros_like(rxd)
    button[len(rxd) // 2 : len(rxd) // 2 + 30] = 1
    with rtl_model(result, tmp_path / "rtl") as rtl, netlist_model(result, tmp_path / "net") as net:
        want, got = rtl.drive(rxd, button), net.drive(rxd, button)
    assert len(np.unique(want[1])) > 20
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])


def test_the_memory_image_is_in_the_netlist(rtl: Path, result: SynthResult, tmp_path: Path) -> None:
    folder = write_accelerator(tmp_path / "rtl", "lookup_sum", LOOKUP_SUM)
    other = write_table(folder, 99)
    changed = synthesize(folder, "lookup_sum", BYTES, SUM, BOARD, tmp_path / "synth")
    assert changed.sha256 != result.sha256
    images = np.random.default_rng(2).integers(0, 256, (20, 4))
    with netlist_model(changed, tmp_path / "net") as board:
        octets = board.run_uart(to_uart_bytes(images, BYTES), 2)
    np.testing.assert_array_equal(from_uart_bytes(octets, SUM)[:, 0], lookup_sum(other, images))


@pytest.mark.slow
def test_the_block_ram_model_reads_and_writes_every_width(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    folder = write_accelerator(tmp_path / "rtl", "memories", MEMORIES)
    for width in MEMORY_WIDTHS:
        depth = 16384 // width if width < 9 else 2048 * 9 // width
        words = rng.integers(0, 2**width, depth)
        text = "".join(f"{word:x}\n" for word in words)
        (folder / f"memory{width}.hex").write_text(text)
    request = StreamType(dtype=unsigned(8), shape=(4,), lanes=4)
    answer = StreamType(dtype=unsigned(7), shape=(10,), lanes=10)
    result = synthesize(folder, "memories", request, answer, BOARD, tmp_path / "synth")
    netlist = result.netlist.read_text()
    widths = {int(found) for found in re.findall(r"DATA_WIDTH_[AB]\(32'd(\d+)\)", netlist)}
    assert widths >= set(MEMORY_WIDTHS)
    # Each address twice in a row: what was there, and what was written.
    addresses = np.repeat(np.concatenate([[0, 2**14 - 1, 511, 512], rng.integers(0, 2**14, 60)]), 2)
    data = rng.integers(0, 2**18, len(addresses)) & ~0x3
    words = addresses | data << 14 & 0x7FFFC000 | rng.integers(0, 2, len(addresses)) << 31
    images = np.stack([words >> shift & 255 for shift in (0, 8, 16, 24)], axis=1).astype(np.uint8)
    with rtl_model(result, tmp_path / "rtl_model") as board:
        want = board.run_uart(images, 10)
    with netlist_model(result, tmp_path / "netlist_model") as board:
        got = board.run_uart(images, 10)
    np.testing.assert_array_equal(got, want)
    assert len(np.unique(want, axis=0)) > 60


def test_a_multiplier_block_is_refused(tmp_path: Path) -> None:
    folder = write_accelerator(tmp_path / "rtl", "product", PRODUCT)
    pair = StreamType(dtype=unsigned(18), shape=(2,), lanes=2)
    product = StreamType(dtype=unsigned(36), shape=(1,), lanes=1)
    out = tmp_path / "synth"
    with pytest.raises(BuildError, match=r"product on ulx3s-85f: 1 multiplier blocks are used"):
        synthesize(folder, "product", pair, product, BOARD, out)
    assert not list(out.glob("*.bit"))


@pytest.mark.parametrize(
    ("used", "sentence"),
    [
        ({"dsp": 1}, "1 multiplier blocks are used, none is allowed"),
        ({"lut": 12_001}, "12001 LUTs are needed, LFE5U-12F has 12000"),
        ({"bram": 33}, "33 BRAMs are needed, LFE5U-12F has 32"),
        ({"fmax_mhz": 24.99}, "fmax is 25.0 MHz, the board's clock 25 MHz"),
    ],
)
def test_a_shortage_names_what_is_lacking(used: dict[str, float], sentence: str) -> None:
    full = Utilization(lut=12_000, ff=5, bram=32, dsp=0, fmax_mhz=25.0)
    assert shortage(full, SMALL) == ()
    assert shortage(replace(full, **used), SMALL) == (sentence,)


def test_a_design_must_reach_the_frequency_that_is_asked_for() -> None:
    used = Utilization(lut=1, ff=1, bram=1, dsp=0, fmax_mhz=90.0)
    assert shortage(used, BOARD, min_fmax_mhz=90) == ()
    (sentence,) = shortage(used, BOARD, min_fmax_mhz=90.5)
    assert "fmax is 90.0 MHz, but min_fmax_mhz=90.5; try another seed" in sentence


def test_place_and_route_works_for_the_frequency_that_is_asked_for(tmp_path: Path) -> None:
    folder = write_accelerator(tmp_path, "lookup_sum", LOOKUP_SUM)
    write_table(folder, 1)
    for mhz, line in ((None, "25 MHZ"), (90, "90 MHZ"), (10, "25 MHZ")):
        plan = ecp5_plan(folder, "lookup_sum", BYTES, SUM, BOARD, min_fmax_mhz=mhz)
        assert f'FREQUENCY PORT "clk" {line};' in plan.files["board.lpf"].decode()


@pytest.mark.parametrize("text", ["", "{}", '{"utilization": {}, "fmax": {}}'])
def test_a_damaged_report_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(BuildError, match="no usable report"):
        read_report(tmp_path / "report.json")


def test_a_clock_that_is_too_slow_leaves_no_bitstream(
    rtl: Path, table: NDArray[np.int64], tmp_path: Path
) -> None:
    fast = replace(BOARD, clock_mhz=800.0)
    with pytest.raises(BuildError, match=r"fmax is .* MHz, the board's clock 800 MHz"):
        synthesize(rtl, "lookup_sum", BYTES, SUM, fast, tmp_path)
    assert not list(tmp_path.glob("*.bit"))


def test_a_syntax_error_is_reported_with_file_and_line(tmp_path: Path) -> None:
    folder = write_accelerator(tmp_path / "rtl", "broken", "module broken(\n  inpt logic clk);\n")
    with pytest.raises(BuildError, match=r"yosys failed .*broken\.sv:2: ERROR.*yosys\.log"):
        synthesize(folder, "broken", BYTES, SUM, BOARD, tmp_path / "synth")


def plan_digest(folder: Path, board: Board = BOARD, **options: int) -> str:
    return ecp5_plan(folder, "lookup_sum", BYTES, SUM, board, **options).digest


def test_the_digest_of_a_plan_covers_all_that_goes_in(tmp_path: Path) -> None:
    folder = write_accelerator(tmp_path, "lookup_sum", LOOKUP_SUM)
    write_table(folder, 1)
    digests = [plan_digest(folder), plan_digest(folder, seed=2), plan_digest(folder, SMALL)]
    digests.append(plan_digest(folder, baud=115_200))
    digests.append(plan_digest(folder, min_fmax_mhz=90))
    assert plan_digest(folder) == digests[0]
    write_table(folder, 2)
    digests.append(plan_digest(folder))
    (folder / "lookup_sum.sv").write_text(LOOKUP_SUM.replace("== 3", "== 2"))
    digests.append(plan_digest(folder))
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("name", ["../up.sv", "/etc/passwd.sv", "sub/x.sv", "words.txt"])
def test_a_source_outside_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    write_accelerator(tmp_path, "lookup_sum", LOOKUP_SUM)
    (tmp_path / "sources.f").write_text(f"{name}\n")
    with pytest.raises(BuildError, match=r"sources\.f: .* must be a \.sv file beside it"):
        plan_digest(tmp_path)


@pytest.mark.parametrize("name", ["uart_rx", "ulx3s_top"])
def test_an_accelerator_cannot_be_called_like_a_part_of_the_board(
    name: str, tmp_path: Path
) -> None:
    folder = write_accelerator(tmp_path, name, f"module {name}; endmodule\n")
    with pytest.raises(BuildError, match="top level"):
        ecp5_plan(folder, name, BYTES, SUM, BOARD)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot read the accelerator: .*sources\.f"):
        plan_digest(tmp_path)


def test_an_output_folder_that_is_a_file_is_refused(rtl: Path, tmp_path: Path) -> None:
    (tmp_path / "synth").write_text("")
    with pytest.raises(BuildError, match="cannot write"):
        synthesize(rtl, "lookup_sum", BYTES, SUM, BOARD, tmp_path / "synth")


def test_the_block_ram_model_refuses_what_it_does_not_model(tmp_path: Path) -> None:
    model = Path(__file__).parents[2] / "flows" / "harness" / "DP16KD.sv"
    with pytest.raises(BuildError, match="not modelled"):
        compile_board([model], "DP16KD", tmp_path, '-GREGMODE_A="OUTREG"')
