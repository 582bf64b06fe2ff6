// SPDX-License-Identifier: Apache-2.0
//
// Parts of the dot products of each plane of signs: what scaled_planes weighs behind accumulators.
//
//   y[n][p] + plus[n][p] = sum over lanes i of s[n][i][p] * x[i]
//
// Encoding   x see lanes; bit p of w[n][i] is 1 for the sign +1 of plane p, 0 for -1.
//            W_FORM = 0: inputs are added and subtracted, see dot_signed. W_FORM = 1: their bits are
//            counted, see dot_planes. y two's complement modulo 2^SUM_BITS; neuron 0, lane 0 and
//            plane 0 low
// Reference  popshift.hw.stages.kernels.Coded (bit-exact)
// Latency    CYCLES = 2 from w to y; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
module dot_coded #(
  parameter int SIMD      = 8,   // lanes, >= 1
  parameter int PE        = 2,   // neurons, >= 1
  parameter int X_BITS    = 2,
  parameter int X_SIGNED  = 0,   // 0 or 1
  parameter int X_BIPOLAR = 0,   // 0 or 1; then X_BITS is 1
  parameter int W_BITS    = 2,   // planes of a weight
  parameter int W_FORM    = 0,   // 0 or 1
  parameter int SUM_BITS  = 8,
  parameter int CYCLES    = 2
) (
  input  logic                          clk,
  input  logic [SIMD*X_BITS-1:0]        x,
  input  logic [PE*SIMD*W_BITS-1:0]     w,
  output logic [PE*W_BITS*SUM_BITS-1:0] y,
  output logic [PE*W_BITS-1:0]          plus
);

  if (CYCLES != 2 || W_FORM < 0 || W_FORM > 1) begin : gen_check
    $error("dot_coded: CYCLES=%0d must be 2 and W_FORM=%0d 0 or 1 (%m)", CYCLES, W_FORM);
  end

  localparam int PLANES = PE * W_BITS;  // each is the neuron of a kernel of signs

  logic [PLANES*SIMD-1:0] signs;
  for (genvar n = 0; n < PE; n++) begin : gen_neuron
    for (genvar i = 0; i < SIMD; i++) begin : gen_lane
      for (genvar p = 0; p < W_BITS; p++) begin : gen_plane
        assign signs[(n*W_BITS+p)*SIMD+i] = w[(n*SIMD+i)*W_BITS+p];
      end
    end
  end

  if (W_FORM == 0) begin : gen_added
    // More than 16 lanes take two cycles.
    localparam int OWN = SIMD > 16 ? 2 : 1;
    logic [PLANES*SUM_BITS-1:0] sums;
    logic [PLANES-1:0]          ones;
    dot_signed #(
      .SIMD(SIMD), .PE(PLANES), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR),
      .W_BITS(1), .W_FORM(0), .SUM_BITS(SUM_BITS), .CYCLES(OWN)
    ) kernel (.clk, .x, .w(signs), .y(sums), .plus(ones));
    delay #(.WIDTH(PLANES * SUM_BITS), .CYCLES(CYCLES - OWN)) late (.clk, .x(sums), .y);
    delay #(.WIDTH(PLANES), .CYCLES(CYCLES - OWN)) late_ones (.clk, .x(ones), .y(plus));
  end else begin : gen_counted
    dot_planes #(
      .SIMD(SIMD), .PE(PLANES), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR),
      .W_BITS(1), .W_FORM(0), .SUM_BITS(SUM_BITS), .CYCLES(CYCLES)
    ) kernel (.clk, .x, .w(signs), .y, .plus);
  end

endmodule
