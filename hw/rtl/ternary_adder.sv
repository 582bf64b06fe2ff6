// SPDX-License-Identifier: Apache-2.0
//
// Sum of up to three rows of bits.
//
//   y = sum over columns c of 2^c * (number of ones of a ^ INVERT in column c), modulo 2^COLUMNS
//
// Encoding   unsigned; HEIGHTS[16*c+:16] bits in column c, 0 to 3, column 0 in the low bits of a
// Reference  integer sum
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module ternary_adder #(
  parameter int COLUMNS = 4,                                   // bits of y, >= 1
  /* verilator lint_off WIDTHEXPAND */ // it takes the widths of the defaults
  parameter logic [16*COLUMNS-1:0] HEIGHTS = {COLUMNS{16'd3}},
  parameter int BITS    = 3 * COLUMNS,                         // sum of HEIGHTS
  parameter logic [BITS-1:0] INVERT = '0                       // bits of a to be inverted
  /* verilator lint_on WIDTHEXPAND */
) (
  input  logic [BITS-1:0]    a,
  output logic [COLUMNS-1:0] y
);

  // Where each column begins.
  function automatic logic [16*COLUMNS-1:0] begins();
    begins = '0;
    for (int c = 1; c < COLUMNS; c++) begin
      begins[16*c+:16] = begins[16*(c-1)+:16] + HEIGHTS[16*(c-1)+:16];
    end
  endfunction

  localparam logic [16*COLUMNS-1:0] BEGINS = begins();

  logic [BITS-1:0]    bits;
  logic [COLUMNS-1:0] row_0, row_1, row_2;

  assign bits = a ^ INVERT;

  for (genvar c = 0; c < COLUMNS; c++) begin : gen_column
    localparam int HEIGHT = int'(HEIGHTS[16*c+:16]);
    localparam int FROM   = int'(BEGINS[16*c+:16]);

    if (HEIGHT > 3) begin : gen_check
      $error("ternary_adder: HEIGHTS[%0d]=%0d must be <= 3 (%m)", c, HEIGHT);
    end
    if (HEIGHT > 0) begin : gen_bits
      assign {row_2[c], row_1[c], row_0[c]} = 3'(bits[FROM+:HEIGHT]);
    end else begin : gen_none
      assign {row_2[c], row_1[c], row_0[c]} = '0;
    end
  end

  assign y = row_0 + row_1 + row_2;

endmodule
