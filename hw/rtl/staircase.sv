// SPDX-License-Identifier: Apache-2.0
//
// Integer thresholds of one channel.
//
//   y = BASE + number of rising steps j with x >= level[j]
//            + number of falling steps j with x <  level[j]
//
// Encoding   x and level[j] two's complement if X_SIGNED else unsigned; level 0 in the low bits;
//            is_rising for all steps, or step 0 low; y modulo 2^OUT_BITS, which is the code of the
//            result (for BIPOLAR ones: even is -1, odd is +1)
// Reference  popshift.hw.stages.Thresholds.execute (bit-exact)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module staircase #(
  parameter int X_BITS     = 8,
  parameter int X_SIGNED   = 0,   // 0 or 1
  parameter int STEPS      = 1,   // levels, >= 1
  parameter int DIRECTIONS = 1,   // 1: one for all steps, STEPS: one for each
  parameter int LEVEL_BITS = 8,   // >= X_BITS; one value more than x has
  parameter int OUT_BITS   = 1,
  parameter int BASE       = 0
) (
  input  logic [X_BITS-1:0]           x,
  input  logic [STEPS*LEVEL_BITS-1:0] levels,
  input  logic [DIRECTIONS-1:0]       is_rising,
  output logic [OUT_BITS-1:0]         y
);

  if (STEPS < 1 || LEVEL_BITS < X_BITS) begin : gen_check
    $error("staircase: STEPS=%0d must be >= 1, LEVEL_BITS=%0d >= X_BITS=%0d (%m)", STEPS,
           LEVEL_BITS, X_BITS);
  end

  logic [LEVEL_BITS-1:0] wide;
  logic [STEPS-1:0]      is_reached;

  if (X_SIGNED != 0) begin : gen_signed
    assign wide = LEVEL_BITS'($signed(x));
    for (genvar j = 0; j < STEPS; j++) begin : gen_step
      assign is_reached[j] = $signed(wide) >= $signed(levels[j*LEVEL_BITS+:LEVEL_BITS]);
    end
  end else begin : gen_unsigned
    assign wide = LEVEL_BITS'(x);
    for (genvar j = 0; j < STEPS; j++) begin : gen_step
      assign is_reached[j] = wide >= levels[j*LEVEL_BITS+:LEVEL_BITS];
    end
  end

  always_comb begin
    y = OUT_BITS'(BASE);
    for (int j = 0; j < STEPS; j++) begin
      y = y + OUT_BITS'(is_reached[j] == is_rising[DIRECTIONS > 1 ? j : 0]);
    end
  end

endmodule
