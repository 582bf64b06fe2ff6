// SPDX-License-Identifier: Apache-2.0
//
// Depthwise convolution of a window stream, PE channels of one tap a cycle, optional thresholds.
//
//   acc[c] = kernel over taps k of x[k][c], weights[c][k]
//   y[c] = STEPS > 0 ? staircase(acc[c]) : acc[c]
//
// Encoding   see dot_xnor and dot_signed for x and weights, staircase for results. A window comes in
//            the order (tap, fold of PE channels); lane 0 low.
//            WEIGHTS_FILE word tap*(CHANNELS/PE)+fold: PE weights, lane 0 low.
//            LEVELS_FILE word fold: PE x STEPS levels, then PE bits is_rising.
// Reference  popshift.hw.stages.Depthwise (bit-exact, cycle-exact)
// Latency    5 cycles from an accepted beat of the last tap to m_axis_tvalid
// II         TAPS * (CHANNELS/PE) cycles a window
// Stall      beats of the last tap wait for a place in the output buffer; the pipeline itself never
//            stalls; no combinational path from input to output or back
// Reset      rst clears counters and valid bits; data, memories and accumulators are not reset
module depthwise #(
  parameter logic [47:0] KERNEL = 48'("xnor"),  // "xnor" or "signed"
  parameter int TAPS         = 9,
  parameter int CHANNELS     = 16,
  parameter int PE           = 4,       // divides CHANNELS
  parameter int X_BITS       = 1,
  parameter int X_SIGNED     = 0,
  parameter int X_BIPOLAR    = 1,
  parameter int W_BITS       = 1,
  parameter int ACC_BITS     = 4,       // holds every accumulator
  parameter int ACC_SIGNED   = 0,
  parameter int STEPS        = 0,       // 0: no thresholds
  parameter int LEVEL_BITS   = ACC_BITS,
  parameter int BASE         = 0,
  parameter int OUT_BITS     = ACC_BITS,
  parameter int CAPACITY     = 4,       // of the output buffer, beats
  parameter     WEIGHTS_FILE = "weights.hex",
  parameter     LEVELS_FILE  = "levels.hex"
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

  localparam logic [47:0] XNOR   = 48'("xnor");
  localparam logic [47:0] SIGNED = "signed";

  if (CHANNELS % PE != 0) begin : gen_check_folds
    $error("depthwise: PE=%0d must divide CHANNELS=%0d (%m)", PE, CHANNELS);
  end
  if (KERNEL != XNOR && KERNEL != SIGNED) begin : gen_check_kernel
    $error("depthwise: KERNEL=%s must be xnor or signed (%m)", KERNEL);
  end

  localparam int FOLDS   = CHANNELS / PE;
  localparam int WORDS   = TAPS * FOLDS;
  localparam int FOLD_W  = FOLDS > 1 ? $clog2(FOLDS) : 1;
  localparam int TAP_W   = TAPS > 1 ? $clog2(TAPS) : 1;
  localparam int WORD_W  = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam int WEIGHTS = PE * W_BITS;

  // Operation counter: tap, fold, weight word.
  logic [TAP_W-1:0]  tap;
  logic [FOLD_W-1:0] fold;
  logic [WORD_W-1:0] word;
  logic              is_first, is_last, ends_tap, has_place, fire;

  assign is_first      = tap == '0;
  assign is_last       = tap == TAP_W'(TAPS - 1);
  assign ends_tap      = fold == FOLD_W'(FOLDS - 1);
  assign s_axis_tready = !is_last || has_place;
  assign fire          = s_axis_tvalid && s_axis_tready;

  always_ff @(posedge clk) begin
    if (rst) begin
      tap  <= '0;
      fold <= '0;
      word <= '0;
    end else if (fire) begin
      fold <= ends_tap ? '0 : fold + 1'b1;
      word <= word == WORD_W'(WORDS - 1) ? '0 : word + 1'b1;
      if (ends_tap) tap <= is_last ? '0 : tap + 1'b1;
    end
  end

  // Cycle 1: weight memory; cycle 2: its output register, which block RAM needs to be fast.
  logic [WEIGHTS-1:0] memory[WORDS];
  initial $readmemh(WEIGHTS_FILE, memory);

  logic [WEIGHTS-1:0]   weights_1, weights_2;
  logic [PE*X_BITS-1:0] x_1, x_2;
  logic [FOLD_W-1:0]    fold_1, fold_2, fold_3;
  logic                 valid_1, valid_2, valid_3, done_4;
  logic                 first_1, first_2, first_3;
  logic                 last_1, last_2, last_3;

  always_ff @(posedge clk) begin
    weights_1 <= memory[word];
    weights_2 <= weights_1;
    x_1       <= s_axis_tdata;
    x_2       <= x_1;
    fold_1    <= fold;
    fold_2    <= fold_1;
    fold_3    <= fold_2;
    first_1   <= is_first;
    first_2   <= first_1;
    first_3   <= first_2;
    last_1    <= is_last;
    last_2    <= last_1;
    last_3    <= last_2;
    if (rst) begin
      valid_1 <= 1'b0;
      valid_2 <= 1'b0;
      valid_3 <= 1'b0;
      done_4  <= 1'b0;
    end else begin
      valid_1 <= fire;
      valid_2 <= valid_1;
      valid_3 <= valid_2;
      done_4  <= valid_3 && last_3;
    end
  end

  // Cycle 3: product; cycle 4: accumulator of the fold, read and written in the same cycle.
  logic [PE*ACC_BITS-1:0] kept, sums, sums_4;
  if (FOLDS > 1) begin : gen_memory
    logic [PE*ACC_BITS-1:0] accumulators[FOLDS];
    assign kept = accumulators[fold_3];
    always_ff @(posedge clk) if (valid_3) accumulators[fold_3] <= sums;
  end else begin : gen_register
    always_ff @(posedge clk) if (valid_3) kept <= sums;
  end
  always_ff @(posedge clk) sums_4 <= sums;

  for (genvar p = 0; p < PE; p++) begin : gen_pe
    logic [ACC_BITS-1:0] product;

    if (KERNEL == XNOR) begin : gen_xnor
      logic y, y_3;
      dot_xnor #(.SIMD(1)) dot (.x(x_2[p]), .w(weights_2[p]), .y(y));
      always_ff @(posedge clk) y_3 <= y;
      assign product = ACC_BITS'(y_3);
    end else begin : gen_signed
      // Wide enough for any product, never wider than the accumulator.
      localparam int SUM_W = X_BITS + 1 < ACC_BITS ? X_BITS + 1 : ACC_BITS;
      logic [SUM_W-1:0] y, y_3;
      dot_signed #(
        .SIMD(1), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR),
        .W_BITS(W_BITS), .SUM_BITS(SUM_W)
      ) dot (.x(x_2[p*X_BITS+:X_BITS]), .w(weights_2[p*W_BITS+:W_BITS]), .y(y));
      always_ff @(posedge clk) y_3 <= y;
      assign product = ACC_BITS'($signed(y_3));
    end

    assign sums[p*ACC_BITS+:ACC_BITS] =
        (first_3 ? '0 : kept[p*ACC_BITS+:ACC_BITS]) + product;
  end

  // Output buffer, after the thresholds.
  logic [PE*OUT_BITS-1:0] results;
  if (STEPS > 0) begin : gen_thresholds
    localparam int LEVELS_W = PE * STEPS * LEVEL_BITS;
    logic [LEVELS_W+PE-1:0] level_memory[FOLDS];
    logic [LEVELS_W+PE-1:0] levels_4;
    initial $readmemh(LEVELS_FILE, level_memory);

    always_ff @(posedge clk) levels_4 <= level_memory[fold_3];

    for (genvar p = 0; p < PE; p++) begin : gen_result
      staircase #(
        .X_BITS(ACC_BITS), .X_SIGNED(ACC_SIGNED), .STEPS(STEPS), .LEVEL_BITS(LEVEL_BITS),
        .OUT_BITS(OUT_BITS), .BASE(BASE)
      ) stairs (
        .x        (sums_4[p*ACC_BITS+:ACC_BITS]),
        .levels   (levels_4[p*STEPS*LEVEL_BITS+:STEPS*LEVEL_BITS]),
        .is_rising(levels_4[LEVELS_W+p]),
        .y        (results[p*OUT_BITS+:OUT_BITS])
      );
    end
  end else begin : gen_raw
    assign results = sums_4;
  end

  credit_buffer #(.WIDTH(PE * OUT_BITS), .CAPACITY(CAPACITY)) buffer (
    .clk, .rst,
    .take(fire && is_last), .has_place,
    .push(done_4), .push_data(results),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
