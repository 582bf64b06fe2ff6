// SPDX-License-Identifier: Apache-2.0
//
// Lanes of a beat as integers.
//
//   y[i] = x[i]
//
// Encoding   x two's complement if X_SIGNED, 2b - 1 if X_BIPOLAR, else unsigned; y two's complement;
//            lane 0 low
// Reference  popshift.hw.dtypes.DataType.from_codes (bit-exact)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module lanes #(
  parameter  int SIMD      = 8,   // lanes, >= 1
  parameter  int X_BITS    = 8,
  parameter  int X_SIGNED  = 0,   // 0 or 1
  parameter  int X_BIPOLAR = 0,   // 0 or 1; then X_BITS is 1
  localparam int LANE_W    = X_SIGNED != 0 ? X_BITS : X_BITS + 1
) (
  input  logic [SIMD*X_BITS-1:0] x,
  output logic [SIMD*LANE_W-1:0] y
);

  for (genvar i = 0; i < SIMD; i++) begin : gen_lane
    if (X_BIPOLAR != 0) begin : gen_bipolar
      assign y[i*LANE_W+:LANE_W] = {!x[i], 1'b1};
    end else if (X_SIGNED != 0) begin : gen_signed
      assign y[i*LANE_W+:LANE_W] = x[i*X_BITS+:X_BITS];
    end else begin : gen_unsigned
      assign y[i*LANE_W+:LANE_W] = {1'b0, x[i*X_BITS+:X_BITS]};
    end
  end

endmodule
