// SPDX-License-Identifier: Apache-2.0
//
// Number of positions at which two words agree.
//
//   y = popcount(x XNOR w)
//
// Encoding   y unsigned, 0 to N
// Reference  popshift.hw.stages.kernels.Xnor (bit-exact)
// Latency    LATENCY cycles, as bit_heap
// II         1 cycle
// Stall      none
// Reset      none
module popcount_xnor #(
  parameter  int N       = 8,             // positions, >= 1
  parameter  int LATENCY = 0,             // cycles, >= 0
  localparam int SUM_W   = $clog2(N + 1)
) (
  input  logic             clk,
  input  logic [N-1:0]     x,
  input  logic [N-1:0]     w,
  output logic [SUM_W-1:0] y
);

  popcount #(.N(N), .LATENCY(LATENCY)) agreeing (.clk, .a(~(x ^ w)), .y);

endmodule
