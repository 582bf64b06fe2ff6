// SPDX-License-Identifier: Apache-2.0
//
// Sum of two integers and a carry, in one carry chain.
//
//   y = a + b + carry modulo 2^BITS
//
// Encoding   unsigned or two's complement
// Reference  integer sum
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
//
// Synthesis makes two additions of three terms. Here one bit more below begins with the carry.
module carried_sum #(
  parameter int BITS = 8  // >= 1
) (
  input  logic [BITS-1:0] a,
  input  logic [BITS-1:0] b,
  input  logic            carry,
  output logic [BITS-1:0] y
);

  logic [BITS:0] sum;
  logic          unused;

  assign sum    = {a, carry} + {b, carry};
  assign y      = sum[BITS:1];
  assign unused = &{1'b0, sum[0]};

endmodule
