// SPDX-License-Identifier: Apache-2.0
//
// Sum or difference of three integers.
//
//   y = a + (MINUS_B ? -b : b) + (MINUS_C ? -c : c) modulo 2^BITS
//
// Encoding   unsigned or two's complement
// Reference  integer sum
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
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

  logic [BITS-1:0] two;

  if (MINUS_B) begin : gen_minus_b
    assign two = a - b;
  end else begin : gen_plus_b
    assign two = a + b;
  end

  if (MINUS_C) begin : gen_minus_c
    assign y = two - c;
  end else begin : gen_plus_c
    assign y = two + c;
  end

endmodule
