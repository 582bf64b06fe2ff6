// SPDX-License-Identifier: Apache-2.0
//
// Number of ones of seven bits.
//
//   y = number of ones of a ^ INVERT
//
// Encoding   unsigned, 0 to 7
// Reference  integer sum
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module counter_7_3 #(
  parameter logic [6:0] INVERT = '0  // bits of a to be inverted
) (
  input  logic [6:0] a,
  output logic [2:0] y
);

  logic low_sum, high_sum, low_carry, high_carry, carry;

  full_adder #(.INVERT(INVERT[2:0])) low (.a(a[2:0]), .sum(low_sum), .carry(low_carry));
  full_adder #(.INVERT(INVERT[5:3])) high (.a(a[5:3]), .sum(high_sum), .carry(high_carry));
  full_adder #(.INVERT({INVERT[6], 2'b00})) ones (
    .a({a[6], high_sum, low_sum}), .sum(y[0]), .carry(carry)
  );
  full_adder twos (.a({carry, high_carry, low_carry}), .sum(y[1]), .carry(y[2]));

endmodule
