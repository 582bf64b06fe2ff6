// SPDX-License-Identifier: Apache-2.0
//
// Parts of dot products of integers with powers of two: inputs shifted, then added or subtracted.
//
//   y[n] + plus[n] = sum over lanes i of w[n][i] * x[i],   w = 0 or +-2^e with e = W_LOW..W_HIGH
//
// Encoding   x see lanes. The high bit of a weight is its sign, the others are e - W_LOW if
//            W_FORM = 0; if W_FORM = 1, e - W_LOW + 1, and 0 for the weight 0.
//            y two's complement modulo 2^SUM_BITS; neuron 0 and lane 0 low
// Reference  popshift.hw.stages.kernels.Shift (bit-exact)
// Latency    CYCLES = 2 from w to y; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
//
// All shifts are to the left, nothing is rounded; what all weights have in common is wires behind the
// sum. Subtraction is bit inversion plus one; the ones are the carries of the additions.
module dot_shift #(
  parameter int SIMD      = 8,   // lanes, >= 1
  parameter int PE        = 2,   // neurons, >= 1
  parameter int X_BITS    = 8,
  parameter int X_SIGNED  = 0,   // 0 or 1
  parameter int X_BIPOLAR = 0,   // 0 or 1; then X_BITS is 1
  parameter int W_BITS    = 3,   // 1 + $clog2(W_HIGH - W_LOW + 1 + W_FORM)
  parameter int W_FORM    = 1,   // 0 or 1
  parameter int W_LOW     = 0,
  parameter int W_HIGH    = 2,
  parameter int SUM_BITS  = 14,
  parameter int CYCLES    = 2
) (
  input  logic                      clk,
  input  logic [SIMD*X_BITS-1:0]    x,
  input  logic [PE*SIMD*W_BITS-1:0] w,
  output logic [PE*SUM_BITS-1:0]    y,
  output logic [PE-1:0]             plus
);

  localparam int SHIFT_W = W_BITS - 1;
  localparam int LANE_W  = X_SIGNED != 0 ? X_BITS : X_BITS + 1;
  localparam int TERM_W  = LANE_W + W_HIGH - W_LOW;
  localparam int TREE_W  = TERM_W + $clog2(SIMD);
  localparam int TOTAL_W = TREE_W + W_LOW;

  if (SHIFT_W != $clog2(W_HIGH - W_LOW + 1 + W_FORM) || CYCLES != 2) begin : gen_check
    $error("dot_shift: W_BITS=%0d does not hold the exponents %0d to %0d, or CYCLES=%0d is not 2 (%m)",
           W_BITS, W_LOW, W_HIGH, CYCLES);
  end

  logic [SIMD*LANE_W-1:0] lane, lane_1;

  lanes #(
    .SIMD(SIMD), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR)
  ) integers (.x, .y(lane));

  always_ff @(posedge clk) lane_1 <= lane;

  for (genvar n = 0; n < PE; n++) begin : gen_neuron
    logic [SIMD*TERM_W-1:0] terms;
    logic [SIMD-1:0]        is_negative;
    logic [TREE_W-1:0]      total;
    logic                   one;

    for (genvar i = 0; i < SIMD; i++) begin : gen_term
      localparam int AT = (n*SIMD + i) * W_BITS;
      logic signed [TERM_W-1:0] wide, shifted;
      logic                     is_minus;
      assign wide     = TERM_W'($signed(lane_1[i*LANE_W+:LANE_W]));
      assign is_minus = w[AT+SHIFT_W];

      if (SHIFT_W == 0) begin : gen_signs
        assign shifted = wide;
      end else if (W_FORM == 0) begin : gen_nonzero
        assign shifted = wide << w[AT+:SHIFT_W];
      end else begin : gen_with_zero
        // Shifted by one too much, so one back.
        localparam int ABOVE_W = TERM_W + 1;
        logic signed [ABOVE_W-1:0] above;
        logic                      unused_low;
        assign unused_low = &{1'b0, above[0]};
        assign above      = ABOVE_W'(wide) << w[AT+:SHIFT_W];
        assign shifted    = w[AT+:SHIFT_W] == '0 ? '0 : above[TERM_W:1];
      end

      always_ff @(posedge clk) begin
        terms[i*TERM_W+:TERM_W] <= shifted ^ {TERM_W{is_minus}};
        is_negative[i]          <= is_minus;
      end
    end

    adder_tree #(.TERMS(SIMD), .BITS(TERM_W)) tree (
      .clk, .terms, .ones(is_negative), .y(total), .plus(one)
    );

    // Ones below let the one that is left carry into the sum.
    logic signed [TOTAL_W-1:0] whole;
    if (W_LOW > 0) begin : gen_low
      assign whole = {total, {W_LOW{one}}};
    end else begin : gen_no_low
      assign whole = total;
    end

    always_ff @(posedge clk) begin
      y[n*SUM_BITS+:SUM_BITS] <= SUM_BITS'(whole);
      plus[n]                 <= one;
    end
  end

endmodule
