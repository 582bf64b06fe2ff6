// SPDX-License-Identifier: Apache-2.0
//
// Sum of planes, each twice as heavy as the one before, and of a 1 for each of them.
//
//   y + plus = sum over planes p of (plane[p] + one[p]) * 2^p
//
// Encoding   planes and y two's complement; plane 0 low
// Reference  integer sum
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
//
// The low bits of the light half are those of the sum; the 1 of the heavy half is the carry with
// which its addition begins.
module weighted_sum #(
  parameter  int PLANES = 4,                          // >= 1
  parameter  int BITS   = 8,                          // of a plane
  localparam int SUM_W  = PLANES == 1 ? BITS : BITS + PLANES
) (
  input  logic [PLANES*BITS-1:0] planes,
  input  logic [PLANES-1:0]      ones,
  output logic [SUM_W-1:0]       y,
  output logic                   plus
);

  if (PLANES == 1) begin : gen_plane
    assign y    = planes;
    assign plus = ones[0];
  end else begin : gen_sum
    localparam int LOW    = PLANES / 2;
    localparam int HIGH   = PLANES - LOW;
    localparam int LOW_W  = LOW == 1 ? BITS : BITS + LOW;
    localparam int HIGH_W = HIGH == 1 ? BITS : BITS + HIGH;
    localparam int JOIN_W = SUM_W - LOW;

    logic signed [LOW_W-1:0]  low;
    logic signed [HIGH_W-1:0] high;
    logic                     carry;

    weighted_sum #(.PLANES(LOW), .BITS(BITS)) low_planes (
      .planes(planes[LOW*BITS-1:0]), .ones(ones[LOW-1:0]), .y(low), .plus
    );
    weighted_sum #(.PLANES(HIGH), .BITS(BITS)) high_planes (
      .planes(planes[PLANES*BITS-1:LOW*BITS]), .ones(ones[PLANES-1:LOW]), .y(high), .plus(carry)
    );

    // A plane may be narrower than the bits that pass by the addition.
    logic signed [SUM_W-1:0] wide;
    assign wide          = SUM_W'(low);
    assign y[LOW-1:0]    = wide[LOW-1:0];
    carried_sum #(.BITS(JOIN_W)) join_planes (
      .a(wide[SUM_W-1:LOW]), .b(JOIN_W'(high)), .carry, .y(y[SUM_W-1:LOW])
    );
  end

endmodule
