// SPDX-License-Identifier: Apache-2.0
//
// Serial transmitter: bytes to frames of one start bit, eight data bits and one stop bit (8N1).
//
//   txd = 0, s_axis_tdata[0], ..., s_axis_tdata[7], 1   each for CLOCKS_PER_BIT cycles
//
// The line is 1 between frames.
//
// Reference  the line levels above (bit-exact); popshift.flows.boards.uart for byte order
// Latency    1 cycle from the accepted byte to the start bit
// II         10 * CLOCKS_PER_BIT cycles: frames follow each other without a gap
// Stall      s_axis_tready is high when idle and in the last cycle of a stop bit; it does not
//            depend on any input
// Reset      rst ends a frame in progress and sets the line to 1
module uart_tx #(
  parameter  int unsigned CLOCKS_PER_BIT = 25,              // cycles, 4 or more
  localparam int unsigned COUNT_W = $clog2(CLOCKS_PER_BIT)  // derived
) (
  input  logic       clk,
  input  logic       rst,

  // Byte to send
  input  logic [7:0] s_axis_tdata,
  input  logic       s_axis_tvalid,
  output logic       s_axis_tready,

  // Serial line
  output logic       txd
);

  if (CLOCKS_PER_BIT < 4) begin : gen_check
    $error("uart_tx: CLOCKS_PER_BIT must be at least 4, got %0d (instance %m)", CLOCKS_PER_BIT);
  end

  logic [8:0]         frame;  // bit 0 is on the line
  logic [3:0]         left;   // bits of the frame that have not ended, 0 when idle
  logic [COUNT_W-1:0] count;  // cycles until the bit on the line ends
  logic               bit_ends;

  assign bit_ends      = count == '0;
  assign s_axis_tready = left == 4'd0 || (left == 4'd1 && bit_ends);
  assign txd           = frame[0];

  always_ff @(posedge clk) begin
    if (rst) begin
      frame <= '1;
      left  <= 4'd0;
      count <= '0;
    end else if (s_axis_tready) begin
      if (s_axis_tvalid) begin
        frame <= {s_axis_tdata, 1'b0};
        left  <= 4'd10;
        count <= COUNT_W'(CLOCKS_PER_BIT - 1);
      end else begin
        frame <= '1;
        left  <= 4'd0;
      end
    end else if (bit_ends) begin
      frame <= {1'b1, frame[8:1]};
      left  <= left - 4'd1;
      count <= COUNT_W'(CLOCKS_PER_BIT - 1);
    end else begin
      count <= count - 1'b1;
    end
  end

endmodule
