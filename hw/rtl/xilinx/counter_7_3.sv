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

  // Bits 5 and 6 below have no inversion of their own: inverted bits come first.
  function automatic logic [20:0] order();
    int at;
    order = '0;
    at    = 0;
    for (int i = 0; i < 7; i++) begin
      if (INVERT[i]) begin
        order[3*at+:3] = 3'(i);
        at = at + 1;
      end
    end
    for (int i = 0; i < 7; i++) begin
      if (!INVERT[i]) begin
        order[3*at+:3] = 3'(i);
        at = at + 1;
      end
    end
  endfunction

  localparam logic [20:0] ORDER = order();

  function automatic logic [6:0] ordered(logic [6:0] bits);
    for (int i = 0; i < 7; i++) ordered[i] = bits[ORDER[3*i+:3]];
  endfunction

  localparam logic [6:0] FLIP = ordered(INVERT);

  // O6: parity of six bits; O5: the sixth bit as it is where that parity is 0.
  localparam logic [63:0] LOW = 64'h69969669_96696996 ^ {64{^FLIP[5:0]}};

  // O6: two or three of five bits; O5: four or five. An inverted input swaps the halves of the table
  // that it selects.
  localparam logic [63:0] BITS_0 = {32{2'b01}};
  localparam logic [63:0] BITS_1 = {16{4'h3}};
  localparam logic [63:0] BITS_2 = {8{8'h0f}};
  localparam logic [63:0] BITS_3 = {4{16'h00ff}};
  localparam logic [63:0] BITS_4 = {2{32'h0000ffff}};
  localparam logic [63:0] HIGH_0 = 64'h177E7EE8_E8808000;
  localparam logic [63:0] HIGH_1 =
      FLIP[0] ? ((HIGH_0 & BITS_0) << 1) | ((HIGH_0 >> 1) & BITS_0) : HIGH_0;
  localparam logic [63:0] HIGH_2 =
      FLIP[1] ? ((HIGH_1 & BITS_1) << 2) | ((HIGH_1 >> 2) & BITS_1) : HIGH_1;
  localparam logic [63:0] HIGH_3 =
      FLIP[2] ? ((HIGH_2 & BITS_2) << 4) | ((HIGH_2 >> 4) & BITS_2) : HIGH_2;
  localparam logic [63:0] HIGH_4 =
      FLIP[3] ? ((HIGH_3 & BITS_3) << 8) | ((HIGH_3 >> 8) & BITS_3) : HIGH_3;
  localparam logic [63:0] HIGH =
      FLIP[4] ? ((HIGH_4 & BITS_4) << 16) | ((HIGH_4 >> 16) & BITS_4) : HIGH_4;

  logic [6:0] x;
  logic       parity, sixth, is_one, is_two;
  /* verilator lint_off UNUSEDSIGNAL */ // what the upper half of the chain makes
  logic [3:0] sum, carries;
  /* verilator lint_on UNUSEDSIGNAL */

  assign x = ordered(a);

  LUT6_2 #(.INIT(LOW)) low (
    .I0(x[0]), .I1(x[1]), .I2(x[2]), .I3(x[3]), .I4(x[4]), .I5(x[5]), .O6(parity), .O5(sixth)
  );

  LUT6_2 #(.INIT(HIGH)) high (
    .I0(x[0]), .I1(x[1]), .I2(x[2]), .I3(x[3]), .I4(x[4]), .I5(1'b1), .O6(is_one), .O5(is_two)
  );

  CARRY4 chain (
    .CI(1'b0), .CYINIT(x[6] ^ FLIP[6]),
    .S({2'b00, is_one, parity}), .DI({2'b00, is_two, sixth ^ FLIP[5]}),
    .O(sum), .CO(carries)
  );

  assign y = sum[2:0];

endmodule
