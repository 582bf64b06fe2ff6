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
  parameter     ROWS_FILE    = "rows.hex",
  parameter     COLUMNS_FILE = "columns.hex"
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
  logic            ends_row;

  initial begin
    $readmemh(ROWS_FILE, rows);
    $readmemh(COLUMNS_FILE, columns);
  end

  assign ends_row = ends_vector && ox == OX_W'(OUT_WIDTH - 1);
  assign offset   = row + column;

  always_ff @(posedge clk) begin
    if (rst) begin
      ox <= '0;
      oy <= '0;
    end else begin
      if (ends_vector) ox <= ends_row ? '0 : ox + 1'b1;
      if (ends_row) oy <= oy == OY_W'(OUT_HEIGHT - 1) ? '0 : oy + 1'b1;
    end
    row    <= rows[oy];
    column <= columns[ox];
  end

endmodule
