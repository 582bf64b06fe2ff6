// SPDX-License-Identifier: Apache-2.0
//
// Place of each beat of an image among windows that do not overlap.
//
//   window = (iy + PAD_TOP) / STRIDE_Y, (ix + PAD_LEFT) / STRIDE_X, by counters
//
// Encoding   none; a pixel is FOLDS beats
// Reference  popshift.hw.stages.Pool (cycle-exact)
// Latency    0: the outputs tell of the next beat
// II         1 cycle a beat
// Stall      stands still while fire is low
// Reset      rst goes to the first beat of an image
module pool_position #(
  parameter int HEIGHT     = 4,
  parameter int WIDTH      = 4,
  parameter int FOLDS      = 1,
  parameter int OUT_HEIGHT = 2,
  parameter int OUT_WIDTH  = 2,
  parameter int KERNEL_Y   = 2,
  parameter int KERNEL_X   = 2,
  parameter int STRIDE_Y   = 2,   // >= KERNEL_Y
  parameter int STRIDE_X   = 2,   // >= KERNEL_X
  parameter int PAD_TOP    = 0,   // < KERNEL_Y
  parameter int PAD_LEFT   = 0,   // < KERNEL_X
  localparam int CELLS     = (WIDTH + PAD_LEFT + STRIDE_X - 1) / STRIDE_X,
  localparam int WORD_W    = CELLS * FOLDS > 1 ? $clog2(CELLS * FOLDS) : 1
) (
  input  logic              clk,
  input  logic              rst,
  input  logic              fire,

  output logic              is_inside,  // in a window at all
  output logic              is_first,   // first beat of its window and fold, given is_inside
  output logic              is_last,    // last beat of its window and fold, given is_inside
  output logic [WORD_W-1:0] word        // window of the row and fold
);

  if (STRIDE_Y < KERNEL_Y || STRIDE_X < KERNEL_X) begin : gen_check
    $error("pool_position: windows of %0d x %0d overlap (%m)", KERNEL_Y, KERNEL_X);
  end

  localparam int FOLD_W = FOLDS > 1 ? $clog2(FOLDS) : 1;
  localparam int IX_W   = WIDTH > 1 ? $clog2(WIDTH) : 1;
  localparam int IY_W   = HEIGHT > 1 ? $clog2(HEIGHT) : 1;
  localparam int KX_W   = STRIDE_X > 1 ? $clog2(STRIDE_X) : 1;
  localparam int KY_W   = STRIDE_Y > 1 ? $clog2(STRIDE_Y) : 1;
  localparam int OX_W   = $clog2(CELLS + 1);
  localparam int OY_W   = $clog2((HEIGHT + PAD_TOP + STRIDE_Y - 1) / STRIDE_Y + 1);

  logic [FOLD_W-1:0] fold;
  logic [IX_W-1:0]   ix;
  logic [IY_W-1:0]   iy;
  logic [KX_W-1:0]   kx;
  logic [KY_W-1:0]   ky;
  logic [OX_W-1:0]   ox;
  logic [OY_W-1:0]   oy;
  logic              ends_pixel, ends_row, ends_image, ends_cell_x, ends_cell_y;

  assign ends_pixel  = fold == FOLD_W'(FOLDS - 1);
  assign ends_row    = ends_pixel && ix == IX_W'(WIDTH - 1);
  assign ends_image  = ends_row && iy == IY_W'(HEIGHT - 1);
  assign ends_cell_x = kx == KX_W'(STRIDE_X - 1);
  assign ends_cell_y = ky == KY_W'(STRIDE_Y - 1);

  assign is_inside = int'(kx) < KERNEL_X && int'(ky) < KERNEL_Y
                  && int'(ox) < OUT_WIDTH && int'(oy) < OUT_HEIGHT;
  assign is_first  = (kx == '0 || ix == '0) && (ky == '0 || iy == '0);
  assign is_last   = (kx == KX_W'(KERNEL_X - 1) || ix == IX_W'(WIDTH - 1))
                  && (ky == KY_W'(KERNEL_Y - 1) || iy == IY_W'(HEIGHT - 1));

  always_ff @(posedge clk) begin
    if (rst) begin
      fold <= '0;
      ix   <= '0;
      iy   <= '0;
      kx   <= KX_W'(PAD_LEFT);
      ky   <= KY_W'(PAD_TOP);
      ox   <= '0;
      oy   <= '0;
      word <= '0;
    end else if (fire) begin
      fold <= ends_pixel ? '0 : fold + 1'b1;
      if (ends_row) begin
        ix   <= '0;
        kx   <= KX_W'(PAD_LEFT);
        ox   <= '0;
        word <= '0;
      end else if (ends_pixel) begin
        ix   <= ix + 1'b1;
        kx   <= ends_cell_x ? '0 : kx + 1'b1;
        ox   <= ends_cell_x ? ox + 1'b1 : ox;
        word <= ends_cell_x ? word + 1'b1 : word - WORD_W'(FOLDS - 1);
      end else begin
        word <= word + 1'b1;
      end
      if (ends_image) begin
        iy <= '0;
        ky <= KY_W'(PAD_TOP);
        oy <= '0;
      end else if (ends_row) begin
        iy <= iy + 1'b1;
        ky <= ends_cell_y ? '0 : ky + 1'b1;
        oy <= ends_cell_y ? oy + 1'b1 : oy;
      end
    end
  end

endmodule
