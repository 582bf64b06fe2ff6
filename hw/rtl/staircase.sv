// SPDX-License-Identifier: Apache-2.0
//
// Integer thresholds of one channel.
//
//   y = BASE + number of steps j with x >= level[j]   when is_rising
//   y = BASE + number of steps j with x <  level[j]   otherwise
//
// Encoding   x and level[j] two's complement if X_SIGNED else unsigned; level 0 in the low bits;
//            y modulo 2^OUT_BITS (for BIPOLAR results the count itself: 0 is -1, 1 is +1)
// Reference  popshift.hw.stages.Thresholds.execute (bit-exact)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module staircase #(
  parameter int X_BITS     = 8,
  parameter int X_SIGNED   = 0,   // 0 or 1
  parameter int STEPS      = 1,   // levels, >= 1
  parameter int LEVEL_BITS = 8,   // >= X_BITS; one value more than x has
  parameter int OUT_BITS   = 1,
  parameter int BASE       = 0
) (
  input  logic [X_BITS-1:0]           x,
  input  logic [STEPS*LEVEL_BITS-1:0] levels,
  input  logic                        is_rising,
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
    for (int j = 0; j < STEPS; j++) y = y + OUT_BITS'(is_reached[j] == is_rising);
  end

endmodule
