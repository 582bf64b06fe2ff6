// SPDX-License-Identifier: Apache-2.0
//
// Number of ones of a word.
//
//   y = number of ones of a ^ INVERT
//
// Encoding   y unsigned, 0 to N
// Reference  integer sum
// Latency    LATENCY cycles, as bit_heap
// II         1 cycle
// Stall      none
// Reset      none
//
// Synthesis finds no compressors by itself: a plain sum of N bits takes up to twice the LUTs.
module popcount #(
  parameter  int N       = 8,             // bits, >= 1
  parameter  int LATENCY = 0,             // cycles, >= 0
  parameter  logic [N-1:0] INVERT = '0,   // bits of a to be inverted
  localparam int SUM_W   = $clog2(N + 1)
) (
  input  logic             clk,
  input  logic [N-1:0]     a,
  output logic [SUM_W-1:0] y
);

  if (N < 1) begin : gen_check
    $error("popcount: N=%0d must be >= 1 (%m)", N);
  end

  bit_heap #(
    .COLUMNS(SUM_W), .HEIGHTS((16 * SUM_W)'(N)), .BITS(N), .INVERT(INVERT), .LATENCY(LATENCY)
  ) heap (.clk, .a, .y);

endmodule
