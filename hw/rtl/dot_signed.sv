// SPDX-License-Identifier: Apache-2.0
//
// Part of a dot product of integers with weights -1, 0, +1: inputs added, skipped or subtracted.
//
//   y = sum over lanes i of w[i] * x[i]
//
// Encoding   x two's complement if X_SIGNED, 2b - 1 if X_BIPOLAR, else unsigned; lane 0 low.
//            W_BITS = 1: bit b stands for 2b - 1. W_BITS = 2: two's complement -1, 0, 1.
//            y two's complement modulo 2^SUM_BITS
// Reference  popshift.hw.stages.kernels.Signed (bit-exact)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
//
// Bipolar weights take two lanes at once: a term is their sum or their difference, which do not
// depend on the weights, so that synthesis makes them once for all neurons; choosing and inverting
// takes one LUT a bit. Subtraction is bit inversion plus one; the ones are terms of the sum.
module dot_signed #(
  parameter int SIMD      = 8,   // lanes, >= 1
  parameter int X_BITS    = 8,
  parameter int X_SIGNED  = 0,   // 0 or 1
  parameter int X_BIPOLAR = 0,   // 0 or 1; then X_BITS is 1
  parameter int W_BITS    = 1,   // 1 or 2
  parameter int SUM_BITS  = 12
) (
  input  logic [SIMD*X_BITS-1:0] x,
  input  logic [SIMD*W_BITS-1:0] w,
  output logic [SUM_BITS-1:0]    y
);

  if (W_BITS != 1 && W_BITS != 2) begin : gen_check
    $error("dot_signed: W_BITS=%0d must be 1 or 2 (%m)", W_BITS);
  end

  localparam int LANE_W = X_BITS + 1;                  // a lane in two's complement
  localparam int PAIRS  = W_BITS == 1 ? SIMD / 2 : 0;  // the other lanes stand alone
  localparam int TERMS  = SIMD - PAIRS;
  localparam int TERM_W = PAIRS > 0 ? LANE_W + 1 : LANE_W;

  logic [SIMD*LANE_W-1:0]  lanes;
  logic [TERMS*TERM_W-1:0] terms;
  logic [TERMS-1:0]        is_negative;

  for (genvar i = 0; i < SIMD; i++) begin : gen_lane
    logic [X_BITS-1:0] lane;
    assign lane = x[i*X_BITS+:X_BITS];

    if (X_BIPOLAR != 0) begin : gen_bipolar
      assign lanes[i*LANE_W+:LANE_W] = lane[0] ? LANE_W'(1) : '1;
    end else if (X_SIGNED != 0) begin : gen_signed
      assign lanes[i*LANE_W+:LANE_W] = LANE_W'($signed(lane));
    end else begin : gen_unsigned
      assign lanes[i*LANE_W+:LANE_W] = LANE_W'(lane);
    end
  end

  for (genvar i = 0; i < PAIRS; i++) begin : gen_pair
    logic signed [LANE_W-1:0] first, second;
    logic signed [TERM_W-1:0] sum, difference;
    assign first          = lanes[2*i*LANE_W+:LANE_W];
    assign second         = lanes[(2*i+1)*LANE_W+:LANE_W];
    assign sum            = first + second;
    assign difference     = first - second;
    assign is_negative[i] = !w[2*i];
    assign terms[i*TERM_W+:TERM_W] =
        (w[2*i] == w[2*i+1] ? sum : difference) ^ {TERM_W{is_negative[i]}};
  end

  for (genvar i = PAIRS; i < TERMS; i++) begin : gen_single
    logic signed [LANE_W-1:0] lane;
    logic                     is_used;
    assign lane = lanes[(i+PAIRS)*LANE_W+:LANE_W];

    if (W_BITS == 1) begin : gen_bipolar_weight
      assign is_negative[i] = !w[i+PAIRS];
      assign is_used        = 1'b1;
    end else begin : gen_ternary_weight
      assign is_negative[i] = w[2*i+1];
      assign is_used        = w[2*i];
    end

    assign terms[i*TERM_W+:TERM_W] =
        (TERM_W'(lane) ^ {TERM_W{is_negative[i]}}) & {TERM_W{is_used}};
  end

  always_comb begin
    y = '0;
    for (int i = 0; i < TERMS; i++) y = y + SUM_BITS'(is_negative[i]);
    for (int i = 0; i < TERMS; i++) y = y + SUM_BITS'($signed(terms[i*TERM_W+:TERM_W]));
  end

endmodule
