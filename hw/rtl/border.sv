// SPDX-License-Identifier: Apache-2.0
//
// Where the levels of a position of an image begin, which differ near its border.
//
//   offset of position (oy, ox) = ROWS_FILE[oy] + COLUMNS_FILE[ox]
//
// Encoding   unsigned words of a level memory; positions in raster order
// Reference  popshift.hw.stages.Border (bit-exact)
// Latency    1 cycle from the operation, which is of the position until ends_vector is high
// II         1 cycle
// Stall      stands still while ends_vector is low
// Reset      rst goes to the first position; data and memories are not reset
module border #(
  parameter int OUT_HEIGHT   = 2,
  parameter int OUT_WIDTH    = 2,
  parameter int AT_W         = 4,  // bits of an offset
  parameter     ROWS_FILE    = "rows",
  parameter     COLUMNS_FILE = "columns"
) (
  input  logic            clk,
  input  logic            rst,
  input  logic            ends_vector,
  output logic [AT_W-1:0] offset
);

  localparam int OX_W = OUT_WIDTH > 1 ? $clog2(OUT_WIDTH) : 1;
  localparam int OY_W = OUT_HEIGHT > 1 ? $clog2(OUT_HEIGHT) : 1;

  logic [AT_W-1:0] rows[OUT_HEIGHT];
  logic [AT_W-1:0] columns[OUT_WIDTH];
  logic [AT_W-1:0] row, column;
  logic [OX_W-1:0] ox;
  logic [OY_W-1:0] oy;
  logic            is_last_column;

  initial begin
    $readmemh({ROWS_FILE, ".hex"}, rows);
    $readmemh({COLUMNS_FILE, ".hex"}, columns);
  end

  assign offset = row + column;

  counter #(.MODULUS(OUT_WIDTH)) across (
    .clk, .rst, .step(ends_vector), .value(ox), .is_last(is_last_column)
  );
  /* verilator lint_off PINCONNECTEMPTY */
  counter #(.MODULUS(OUT_HEIGHT)) down (
    .clk, .rst, .step(ends_vector && is_last_column), .value(oy), .is_last()
  );
  /* verilator lint_on PINCONNECTEMPTY */

  always_ff @(posedge clk) begin
    row    <= rows[oy];
    column <= columns[ox];
  end

endmodule
