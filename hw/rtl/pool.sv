// SPDX-License-Identifier: Apache-2.0
//
// Greatest element or sum of each channel under a kernel that moves over an image.
//
//   y[oy][ox][c] = max or sum over ky, kx of
//       x[oy*STRIDE_Y - PAD_TOP + ky][ox*STRIDE_X - PAD_LEFT + kx][c] inside the image
//
// Encoding   x two's complement if X_SIGNED, 2b - 1 if X_BIPOLAR, else unsigned; PE lanes a beat, lane
//            0 low, FOLDS beats a pixel. A maximum is encoded as x (of bipolar x the OR of the bits),
//            a sum in OUT_BITS, two's complement if X_SIGNED or X_BIPOLAR.
// Reference  popshift.hw.stages.Pool (bit-exact, cycle-exact)
// Latency    from the operation with the last element of a window to m_axis_tvalid: 3 cycles, 4 if
//            IS_OVERLAPPING, where an accepted beat may be read 1 cycle later, 5 if IS_PARTIAL_BLOCK
// II         the beats in of an image; if IS_OVERLAPPING, the taps of all windows if they are more
// Stall      the operation with the last element of a window waits for a place in the output buffer;
//            no combinational path from input to output or back
// Reset      rst clears counters and valid bits; data and partial results are not reset
module pool #(
  parameter int PE         = 1,
  parameter int X_BITS     = 8,
  parameter int X_SIGNED   = 0,
  parameter int X_BIPOLAR  = 0,
  parameter int IS_SUM     = 0,
  parameter int OUT_BITS   = X_BITS,
  parameter int CAPACITY   = 4,      // of the output buffer, beats
  parameter int IS_OVERLAPPING = 0,  // 1: windows share pixels, which a line buffer repeats
  parameter int IS_PARTIAL_BLOCK = 0,  // 1: partial results in block RAM; then FOLDS >= 3
  parameter int HEIGHT     = 4,
  parameter int WIDTH      = 4,
  parameter int FOLDS      = 1,   // beats of a pixel
  parameter int OUT_HEIGHT = 2,
  parameter int OUT_WIDTH  = 2,
  parameter int KERNEL_Y   = 2,
  parameter int KERNEL_X   = 2,
  parameter int STRIDE_Y   = 2,
  parameter int STRIDE_X   = 2,
  parameter int DILATION_Y = 1,
  parameter int DILATION_X = 1,
  parameter int PAD_TOP    = 0,
  parameter int PAD_LEFT   = 0,
  parameter int IS_PADDED  = 0,
  parameter int DEPTH      = 12,  // words of the line buffer
  parameter int AHEAD_BITS = 5,
  parameter int HELD_BITS  = 5,
  parameter int IS_BLOCK   = 0    // 1: line buffer in block RAM
) (
  input  logic                   clk,
  input  logic                   rst,

  input  logic [PE*X_BITS-1:0]   s_axis_tdata,
  input  logic                   s_axis_tvalid,
  output logic                   s_axis_tready,

  output logic [PE*OUT_BITS-1:0] m_axis_tdata,
  output logic                   m_axis_tvalid,
  input  logic                   m_axis_tready
);

  localparam int CELLS  = (WIDTH + PAD_LEFT + STRIDE_X - 1) / STRIDE_X;
  localparam int WORDS  = IS_OVERLAPPING != 0 ? FOLDS : CELLS * FOLDS;
  localparam int WORD_W = WORDS > 1 ? $clog2(WORDS) : 1;

  if (IS_PARTIAL_BLOCK != 0 && (IS_OVERLAPPING != 0 || FOLDS < 3)) begin : gen_check
    $error("pool: partial results are read before those of FOLDS=%0d are written (%m)", FOLDS);
  end

  // Element and place in the window; where its partial result is, two cycles earlier as well.
  logic [PE*X_BITS-1:0] x;
  logic [WORD_W-1:0]    word;
  /* verilator lint_off UNUSEDSIGNAL */ // only for block RAM
  logic [WORD_W-1:0]    early_word;
  /* verilator lint_on UNUSEDSIGNAL */
  logic                 valid, is_padding, is_first, is_last;
  logic                 fire, yields, has_place;

  if (IS_OVERLAPPING != 0) begin : gen_lines
    logic [WORD_W-1:0] fold, fold_1;
    logic              can_fire, is_first_tap, first_1, last_1;

    assign fire = can_fire && (!yields || has_place);

    line_buffer #(
      .BITS(PE * X_BITS), .HEIGHT(HEIGHT), .WIDTH(WIDTH), .FOLDS(FOLDS),
      .OUT_HEIGHT(OUT_HEIGHT), .OUT_WIDTH(OUT_WIDTH), .KERNEL_Y(KERNEL_Y), .KERNEL_X(KERNEL_X),
      .STRIDE_Y(STRIDE_Y), .STRIDE_X(STRIDE_X), .DILATION_Y(DILATION_Y), .DILATION_X(DILATION_X),
      .PAD_TOP(PAD_TOP), .PAD_LEFT(PAD_LEFT), .IS_PADDED(IS_PADDED), .DEPTH(DEPTH),
      .AHEAD_BITS(AHEAD_BITS), .HELD_BITS(HELD_BITS), .IS_BLOCK(IS_BLOCK)
    ) lines (
      .clk, .rst,
      .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .can_fire, .is_first_tap, .is_last_tap(yields), .fold, .fire,
      .data_valid(valid), .data_is_padding(is_padding), .data(x)
    );

    assign early_word = fold;
    always_ff @(posedge clk) begin
      fold_1   <= fold;
      word     <= fold_1;
      first_1  <= is_first_tap;
      is_first <= first_1;
      last_1   <= yields;
      is_last  <= last_1;
    end
  end else begin : gen_direct
    logic [WORD_W-1:0] word_0;
    logic              is_inside, is_first_0, is_last_0;

    assign yields        = is_inside && is_last_0;
    assign s_axis_tready = !yields || has_place;
    assign fire          = s_axis_tvalid && s_axis_tready;

    pool_position #(
      .HEIGHT(HEIGHT), .WIDTH(WIDTH), .FOLDS(FOLDS),
      .OUT_HEIGHT(OUT_HEIGHT), .OUT_WIDTH(OUT_WIDTH), .KERNEL_Y(KERNEL_Y), .KERNEL_X(KERNEL_X),
      .STRIDE_Y(STRIDE_Y), .STRIDE_X(STRIDE_X), .PAD_TOP(PAD_TOP), .PAD_LEFT(PAD_LEFT)
    ) position (
      .clk, .rst, .fire,
      .is_inside, .is_first(is_first_0), .is_last(is_last_0), .word(word_0)
    );

    assign is_padding = 1'b0;

    // A register, two more while block RAM is read.
    localparam int CYCLES = IS_PARTIAL_BLOCK != 0 ? 3 : 1;
    logic [CYCLES:1] valids;

    assign valid = valids[CYCLES];
    delay #(.WIDTH(WORD_W), .CYCLES(1)) early_words (.clk, .x(word_0), .y(early_word));
    delay #(.WIDTH(PE * X_BITS + WORD_W + 2), .CYCLES(CYCLES)) elements (
      .clk, .x({s_axis_tdata, word_0, is_first_0, yields}), .y({x, word, is_first, is_last})
    );
    always_ff @(posedge clk) begin
      if (rst) valids <= '0;
      else valids <= CYCLES'({valids, fire && is_inside});
    end
  end

  // Partial results; an element of a window goes in a cycle after it came.
  logic [PE*OUT_BITS-1:0] partial, result, result_1;
  logic                   result_valid;

  if (IS_PARTIAL_BLOCK != 0) begin : gen_block
    logic [PE*OUT_BITS-1:0] read;
    ram #(.WIDTH(PE * OUT_BITS), .DEPTH(WORDS), .IS_BLOCK(1)) partials (
      .clk,
      .write_enable(valid), .write_at(word), .write_data(result),
      .read_enable(1'b1), .read_at(early_word), .read_data(read)
    );
    always_ff @(posedge clk) partial <= read;
  end else if (WORDS > 1) begin : gen_memory
    logic [PE*OUT_BITS-1:0] memory[WORDS];
    assign partial = memory[word];
    always_ff @(posedge clk) if (valid) memory[word] <= result;
  end else begin : gen_register
    logic unused_word;
    assign unused_word = &{1'b0, word};
    always_ff @(posedge clk) if (valid) partial <= result;
  end

  for (genvar p = 0; p < PE; p++) begin : gen_lane
    logic [X_BITS-1:0]   lane;
    logic [OUT_BITS-1:0] earlier;

    assign lane    = x[p*X_BITS+:X_BITS];
    assign earlier = partial[p*OUT_BITS+:OUT_BITS];

    if (IS_SUM != 0) begin : gen_sum
      logic [OUT_BITS-1:0] term;
      if (X_BIPOLAR != 0) begin : gen_bipolar
        assign term = lane[0] ? OUT_BITS'(1) : '1;
      end else if (X_SIGNED != 0) begin : gen_signed
        assign term = OUT_BITS'($signed(lane));
      end else begin : gen_unsigned
        assign term = OUT_BITS'(lane);
      end
      assign result[p*OUT_BITS+:OUT_BITS] = (is_first ? '0 : earlier) + (is_padding ? '0 : term);
    end else begin : gen_max
      // The sign bit is flipped, so that the comparison is unsigned and the least value is 0.
      localparam logic [X_BITS-1:0] FLIP = X_SIGNED != 0 ? X_BITS'(1) << (X_BITS - 1) : '0;
      logic [X_BITS-1:0] rest, element;
      assign rest    = is_first ? '0 : earlier ^ FLIP;
      assign element = is_padding ? '0 : lane ^ FLIP;
      assign result[p*OUT_BITS+:OUT_BITS] = (rest > element ? rest : element) ^ FLIP;
    end
  end

  always_ff @(posedge clk) begin
    result_1 <= result;
    if (rst) result_valid <= 1'b0;
    else result_valid <= valid && is_last;
  end

  credit_buffer #(.WIDTH(PE * OUT_BITS), .CAPACITY(CAPACITY)) buffer (
    .clk, .rst,
    .take(fire && yields), .has_place,
    .push(result_valid), .push_data(result_1),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
