"""The top level of a board: instances and wires, no logic of its own."""

from __future__ import annotations

from ...hw.graph import StreamType
from .board import Board
from .uart import DEFAULT_BAUD, clocks_per_bit, fifo_bytes

TOP_SOURCES = ("power_on_reset", "uart_rx", "uart_tx", "uart_fifo", "uart_bridge")
"""Modules of ``hw/rtl`` that every top level instantiates, in dependency order."""


def top_level(
    board: Board,
    accelerator: str,
    input_type: StreamType,
    output_type: StreamType,
    *,
    baud: int = DEFAULT_BAUD,
) -> str:
    """Return the SystemVerilog of the board's top level around an accelerator.

    LEDs from the lowest: overrun of the receive buffer, wrong stop bit, line from the host,
    line to the host, low four bits of the last byte that was sent.

    Args:
        board: Where the accelerator goes.
        accelerator: Name of its module.
        input_type: Type of its ``s_axis``.
        output_type: Type of its ``m_axis``.
        baud: Bits per second on the serial line.

    Raises:
        BoardError: The board cannot make the baud rate.
    """
    tied = "".join(f",\n  output logic       {port}" for port in board.tied_high)
    ties = "".join(f"  assign {port} = 1'b1;\n" for port in board.tied_high)
    count = len(board.leds)
    return f"""\
// SPDX-License-Identifier: Apache-2.0
//
// Top level of {accelerator} on {board.name}: instances and wires only.
module {board.top} (
  input  logic       clk,
  input  logic       uart_rxd,
  output logic       uart_txd,
  input  logic       button,
  output logic [{count - 1}:0] led{tied}
);

  logic                 rst;
  logic [{input_type.width_bits - 1}:0] request_tdata;
  logic                 request_tvalid;
  logic                 request_tready;
  logic [{output_type.width_bits - 1}:0] answer_tdata;
  logic                 answer_tvalid;
  logic                 answer_tready;
  logic                 overrun;
  logic                 frame_error;
  logic [3:0]           answer;

  assign led = {count}'({{answer, !uart_txd, !uart_rxd, frame_error, overrun}});
{ties}
  power_on_reset start (
    .clk    (clk),
    .button (button),
    .rst    (rst)
  );

  uart_bridge #(
    .CLOCKS_PER_BIT({clocks_per_bit(board, baud)}),
    .FIFO_BYTES({fifo_bytes(input_type)}),
    .IN_LANES({input_type.lanes}),
    .IN_BITS({input_type.dtype.bits}),
    .OUT_LANES({output_type.lanes}),
    .OUT_BITS({output_type.dtype.bits})
  ) bridge (
    .clk           (clk),
    .rst           (rst),
    .rxd           (uart_rxd),
    .txd           (uart_txd),
    .s_axis_tdata  (answer_tdata),
    .s_axis_tvalid (answer_tvalid),
    .s_axis_tready (answer_tready),
    .m_axis_tdata  (request_tdata),
    .m_axis_tvalid (request_tvalid),
    .m_axis_tready (request_tready),
    .overrun       (overrun),
    .frame_error   (frame_error),
    .answer        (answer)
  );

  {accelerator} accelerator (
    .clk           (clk),
    .rst           (rst),
    .s_axis_tdata  (request_tdata),
    .s_axis_tvalid (request_tvalid),
    .s_axis_tready (request_tready),
    .m_axis_tdata  (answer_tdata),
    .m_axis_tvalid (answer_tvalid),
    .m_axis_tready (answer_tready)
  );

endmodule
"""
