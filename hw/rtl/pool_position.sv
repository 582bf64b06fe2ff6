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

  // Cells, a window and the gap behind it, and places in them; where an image ends.
  localparam int END_X = WIDTH + PAD_LEFT - 1;
  localparam int END_Y = HEIGHT + PAD_TOP - 1;
  localparam int KX_W  = STRIDE_X > 1 ? $clog2(STRIDE_X) : 1;
  localparam int KY_W  = STRIDE_Y > 1 ? $clog2(STRIDE_Y) : 1;
  localparam int OX_W  = $clog2(END_X / STRIDE_X + 2);
  localparam int OY_W  = $clog2(END_Y / STRIDE_Y + 2);
  localparam int FOLD_W = FOLDS > 1 ? $clog2(FOLDS) : 1;

  /* verilator lint_off UNUSEDSIGNAL */ // only where it is a part of the word
  logic [FOLD_W-1:0] fold;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [KX_W-1:0]   kx;
  logic [KY_W-1:0]   ky;
  logic [OX_W-1:0]   ox;
  logic [OY_W-1:0]   oy;
  logic              ends_pixel, is_end_x, is_end_y, ends_cell_x, ends_cell_y;

  assign is_end_x    = int'(ox) == END_X / STRIDE_X && int'(kx) == END_X % STRIDE_X;
  assign is_end_y    = int'(oy) == END_Y / STRIDE_Y && int'(ky) == END_Y % STRIDE_Y;
  assign ends_cell_x = int'(kx) == STRIDE_X - 1;
  assign ends_cell_y = int'(ky) == STRIDE_Y - 1;

  assign is_inside = int'(kx) < KERNEL_X && int'(ky) < KERNEL_Y
                  && int'(ox) < OUT_WIDTH && int'(oy) < OUT_HEIGHT;
  assign is_first  = (kx == '0 || (PAD_LEFT > 0 && ox == '0 && int'(kx) == PAD_LEFT))
                  && (ky == '0 || (PAD_TOP > 0 && oy == '0 && int'(ky) == PAD_TOP));
  assign is_last   = (int'(kx) == KERNEL_X - 1 || is_end_x)
                  && (int'(ky) == KERNEL_Y - 1 || is_end_y);

  counter #(.MODULUS(FOLDS)) folds (
    .clk, .rst, .step(fire), .value(fold), .is_last(ends_pixel)
  );

  always_ff @(posedge clk) begin
    if (rst) begin
      kx <= KX_W'(PAD_LEFT);
      ky <= KY_W'(PAD_TOP);
      ox <= '0;
      oy <= '0;
    end else if (fire && ends_pixel) begin
      kx <= is_end_x ? KX_W'(PAD_LEFT) : ends_cell_x ? '0 : kx + 1'b1;
      if (is_end_x) ox <= '0;
      else if (ends_cell_x) ox <= ox + 1'b1;
      if (is_end_x) begin
        ky <= is_end_y ? KY_W'(PAD_TOP) : ends_cell_y ? '0 : ky + 1'b1;
        if (is_end_y) oy <= '0;
        else if (ends_cell_y) oy <= oy + 1'b1;
      end
    end
  end

  // The word is ox * FOLDS + fold; a counter of its own only where that is no concatenation.
  if (FOLDS == 1) begin : gen_word_is_cell
    assign word = WORD_W'(ox);
  end else if (FOLDS == 1 << FOLD_W) begin : gen_word_is_both
    assign word = WORD_W'({ox, fold});
  end else begin : gen_word
    always_ff @(posedge clk) begin
      if (rst) word <= '0;
      else if (fire) begin
        if (!ends_pixel) word <= word + 1'b1;
        else if (is_end_x) word <= '0;
        else word <= ends_cell_x ? word + 1'b1 : word - WORD_W'(FOLDS - 1);
      end
    end
  end

endmodule
