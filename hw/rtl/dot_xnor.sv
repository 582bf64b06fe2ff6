// SPDX-License-Identifier: Apache-2.0
//
// Parts of bipolar dot products: how many positions agree.
//
//   y[n] = number of lanes i with x[i] == weight[n][i];   plus[n] = 0
//
// Where weights never change they are given as WEIGHTS, and neurons share what they can.
//
// Encoding   bit b of x, WEIGHTS and a weight stands for 2b - 1; y unsigned, 0 to SIMD; neuron 0 and
//            lane 0 low. w holds sums modulo 2 of weights, see folded_xnor.
// Reference  popshift.hw.stages.kernels.Xnor (bit-exact)
// Latency    CYCLES from w to y; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
module dot_xnor #(
  parameter int SIMD     = 8,                 // lanes, >= 1
  parameter int PE       = 2,                 // neurons, >= 1
  parameter int SUM_BITS = $clog2(SIMD + 1),
  parameter int CYCLES   = 1,                 // 1 to 5, or any if UNROLLED
  parameter int UNROLLED = 0,                 // 1: weights are WEIGHTS
  /* verilator lint_off UNUSEDPARAM */ // where they come in w
  parameter logic [PE*SIMD-1:0] WEIGHTS = '0
  /* verilator lint_on UNUSEDPARAM */
) (
  input  logic                   clk,
  input  logic [SIMD-1:0]        x,
  /* verilator lint_off UNUSEDSIGNAL */ // where they are WEIGHTS
  input  logic [PE*SIMD-1:0]     w,
  /* verilator lint_on UNUSEDSIGNAL */
  output logic [PE*SUM_BITS-1:0] y,
  output logic [PE-1:0]          plus
);

  if (UNROLLED != 0) begin : gen_unrolled
    if (SUM_BITS != $clog2(SIMD + 1)) begin : gen_check
      $error("dot_xnor: SIMD=%0d takes SUM_BITS=%0d (%m)", SIMD, $clog2(SIMD + 1));
    end

    unrolled_xnor #(.MW(SIMD), .MH(PE), .WEIGHTS(WEIGHTS), .LATENCY(CYCLES + 1)) agreeing (
      .clk, .x, .y
    );
  end else begin : gen_folded
    folded_xnor #(.SIMD(SIMD), .PE(PE), .SUM_BITS(SUM_BITS), .CYCLES(CYCLES)) agreeing (
      .clk, .x, .w, .y
    );
  end

  assign plus = '0;

endmodule
