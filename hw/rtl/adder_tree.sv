// SPDX-License-Identifier: Apache-2.0
//
// Sum of terms and of a 1 for each of them but one, which becomes the carry of an addition.
//
//   y + plus = sum over terms i of term[i] + one[i]
//
// Encoding   terms and y two's complement; term 0 low
// Reference  integer sum
// Latency    0, combinational; 1 cycle if CUT >= 0
// II         1 cycle
// Stall      none
// Reset      none
module adder_tree #(
  parameter  int TERMS = 4,                        // >= 1
  parameter  int BITS  = 8,                        // of a term
  parameter  int CUT   = -1,                       // additions behind a register, -1: none
  localparam int SUM_W = BITS + $clog2(TERMS)
) (
  /* verilator lint_off UNUSEDSIGNAL */ // without a register there is no clock
  input  logic                  clk,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [TERMS*BITS-1:0] terms,
  input  logic [TERMS-1:0]      ones,
  output logic [SUM_W-1:0]      y,
  output logic                  plus
);

  if (CUT >= $clog2(TERMS) && TERMS > 1) begin : gen_check
    $error("adder_tree: CUT=%0d must be less than the %0d levels of TERMS=%0d (%m)", CUT,
           $clog2(TERMS), TERMS);
  end

  logic [SUM_W-1:0] sum;
  logic             one;

  if (CUT == 0) begin : gen_register
    always_ff @(posedge clk) begin
      y    <= sum;
      plus <= one;
    end
  end else begin : gen_at_once
    assign y    = sum;
    assign plus = one;
  end

  if (TERMS == 1) begin : gen_term
    assign sum = terms;
    assign one = ones[0];
  end else begin : gen_sum
    localparam int LOW  = (TERMS + 1) / 2;
    localparam int HIGH = TERMS - LOW;
    localparam int LOW_W  = BITS + $clog2(LOW);
    localparam int HIGH_W = BITS + $clog2(HIGH);
    localparam int BELOW  = CUT > 0 ? CUT - 1 : -1;

    logic signed [LOW_W-1:0]  low;
    logic signed [HIGH_W-1:0] high;
    logic                     carry;

    adder_tree #(.TERMS(LOW), .BITS(BITS), .CUT(BELOW)) low_tree (
      .clk, .terms(terms[LOW*BITS-1:0]), .ones(ones[LOW-1:0]), .y(low), .plus(one)
    );
    adder_tree #(.TERMS(HIGH), .BITS(BITS), .CUT(BELOW)) high_tree (
      .clk, .terms(terms[TERMS*BITS-1:LOW*BITS]), .ones(ones[TERMS-1:LOW]), .y(high), .plus(carry)
    );

    carried_sum #(.BITS(SUM_W)) join_trees (.a(SUM_W'(low)), .b(SUM_W'(high)), .carry, .y(sum));
  end

endmodule
