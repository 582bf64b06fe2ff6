// SPDX-License-Identifier: Apache-2.0
//
// Sum of terms and of a 1 for each of them but one, which becomes the carry of an addition.
//
//   y + plus = sum over terms i of term[i] + one[i]
//
// Encoding   terms and y two's complement; term 0 low
// Reference  integer sum
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module adder_tree #(
  parameter  int TERMS = 4,                        // >= 1
  parameter  int BITS  = 8,                        // of a term
  localparam int SUM_W = BITS + $clog2(TERMS)
) (
  input  logic [TERMS*BITS-1:0] terms,
  input  logic [TERMS-1:0]      ones,
  output logic [SUM_W-1:0]      y,
  output logic                  plus
);

  if (TERMS == 1) begin : gen_term
    assign y    = terms;
    assign plus = ones[0];
  end else begin : gen_sum
    localparam int LOW  = (TERMS + 1) / 2;
    localparam int HIGH = TERMS - LOW;
    localparam int LOW_W  = BITS + $clog2(LOW);
    localparam int HIGH_W = BITS + $clog2(HIGH);

    logic signed [LOW_W-1:0]  low;
    logic signed [HIGH_W-1:0] high;
    logic                     carry;

    adder_tree #(.TERMS(LOW), .BITS(BITS)) low_tree (
      .terms(terms[LOW*BITS-1:0]), .ones(ones[LOW-1:0]), .y(low), .plus
    );
    adder_tree #(.TERMS(HIGH), .BITS(BITS)) high_tree (
      .terms(terms[TERMS*BITS-1:LOW*BITS]), .ones(ones[TERMS-1:LOW]), .y(high), .plus(carry)
    );

    carried_sum #(.BITS(SUM_W)) join_trees (.a(SUM_W'(low)), .b(SUM_W'(high)), .carry, .y);
  end

endmodule
