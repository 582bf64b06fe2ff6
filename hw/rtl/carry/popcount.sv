// SPDX-License-Identifier: Apache-2.0
//
// Twin of popcount for FPGAs whose carry chains cost no more than LUTs: iCE40 and Gowin.
//
//   y = number of ones of a ^ INVERT = popcount(low half) + popcount(high half) + last bit
//
// Encoding   y unsigned, 0 to N
// Reference  popcount (proven equal)
// Latency    LATENCY cycles, registers spread evenly over the levels
// II         1 cycle
// Stall      none
// Reset      none
//
// A full adder of LUTs takes two LUTs of four inputs; in a chain it takes one and a half, the places
// where the carry enters and leaves included.
module popcount #(
  parameter  int N       = 8,             // bits, >= 1
  parameter  int LATENCY = 0,             // cycles, >= 0
  parameter  logic [N-1:0] INVERT = '0,   // bits of a to be inverted
  localparam int SUM_W   = $clog2(N + 1)
) (
  /* verilator lint_off UNUSEDSIGNAL */ // without a register there is no clock
  input  logic             clk,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [N-1:0]     a,
  output logic [SUM_W-1:0] y
);

  if (N < 1) begin : gen_check
    $error("popcount: N=%0d must be >= 1 (%m)", N);
  end

  localparam int LEVELS = SUM_W > 2 ? SUM_W - 1 : 1;
  localparam int BEFORE = LATENCY * (LEVELS - 1) / LEVELS;  // registers in front of this level

  logic [SUM_W-1:0] sum;

  if (N == 1) begin : gen_one
    assign sum = a ^ INVERT;
  end else if (N == 2) begin : gen_two
    logic [1:0] bits;
    assign bits = a ^ INVERT;
    assign sum  = {&bits, ^bits};
  end else if (N == 3) begin : gen_three
    full_adder #(.INVERT(INVERT)) adder (.a, .sum(sum[0]), .carry(sum[1]));
  end else begin : gen_halves
    localparam int LOW    = N / 2;
    localparam int HIGH   = N - 1 - LOW;
    localparam int LOW_W  = $clog2(LOW + 1);
    localparam int HIGH_W = $clog2(HIGH + 1);

    logic [LOW_W-1:0]  low;
    logic [HIGH_W-1:0] high;
    logic              last;

    popcount #(.N(LOW), .LATENCY(BEFORE), .INVERT(INVERT[LOW-1:0])) count_low (
      .clk, .a(a[LOW-1:0]), .y(low)
    );
    popcount #(.N(HIGH), .LATENCY(BEFORE), .INVERT(INVERT[N-2:LOW])) count_high (
      .clk, .a(a[N-2:LOW]), .y(high)
    );
    delay #(.WIDTH(1), .CYCLES(BEFORE)) keep (.clk, .x(a[N-1] ^ INVERT[N-1]), .y(last));
    carried_sum #(.BITS(SUM_W)) add (.a(SUM_W'(low)), .b(SUM_W'(high)), .carry(last), .y(sum));
  end

  localparam int AFTER = N < 4 ? LATENCY : LATENCY - BEFORE;
  delay #(.WIDTH(SUM_W), .CYCLES(AFTER)) pipeline (.clk, .x(sum), .y);

endmodule
