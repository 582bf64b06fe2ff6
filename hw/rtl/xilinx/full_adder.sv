// SPDX-License-Identifier: Apache-2.0
//
// Twin of full_adder for AMD 7-series and later: one LUT6_2.
//
//   sum + 2 * carry = number of ones of a ^ INVERT
//
// Encoding   unsigned
// Reference  full_adder (proven equal)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module full_adder #(
  parameter logic [2:0] INVERT = '0  // bits of a to be inverted
) (
  input  logic [2:0] a,
  output logic       sum,
  output logic       carry
);

  // O6: parity; O5: majority.
  function automatic logic [63:0] both_init();
    logic [2:0] at;
    both_init = '0;
    for (int i = 0; i < 8; i++) begin
      at              = 3'(i) ^ INVERT;
      both_init[i]    = (at[0] & at[1]) | (at[2] & (at[0] | at[1]));
      both_init[32+i] = ^at;
    end
  endfunction

  LUT6_2 #(.INIT(both_init())) both (
    .I0(a[0]), .I1(a[1]), .I2(a[2]), .I3(1'b0), .I4(1'b0), .I5(1'b1), .O6(sum), .O5(carry)
  );

endmodule
