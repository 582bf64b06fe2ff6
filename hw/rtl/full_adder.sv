// SPDX-License-Identifier: Apache-2.0
//
// Sum of three bits.
//
//   sum + 2 * carry = number of ones of a ^ INVERT
//
// Encoding   unsigned
// Reference  integer sum
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

  logic [2:0] bits;
  assign bits  = a ^ INVERT;
  assign sum   = ^bits;
  assign carry = (bits[0] & bits[1]) | (bits[2] & (bits[0] | bits[1]));

endmodule
