// SPDX-License-Identifier: Apache-2.0
//
// Serial receiver: frames of one start bit, eight data bits and one stop bit (8N1) to bytes.
//
//   m_axis_tdata[i] = level of the line in the middle of data bit i
//
// Line: idle 1, start bit 0, data bit 0 first, stop bit 1. A bit lasts CLOCKS_PER_BIT cycles and
// is sampled once, CLOCKS_PER_BIT / 2 cycles after its beginning. A line that is back at 1 in the
// middle of the start bit was a glitch and is ignored; a frame whose stop bit is 0 gives no byte
// but a pulse of frame_error, and reception resumes at the next falling edge.
//
// Reference  the line levels above (bit-exact); popshift.flows.boards.uart for byte order
// Latency    9 * CLOCKS_PER_BIT + CLOCKS_PER_BIT / 2 + 3 cycles from the first low level to tvalid
// II         9 * CLOCKS_PER_BIT + CLOCKS_PER_BIT / 2 + 1 cycles at least, 10 * CLOCKS_PER_BIT usual
// Stall      none: a serial line cannot wait, so tvalid is high for one cycle and there is no tready
// Reset      rst forgets a frame in progress; m_axis_tdata is not reset
module uart_rx #(
  parameter  int unsigned CLOCKS_PER_BIT = 25,              // cycles, 4 or more
  localparam int unsigned COUNT_W = $clog2(CLOCKS_PER_BIT)  // derived
) (
  input  logic       clk,
  input  logic       rst,

  // Serial line, asynchronous to clk
  input  logic       rxd,

  // Received byte, valid for one cycle
  output logic [7:0] m_axis_tdata,
  output logic       m_axis_tvalid,

  // Stop bit was 0, high for one cycle
  output logic       frame_error
);

  if (CLOCKS_PER_BIT < 4) begin : gen_check
    $error("uart_rx: CLOCKS_PER_BIT must be at least 4, got %0d (instance %m)", CLOCKS_PER_BIT);
  end

  localparam logic [3:0] START = 4'd0;
  localparam logic [3:0] STOP  = 4'd9;

  logic [1:0]         synchronizer;
  logic               level;     // the line, two cycles ago
  logic               previous;  // the line, three cycles ago
  logic               busy;
  logic [3:0]         position;  // bit of the frame that is sampled next
  logic [COUNT_W-1:0] count;     // cycles until that sample
  logic               sample;

  assign level  = synchronizer[1];
  assign sample = busy && count == '0;

  always_ff @(posedge clk) begin
    if (sample && position != START && position != STOP)
      m_axis_tdata <= {level, m_axis_tdata[7:1]};

    if (rst) begin
      synchronizer  <= '1;
      previous      <= 1'b1;
      busy          <= 1'b0;
      position      <= START;
      count         <= '0;
      m_axis_tvalid <= 1'b0;
      frame_error   <= 1'b0;
    end else begin
      synchronizer  <= {synchronizer[0], rxd};
      previous      <= level;
      m_axis_tvalid <= sample && position == STOP && level;
      frame_error   <= sample && position == STOP && !level;

      if (!busy) begin
        // An edge, not a level: after a bad stop bit the line may stay low for long.
        busy     <= previous && !level;
        position <= START;
        count    <= COUNT_W'(CLOCKS_PER_BIT / 2 - 1);
      end else if (!sample) begin
        count <= count - 1'b1;
      end else begin
        busy     <= position == START ? !level : position != STOP;
        position <= position + 4'd1;
        count    <= COUNT_W'(CLOCKS_PER_BIT - 1);
      end
    end
  end

endmodule
