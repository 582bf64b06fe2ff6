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
// Subtraction is bit inversion plus one; the ones are counted and added once.
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

  localparam int NEGATIVES_W = $clog2(SIMD + 1);

  logic [SIMD-1:0]          is_negative, is_used;
  logic [SIMD*SUM_BITS-1:0] terms;
  logic [NEGATIVES_W-1:0]   negatives;

  for (genvar i = 0; i < SIMD; i++) begin : gen_lane
    logic [X_BITS-1:0]   lane;
    logic [SUM_BITS-1:0] wide;
    assign lane = x[i*X_BITS+:X_BITS];

    if (X_BIPOLAR != 0) begin : gen_bipolar
      assign wide = lane[0] ? SUM_BITS'(1) : '1;
    end else if (X_SIGNED != 0) begin : gen_signed
      assign wide = SUM_BITS'($signed(lane));
    end else begin : gen_unsigned
      assign wide = SUM_BITS'(lane);
    end

    if (W_BITS == 1) begin : gen_bipolar_weight
      assign is_negative[i] = !w[i];
      assign is_used[i]     = 1'b1;
    end else begin : gen_ternary_weight
      assign is_negative[i] = w[2*i+1];
      assign is_used[i]     = w[2*i];
    end

    assign terms[i*SUM_BITS+:SUM_BITS] =
        (wide ^ {SUM_BITS{is_negative[i]}}) & {SUM_BITS{is_used[i]}};
  end

  popcount #(.N(SIMD)) count_negatives (.a(is_negative), .y(negatives));

  always_comb begin
    y = SUM_BITS'(negatives);
    for (int i = 0; i < SIMD; i++) y = y + terms[i*SUM_BITS+:SUM_BITS];
  end

endmodule
