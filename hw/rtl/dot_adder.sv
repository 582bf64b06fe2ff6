// SPDX-License-Identifier: Apache-2.0
//
// Parts of minus the distances of a vector and weights.
//
//   y[n] + plus[n] = -sum over lanes i of |x[i] - w[n][i]|
//
// Encoding   x see lanes. w unsigned if W_FORM = 0, two's complement if W_FORM = 1.
//            y two's complement modulo 2^SUM_BITS; neuron 0 and lane 0 low
// Reference  popshift.hw.stages.kernels.Adder (bit-exact)
// Latency    CYCLES = 2 from w to y; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
//
// With d = x - w and p = d >= 0, -|d| = (d xor p) + p; the ones are the carries of the additions.
module dot_adder #(
  parameter int SIMD      = 8,   // lanes, >= 1
  parameter int PE        = 2,   // neurons, >= 1
  parameter int X_BITS    = 8,
  parameter int X_SIGNED  = 0,   // 0 or 1
  parameter int X_BIPOLAR = 0,   // 0 or 1; then X_BITS is 1
  parameter int W_BITS    = 8,
  parameter int W_FORM    = 1,   // 0 or 1
  parameter int SUM_BITS  = 13,
  parameter int CYCLES    = 2
) (
  input  logic                      clk,
  input  logic [SIMD*X_BITS-1:0]    x,
  input  logic [PE*SIMD*W_BITS-1:0] w,
  output logic [PE*SUM_BITS-1:0]    y,
  output logic [PE-1:0]             plus
);

  localparam int LANE_W   = X_SIGNED != 0 ? X_BITS : X_BITS + 1;
  localparam int WEIGHT_W = W_FORM != 0 ? W_BITS : W_BITS + 1;
  // Of two unsigned integers the difference takes no bit more than they do with a sign.
  localparam int WIDER_W  = LANE_W > WEIGHT_W ? LANE_W : WEIGHT_W;
  localparam int TERM_W   = X_SIGNED == 0 && X_BIPOLAR == 0 && W_FORM == 0 ? WIDER_W : WIDER_W + 1;
  localparam int TREE_W   = TERM_W + $clog2(SIMD);

  if (CYCLES != 2) begin : gen_check
    $error("dot_adder: CYCLES=%0d must be 2 (%m)", CYCLES);
  end

  logic [SIMD*LANE_W-1:0] lane, lane_1;

  lanes #(
    .SIMD(SIMD), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR)
  ) integers (.x, .y(lane));

  always_ff @(posedge clk) lane_1 <= lane;

  for (genvar n = 0; n < PE; n++) begin : gen_neuron
    logic [SIMD*TERM_W-1:0] terms;
    logic [SIMD-1:0]        is_positive;
    logic [TREE_W-1:0]      total;
    logic                   one;

    for (genvar i = 0; i < SIMD; i++) begin : gen_term
      logic [W_BITS-1:0]        code;
      logic signed [TERM_W-1:0] weight, difference;
      assign code = w[(n*SIMD+i)*W_BITS+:W_BITS];

      if (W_FORM != 0) begin : gen_signed
        assign weight = TERM_W'($signed(code));
      end else begin : gen_unsigned
        assign weight = TERM_W'(code);
      end

      always_ff @(posedge clk) difference <= TERM_W'($signed(lane_1[i*LANE_W+:LANE_W])) - weight;

      assign is_positive[i]          = !difference[TERM_W-1];
      assign terms[i*TERM_W+:TERM_W] = difference ^ {TERM_W{is_positive[i]}};
    end

    adder_tree #(.TERMS(SIMD), .BITS(TERM_W)) tree (
      .clk, .terms, .ones(is_positive), .y(total), .plus(one)
    );

    always_ff @(posedge clk) begin
      y[n*SUM_BITS+:SUM_BITS] <= SUM_BITS'($signed(total));
      plus[n]                 <= one;
    end
  end

endmodule
