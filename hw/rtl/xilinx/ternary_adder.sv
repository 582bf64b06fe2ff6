// SPDX-License-Identifier: Apache-2.0
//
// Twin of ternary_adder for AMD 7-series and later: a LUT6_2 a column and a carry chain.
//
//   y = sum over columns c of 2^c * (number of ones of a ^ INVERT in column c), modulo 2^COLUMNS
//
// Encoding   unsigned; HEIGHTS[16*c+:16] bits in column c, 0 to 3, column 0 in the low bits of a
// Reference  ternary_adder (proven equal)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
//
// A column with more than two bits to add, the carry of the full adder before it among them, has a
// full adder of its own: O5 is its carry, O6 its sum with that carry before, which the chain adds.
// Columns of one bit below all others pass by.
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

  // The lowest column with more than one bit.
  function automatic int start();
    start = COLUMNS;
    for (int c = COLUMNS - 1; c >= 0; c--) if (HEIGHTS[16*c+:16] > 16'd1) start = c;
  endfunction

  // Whether the columns have full adders.
  function automatic logic [COLUMNS-1:0] adders();
    adders = '0;
    for (int c = 0; c < COLUMNS; c++) begin
      adders[c] = HEIGHTS[16*c+:16] + 16'(c > 0 ? adders[c>0?c-1:0] : 1'b0) > 16'd2;
    end
  endfunction

  // O6: parity of three bits and the carry before; O5: majority of the three.
  function automatic logic [63:0] adder_init(logic [2:0] invert);
    logic [3:0] at;
    adder_init = '0;
    for (int i = 0; i < 16; i++) begin
      at = 4'(i) ^ {1'b0, invert};
      adder_init[i]    = (at[0] & at[1]) | (at[2] & (at[0] | at[1]));
      adder_init[32+i] = ^at;
    end
  endfunction

  localparam logic [COLUMNS-1:0] ADDERS = adders();
  localparam int START = start();
  localparam int TOP   = COLUMNS - START;  // columns of the chain
  localparam int QUADS = (TOP + 3) / 4;

  for (genvar c = 0; c < START; c++) begin : gen_single
    if (HEIGHTS[16*c+:16] > 0) begin : gen_bit
      localparam int FROM = int'(BEGINS[16*c+:16]);
      assign y[c] = a[FROM] ^ INVERT[FROM];
    end else begin : gen_none
      assign y[c] = 1'b0;
    end
  end

  if (TOP > 0) begin : gen_chain
    logic [4*QUADS-1:0] differs, either;
    /* verilator lint_off UNUSEDSIGNAL */ // beyond the result
    logic [4*QUADS-1:0] sum;
    logic [4*QUADS:0]   carry;  // of the chain
    logic [TOP:0]       spare;  // of the full adders
    /* verilator lint_on UNUSEDSIGNAL */

    assign carry[0] = 1'b0;
    assign spare[0] = 1'b0;
    assign y[COLUMNS-1:START] = sum[TOP-1:0];

    for (genvar i = 0; i < TOP; i++) begin : gen_column
      localparam int HEIGHT = int'(HEIGHTS[16*(START+i)+:16]);
      localparam int FROM   = int'(BEGINS[16*(START+i)+:16]);

      logic first;  // a bit to propagate or generate, where no full adder gives one
      if (ADDERS[START+i]) begin : gen_adder
        logic [2:0] bits;
        assign bits  = 3'(a[FROM+:HEIGHT]);
        assign first = 1'b0;
        LUT6_2 #(.INIT(adder_init(3'(INVERT[FROM+:HEIGHT])))) adder (
          .I0(bits[0]), .I1(bits[1]), .I2(bits[2]), .I3(spare[i]), .I4(1'b0), .I5(1'b1),
          .O6(differs[i]), .O5(spare[i+1])
        );
      end else begin : gen_sum
        if (HEIGHT > 0) begin : gen_bits
          assign first      = i > 0 && ADDERS[START+i-(i>0?1:0)] ? 1'b0 : a[FROM] ^ INVERT[FROM];
          assign differs[i] = ^(a[FROM+:HEIGHT] ^ INVERT[FROM+:HEIGHT]) ^ spare[i];
        end else begin : gen_none
          assign first      = 1'b0;
          assign differs[i] = spare[i];
        end
        assign spare[i+1] = 1'b0;
      end
      assign either[i] = first | spare[i];
    end

    if (4 * QUADS > TOP) begin : gen_unused
      assign differs[4*QUADS-1:TOP] = '0;
      assign either[4*QUADS-1:TOP]  = '0;
    end

    for (genvar q = 0; q < QUADS; q++) begin : gen_quad
      CARRY4 chain (
        .CI(carry[4*q]), .CYINIT(1'b0), .S(differs[4*q+:4]), .DI(either[4*q+:4]),
        .O(sum[4*q+:4]), .CO(carry[4*q+1+:4])
      );
    end
  end

endmodule
