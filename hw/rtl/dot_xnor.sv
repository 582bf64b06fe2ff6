// SPDX-License-Identifier: Apache-2.0
//
// Part of a bipolar dot product: how many positions agree.
//
//   y = number of lanes i with x[i] == w[i]
//
// Encoding   bit b of x and w stands for 2b - 1; y unsigned, 0 to SIMD
// Reference  popshift.hw.stages.kernels.Xnor (bit-exact)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module dot_xnor #(
  parameter  int SIMD  = 8,               // lanes, >= 1
  localparam int SUM_W = $clog2(SIMD + 1)
) (
  input  logic [SIMD-1:0]  x,
  input  logic [SIMD-1:0]  w,
  output logic [SUM_W-1:0] y
);

  popcount #(.N(SIMD)) count (.a(~(x ^ w)), .y(y));

endmodule
