// SPDX-License-Identifier: Apache-2.0
//
// The lines of a sliding window: an image comes in raster order and goes out window by window.
//
//   data of read (oy, ox, group, ky, kx, fold) =
//       x[oy*STRIDE_Y - PAD_TOP + ky*DILATION_Y][ox*STRIDE_X - PAD_LEFT + kx*DILATION_X]
//        [group*(FOLDS/GROUPS) + fold]
//   data_is_padding where that pixel is outside the image; the data is then of no meaning; an image
//   is begun when its first word is there
//
// Encoding   none, BITS opaque bits a word, FOLDS words a pixel
// Reference  popshift.hw.stages.line_buffer.LineBuffer (cycle-exact)
// Latency    2 cycles from fire to data; 1 cycle from an accepted beat to can_fire
// II         1 cycle a read
// Stall      can_fire is low while the word is not there; s_axis_tready is low while DEPTH words are
//            held, none of which may be dropped. Both come from registers alone.
// Reset      rst clears counters and valid bits; data is not reset
//
// One counter each way replaces positions: `ahead` is how many words are there beyond the one to be
// read, less one, and `held` how many are held beyond DEPTH, so that the signs decide. After a window
// the words that no later window of the row begins with are dropped, after a row the rows above the
// next one. Addresses descend, so that the read address takes the very steps of `ahead`.
module line_buffer #(
  parameter int BITS       = 8,   // of a word
  parameter int HEIGHT     = 4,
  parameter int WIDTH      = 4,
  parameter int FOLDS      = 1,   // words of a pixel
  parameter int GROUPS     = 1,   // of the words of a pixel
  parameter int OUT_HEIGHT = 2,
  parameter int OUT_WIDTH  = 2,
  parameter int KERNEL_Y   = 3,
  parameter int KERNEL_X   = 3,
  parameter int STRIDE_Y   = 1,
  parameter int STRIDE_X   = 1,
  parameter int DILATION_Y = 1,
  parameter int DILATION_X = 1,
  parameter int PAD_TOP    = 0,
  parameter int PAD_LEFT   = 0,
  parameter int IS_PADDED  = 0,   // 1 where there is padding at any side
  parameter int DEPTH      = 12,  // words held
  parameter int AHEAD_BITS = 5,   // holds every value of ahead
  parameter int HELD_BITS  = 5,   // holds every value of held
  parameter int IS_BLOCK   = 0,   // 1: block RAM
  localparam int SIZE      = FOLDS / GROUPS,
  localparam int FOLD_W    = SIZE > 1 ? $clog2(SIZE) : 1
) (
  input  logic              clk,
  input  logic              rst,

  input  logic [BITS-1:0]   s_axis_tdata,
  input  logic              s_axis_tvalid,
  output logic              s_axis_tready,

  // The next read: whether its word is there, its place in the window; it happens when fire is high
  output logic              can_fire,
  output logic              is_first_tap,
  output logic              is_last_tap,
  output logic [FOLD_W-1:0] fold,
  input  logic              fire,

  // Two cycles after fire
  output logic              data_valid,
  output logic              data_is_padding,
  output logic [BITS-1:0]   data
);

  localparam int OX_W = OUT_WIDTH > 1 ? $clog2(OUT_WIDTH) : 1;
  localparam int OY_W = OUT_HEIGHT > 1 ? $clog2(OUT_HEIGHT) : 1;
  localparam int GROUP_W = GROUPS > 1 ? $clog2(GROUPS) : 1;
  localparam int KX_W = KERNEL_X > 1 ? $clog2(KERNEL_X) : 1;
  localparam int KY_W = KERNEL_Y > 1 ? $clog2(KERNEL_Y) : 1;
  localparam int AT_W = DEPTH > 1 ? $clog2(DEPTH) : 1;

  if (AHEAD_BITS < AT_W) begin : gen_check
    $error("line_buffer: AHEAD_BITS=%0d must be >= %0d (%m)", AHEAD_BITS, AT_W);
  end

  // Words between a read and the next one, by which loop of the nest goes on.
  localparam int ROW      = WIDTH * FOLDS;
  localparam int START    = -(PAD_TOP * WIDTH + PAD_LEFT) * FOLDS;
  localparam int STEP_KX  = DILATION_X * FOLDS - (SIZE - 1);
  localparam int STEP_KY  = DILATION_Y * ROW - (KERNEL_X - 1) * DILATION_X * FOLDS - (SIZE - 1);
  localparam int STEP_GROUP = STEP_KY - KERNEL_Y * DILATION_Y * ROW + SIZE;
  localparam int TO_TOP   = STEP_GROUP - FOLDS;
  localparam int STEP_OX  = TO_TOP + STRIDE_X * FOLDS;
  localparam int STEP_OY  = TO_TOP + STRIDE_Y * ROW - (OUT_WIDTH - 1) * STRIDE_X * FOLDS;
  localparam int STEP_END = TO_TOP + (HEIGHT - (OUT_HEIGHT - 1) * STRIDE_Y) * ROW
                          - (OUT_WIDTH - 1) * STRIDE_X * FOLDS;

  // Words dropped after a window: none while windows begin in the padding.
  localparam int PADDED_X   = (PAD_LEFT + STRIDE_X - 1) / STRIDE_X;
  localparam int PADDED_Y   = (PAD_TOP + STRIDE_Y - 1) / STRIDE_Y;
  localparam int DROPS_X    = OUT_WIDTH - 1 > PADDED_X ? OUT_WIDTH - 1 - PADDED_X : 0;
  localparam int DROP_OX    = STRIDE_X * FOLDS;
  localparam int DROP_FIRST = (PADDED_Y * STRIDE_Y - PAD_TOP) * ROW;
  localparam int DROP_OY    = STRIDE_Y * ROW - DROPS_X * DROP_OX;
  localparam int DROP_END   = OUT_HEIGHT > PADDED_Y
                            ? (HEIGHT + PAD_TOP - (OUT_HEIGHT - 1) * STRIDE_Y) * ROW
                              - DROPS_X * DROP_OX
                            : HEIGHT * ROW;

  // The loop nest of the reads.
  logic [KX_W-1:0] kx;
  logic [KY_W-1:0] ky;
  logic [OX_W-1:0] ox;
  logic [OY_W-1:0] oy;
  /* verilator lint_off UNUSEDSIGNAL */ // nothing depends on which group it is
  logic [GROUP_W-1:0] group;
  /* verilator lint_on UNUSEDSIGNAL */
  logic            last_fold, last_kx, last_ky, last_group, last_ox, last_oy;
  logic            ends_pixel, ends_line, ends_group, ends_window, ends_row, ends_image;

  assign ends_pixel   = last_fold;
  assign ends_line    = ends_pixel && last_kx;
  assign ends_group   = ends_line && last_ky;
  assign ends_window  = ends_group && last_group;
  assign ends_row     = ends_window && last_ox;
  assign ends_image   = ends_row && last_oy;
  assign is_first_tap = kx == '0 && ky == '0;
  assign is_last_tap  = last_kx && last_ky;

  counter #(.MODULUS(SIZE)) folds (
    .clk, .rst, .step(fire), .value(fold), .is_last(last_fold)
  );
  counter #(.MODULUS(KERNEL_X)) taps_x (
    .clk, .rst, .step(fire && ends_pixel), .value(kx), .is_last(last_kx)
  );
  counter #(.MODULUS(KERNEL_Y)) taps_y (
    .clk, .rst, .step(fire && ends_line), .value(ky), .is_last(last_ky)
  );
  counter #(.MODULUS(GROUPS)) groups (
    .clk, .rst, .step(fire && ends_group), .value(group), .is_last(last_group)
  );
  counter #(.MODULUS(OUT_WIDTH)) columns (
    .clk, .rst, .step(fire && ends_window), .value(ox), .is_last(last_ox)
  );
  counter #(.MODULUS(OUT_HEIGHT)) rows (
    .clk, .rst, .step(fire && ends_row), .value(oy), .is_last(last_oy)
  );

  // Which loop goes on with the next read.
  logic [2:0] going;
  always_comb begin
    if (ends_image) going = 3'd6;
    else if (ends_row) going = 3'd5;
    else if (ends_window) going = 3'd4;
    else if (GROUPS > 1 && ends_group) going = 3'd3;
    else if (ends_line) going = 3'd2;
    else if (ends_pixel) going = 3'd1;
    else going = 3'd0;
  end

  // Whether the pixel is outside the image.
  logic is_padding;
  if (IS_PADDED != 0) begin : gen_padding
    localparam int SPAN_X = WIDTH + KERNEL_X * DILATION_X + STRIDE_X + PAD_LEFT;
    localparam int SPAN_Y = HEIGHT + KERNEL_Y * DILATION_Y + STRIDE_Y + PAD_TOP;
    localparam int IX_W   = $clog2(SPAN_X) + 1;
    localparam int IY_W   = $clog2(SPAN_Y) + 1;

    // Two's complement: as unsigned numbers, negative ones are beyond the image as well.
    logic [IX_W-1:0] ix;
    logic [IY_W-1:0] iy;
    assign is_padding = ix >= IX_W'(WIDTH) || iy >= IY_W'(HEIGHT);

    always_ff @(posedge clk) begin
      if (rst) begin
        ix <= IX_W'(-PAD_LEFT);
        iy <= IY_W'(-PAD_TOP);
      end else if (fire) begin
        if (ends_row) ix <= IX_W'(-PAD_LEFT);
        else if (ends_window) ix <= ix + IX_W'(STRIDE_X - (KERNEL_X - 1) * DILATION_X);
        else if (ends_line) ix <= ix - IX_W'((KERNEL_X - 1) * DILATION_X);
        else if (ends_pixel) ix <= ix + IX_W'(DILATION_X);

        if (ends_image) iy <= IY_W'(-PAD_TOP);
        else if (ends_row) iy <= iy + IY_W'(STRIDE_Y - (KERNEL_Y - 1) * DILATION_Y);
        else if (ends_group) iy <= iy - IY_W'((KERNEL_Y - 1) * DILATION_Y);
        else if (ends_line) iy <= iy + IY_W'(DILATION_Y);
      end
    end
  end else begin : gen_no_padding
    assign is_padding = 1'b0;
  end

  // Words there beyond the one to be read, words held beyond DEPTH.
  logic [AHEAD_BITS-1:0] ahead, next_ahead, step;
  logic [HELD_BITS-1:0]  held, next_held, drop;
  logic                  write, is_dropping_row, is_dropping_pixel;

  assign s_axis_tready     = held[HELD_BITS-1];
  assign write             = s_axis_tvalid && s_axis_tready;
  assign is_dropping_row   = int'(oy) >= PADDED_Y;
  assign is_dropping_pixel = is_dropping_row && int'(ox) >= PADDED_X;

  if (START < 0) begin : gen_start
    // An image that begins with padding is begun when its first word is there.
    logic is_start;
    assign can_fire = is_start ? $signed(ahead) >= $signed(AHEAD_BITS'(-START))
                               : is_padding || !ahead[AHEAD_BITS-1];
    always_ff @(posedge clk) begin
      if (rst) is_start <= 1'b1;
      else if (fire) is_start <= ends_image;
    end
  end else begin : gen_no_start
    assign can_fire = is_padding || !ahead[AHEAD_BITS-1];
  end

  always_comb begin
    case ({fire, going})
      4'b1000: step = AHEAD_BITS'(-1);
      4'b1001: step = AHEAD_BITS'(-STEP_KX);
      4'b1010: step = AHEAD_BITS'(-STEP_KY);
      4'b1011: step = GROUPS > 1 ? AHEAD_BITS'(-STEP_GROUP) : 'x;
      4'b1100: step = AHEAD_BITS'(-STEP_OX);
      4'b1101: step = AHEAD_BITS'(-STEP_OY);
      4'b1110: step = AHEAD_BITS'(-STEP_END);
      4'b1111: step = 'x;
      default: step = '0;
    endcase

    drop = '0;
    if (fire && ends_image) drop = HELD_BITS'(-DROP_END);
    else if (fire && ends_row && is_dropping_row) drop = HELD_BITS'(-DROP_OY);
    else if (fire && ends_row && int'(oy) + 1 == PADDED_Y) drop = HELD_BITS'(-DROP_FIRST);
    else if (fire && ends_window && !ends_row && is_dropping_pixel) drop = HELD_BITS'(-DROP_OX);
  end

  carried_sum #(.BITS(AHEAD_BITS)) add_ahead (.a(ahead), .b(step), .carry(write), .y(next_ahead));
  carried_sum #(.BITS(HELD_BITS)) add_held (.a(held), .b(drop), .carry(write), .y(next_held));

  always_ff @(posedge clk) begin
    if (rst) begin
      ahead <= AHEAD_BITS'(-START - 1);
      held  <= HELD_BITS'(-DEPTH);
    end else begin
      ahead <= next_ahead;
      held  <= next_held;
    end
  end

  // Addresses go round.
  logic [AT_W-1:0] write_at, read_at;

  // From 0 to DEPTH - 1.
  function automatic int wrapped(input int words);
    wrapped = ((words % DEPTH) + DEPTH) % DEPTH;
  endfunction

  if (DEPTH == 1 << AT_W) begin : gen_power_of_two
    always_ff @(posedge clk) begin
      if (rst) begin
        write_at <= '0;
        read_at  <= AT_W'(-START);
      end else begin
        if (write) write_at <= write_at - 1'b1;
        read_at <= read_at + AT_W'(step);
      end
    end
  end else begin : gen_any_depth
    logic [AT_W-1:0] far;
    logic [AT_W:0]   turn, near;

    always_comb begin
      case (going)
        3'd0: turn = (AT_W+1)'(wrapped(-1));
        3'd1: turn = (AT_W+1)'(wrapped(-STEP_KX));
        3'd2: turn = (AT_W+1)'(wrapped(-STEP_KY));
        3'd3: turn = GROUPS > 1 ? (AT_W+1)'(wrapped(-STEP_GROUP)) : 'x;
        3'd4: turn = (AT_W+1)'(wrapped(-STEP_OX));
        3'd5: turn = (AT_W+1)'(wrapped(-STEP_OY));
        3'd6: turn = (AT_W+1)'(wrapped(-STEP_END));
        default: turn = 'x;
      endcase
    end

    assign far  = read_at + turn[AT_W-1:0];
    assign near = {1'b0, read_at} + turn - (AT_W+1)'(DEPTH);

    always_ff @(posedge clk) begin
      if (rst) begin
        write_at <= '0;
        read_at  <= AT_W'(wrapped(-START));
      end else begin
        if (write) write_at <= write_at == '0 ? AT_W'(DEPTH - 1) : write_at - 1'b1;
        if (fire) read_at <= near[AT_W] ? far : near[AT_W-1:0];
      end
    end
  end

  // Cycle 1: the memory; cycle 2: its output register, which block RAM needs to be fast.
  logic [BITS-1:0] data_1;
  logic            valid_1, is_padding_1;

  ram #(.WIDTH(BITS), .DEPTH(DEPTH), .IS_BLOCK(IS_BLOCK)) lines (
    .clk,
    .write_enable(write), .write_at, .write_data(s_axis_tdata),
    .read_enable(1'b1), .read_at, .read_data(data_1)
  );

  always_ff @(posedge clk) begin
    data            <= data_1;
    is_padding_1    <= is_padding;
    data_is_padding <= is_padding_1;
    if (rst) begin
      valid_1    <= 1'b0;
      data_valid <= 1'b0;
    end else begin
      valid_1    <= fire;
      data_valid <= valid_1;
    end
  end

endmodule
