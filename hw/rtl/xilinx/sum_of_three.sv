// SPDX-License-Identifier: Apache-2.0
//
// Twin of sum_of_three for AMD 7-series and later: a LUT6_2 a bit and a carry chain.
//
//   y = a + (MINUS_B ? -b : b) + (MINUS_C ? -c : c) modulo 2^BITS
//
// Encoding   unsigned or two's complement
// Reference  sum_of_three (proven equal)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
//
// Each bit has a full adder: O5 is its carry, O6 its sum with the carry of the bit before, which the
// chain adds. A subtracted integer is inverted; the ones that this leaves to add are the carries with
// which the full adders and the chain begin.
module sum_of_three #(
  parameter int   BITS    = 8,    // >= 1
  parameter logic MINUS_B = 1'b0,
  parameter logic MINUS_C = 1'b0
) (
  input  logic [BITS-1:0] a,
  input  logic [BITS-1:0] b,
  input  logic [BITS-1:0] c,
  output logic [BITS-1:0] y
);

  localparam int QUADS = (BITS + 3) / 4;

  // O6: parity of three bits and the carry before; O5: majority of the three.
  function automatic logic [63:0] adder_init();
    logic [3:0] at;
    adder_init = '0;
    for (int i = 0; i < 16; i++) begin
      at = 4'(i) ^ {1'b0, MINUS_C, MINUS_B, 1'b0};
      adder_init[i]    = (at[0] & at[1]) | (at[2] & (at[0] | at[1]));
      adder_init[32+i] = ^at;
    end
  endfunction

  logic [4*QUADS-1:0] differs, spare;
  /* verilator lint_off UNUSEDSIGNAL */ // beyond the result
  logic [4*QUADS-1:0] sum;
  logic [4*QUADS:0]   carry;
  logic [BITS:0]      majority;
  /* verilator lint_on UNUSEDSIGNAL */

  assign majority[0] = MINUS_B;
  assign carry[0]    = 1'b0;
  assign y           = sum[BITS-1:0];

  for (genvar i = 0; i < BITS; i++) begin : gen_bit
    LUT6_2 #(.INIT(adder_init())) adder (
      .I0(a[i]), .I1(b[i]), .I2(c[i]), .I3(majority[i]), .I4(1'b0), .I5(1'b1),
      .O6(differs[i]), .O5(majority[i+1])
    );
    assign spare[i] = majority[i];
  end

  if (4 * QUADS > BITS) begin : gen_unused
    assign differs[4*QUADS-1:BITS] = '0;
    assign spare[4*QUADS-1:BITS]   = '0;
  end

  for (genvar q = 0; q < QUADS; q++) begin : gen_quad
    logic first;
    if (q == 0) begin : gen_begin
      assign first = MINUS_C;
    end else begin : gen_next
      assign first = 1'b0;
    end
    CARRY4 chain (
      .CI(carry[4*q]), .CYINIT(first), .S(differs[4*q+:4]), .DI(spare[4*q+:4]),
      .O(sum[4*q+:4]), .CO(carry[4*q+1+:4])
    );
  end

endmodule
