// SPDX-License-Identifier: Apache-2.0
//
// Twin of folded_xnor for AMD 7-series and later: XNORs in LUTs that add as well.
//
//   y[n] = number of lanes i with x[i] == w[n][i]
//
// Encoding   bit b of x and w stands for 2b - 1; y unsigned, 0 to SIMD; neuron 0 and lane 0 low. w is
//            the weights themselves, no sums of them: MemoryImage.of(family)
// Reference  popshift.hw.stages.kernels.Xnor (bit-exact)
// Latency    CYCLES from w to y; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
module folded_xnor #(
  parameter int SIMD     = 8,                 // lanes, >= 1
  parameter int PE       = 2,                 // neurons, >= 1
  parameter int SUM_BITS = $clog2(SIMD + 1),
  parameter int CYCLES   = 1                  // >= 1
) (
  input  logic                   clk,
  input  logic [SIMD-1:0]        x,
  input  logic [PE*SIMD-1:0]     w,
  output logic [PE*SUM_BITS-1:0] y
);

  if (SUM_BITS != $clog2(SIMD + 1) || CYCLES < 1) begin : gen_check
    $error("folded_xnor: SIMD=%0d takes SUM_BITS=%0d, CYCLES=%0d is >= 1 (%m)", SIMD,
           $clog2(SIMD + 1), CYCLES);
  end

  logic [SIMD-1:0] lanes;
  always_ff @(posedge clk) lanes <= x;

  for (genvar n = 0; n < PE; n++) begin : gen_neuron
    logic [SUM_BITS-1:0] count;
    popcount_xnor #(.N(SIMD), .LATENCY(CYCLES - 1)) agreeing (
      .clk, .x(lanes), .w(w[n*SIMD+:SIMD]), .y(count)
    );
    always_ff @(posedge clk) y[n*SUM_BITS+:SUM_BITS] <= count;
  end

endmodule
