// SPDX-License-Identifier: Apache-2.0
//
// Twin of counter_7_3 for AMD 7-series and later: two LUTs and a CARRY4.
//
//   y = number of ones of a ^ INVERT
//
// Encoding   unsigned, 0 to 7
// Reference  counter_7_3 (proven equal)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
//
// One bit starts the chain. Position 0 adds the parity of the six others; where that is 0, the sixth
// is carried, which then is the parity of the five and comes from the same LUT. That leaves half of
// the five, rounded down, for position 1: 1 propagates, 2 generates. Position 2 lets the carry out. See T. Preusser,
// Generic and Universal Parallel Matrix Summation with a Flexible Compression Goal for Xilinx FPGAs,
// arXiv:1806.08095.
module counter_7_3 #(
  parameter logic [6:0] INVERT = '0  // bits of a to be inverted
) (
  input  logic [6:0] a,
  output logic [2:0] y
);

  // The start of the chain cannot be inverted: a bit that need not be, if there is one.
  function automatic int start();
    start = 6;
    for (int i = 0; i < 7; i++) if (!INVERT[i]) start = i;
  endfunction

  localparam int START = start();

  // The six other bits.
  function automatic logic [5:0] others(logic [6:0] of);
    for (int i = 0; i < 6; i++) others[i] = of[i<START ? i : i+1];
  endfunction

  localparam logic [5:0] SIX = others(INVERT);

  // O6: parity of six bits; O5: the sixth bit as it is where that parity is 0.
  function automatic logic [63:0] low_init();
    low_init = '0;
    for (int i = 0; i < 64; i++) low_init[i] = ^(6'(i) ^ SIX);
  endfunction

  // O6: two or three of five bits; O5: four or five.
  function automatic logic [63:0] high_init();
    int count;
    high_init = '0;
    for (int i = 0; i < 32; i++) begin
      count = 0;
      for (int b = 0; b < 5; b++) if (1'(i >> b) != SIX[b]) count = count + 1;
      high_init[i]    = count >= 4;
      high_init[32+i] = count == 2 || count == 3;
    end
  endfunction

  logic [5:0] x;
  logic       parity, sixth, is_one, is_two;
  /* verilator lint_off UNUSEDSIGNAL */ // what the upper half of the chain makes
  logic [3:0] sum, carries;
  /* verilator lint_on UNUSEDSIGNAL */

  assign x = others(a);

  LUT6_2 #(.INIT(low_init())) low (
    .I0(x[0]), .I1(x[1]), .I2(x[2]), .I3(x[3]), .I4(x[4]), .I5(x[5]), .O6(parity), .O5(sixth)
  );

  LUT6_2 #(.INIT(high_init())) high (
    .I0(x[0]), .I1(x[1]), .I2(x[2]), .I3(x[3]), .I4(x[4]), .I5(1'b1), .O6(is_one), .O5(is_two)
  );

  CARRY4 chain (
    .CI(1'b0), .CYINIT(a[START] ^ INVERT[START]),
    .S({2'b00, is_one, parity}), .DI({2'b00, is_two, sixth}),
    .O(sum), .CO(carries)
  );

  assign y = sum[2:0];

endmodule
