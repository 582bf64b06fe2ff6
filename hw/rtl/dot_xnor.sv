// SPDX-License-Identifier: Apache-2.0
//
// Parts of bipolar dot products: how many positions agree.
//
//   y[n] = number of lanes i with x[i] == w[n][i];   plus[n] = 0
//
// Where w never changes it is given as WEIGHTS as well, and neurons share what they can.
//
// Encoding   bit b of x and w stands for 2b - 1; y unsigned, 0 to SIMD; neuron 0 and lane 0 low
// Reference  popshift.hw.stages.kernels.Xnor (bit-exact)
// Latency    CYCLES from w to y; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
module dot_xnor #(
  parameter int SIMD     = 8,                 // lanes, >= 1
  parameter int PE       = 2,                 // neurons, >= 1
  parameter int SUM_BITS = $clog2(SIMD + 1),
  parameter int CYCLES   = 1,
  parameter int UNROLLED = 0,                 // 1: w is always WEIGHTS
  parameter logic [PE*SIMD-1:0] WEIGHTS = '0
) (
  input  logic                   clk,
  input  logic [SIMD-1:0]        x,
  /* verilator lint_off UNUSEDSIGNAL */ // where it is WEIGHTS
  input  logic [PE*SIMD-1:0]     w,
  /* verilator lint_on UNUSEDSIGNAL */
  output logic [PE*SUM_BITS-1:0] y,
  output logic [PE-1:0]          plus
);

  if (SUM_BITS != $clog2(SIMD + 1) || CYCLES != 1) begin : gen_check
    $error("dot_xnor: SIMD=%0d takes SUM_BITS=%0d, CYCLES=1 (%m)", SIMD, $clog2(SIMD + 1));
  end

  logic [SIMD-1:0] lanes;
  always_ff @(posedge clk) lanes <= x;

  logic [PE*SUM_BITS-1:0] counts;
  always_ff @(posedge clk) y <= counts;

  if (UNROLLED != 0) begin : gen_unrolled
    unrolled_xnor #(.MW(SIMD), .MH(PE), .WEIGHTS(WEIGHTS)) agreeing (.clk, .x(lanes), .y(counts));
  end else begin : gen_neurons
    for (genvar n = 0; n < PE; n++) begin : gen_neuron
      popcount_xnor #(.N(SIMD)) agreeing (
        .clk, .x(lanes), .w(w[n*SIMD+:SIMD]), .y(counts[n*SUM_BITS+:SUM_BITS])
      );
    end
  end

  assign plus = '0;

endmodule
