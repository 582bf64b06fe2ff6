// SPDX-License-Identifier: Apache-2.0
//
// Depthwise convolution of a window stream, PE channels of one tap a cycle, optional thresholds.
//
//   acc[n] = kernel over taps k of x[k][n / MULTIPLIER], weights[n][k]
//   y[n] = STEPS > 0 ? staircase(acc[n]) : acc[n]
//
// Encoding   see dot_<KERNEL> for x and weights, staircase for results. A window comes in the order
//            (tap, fold of PE channels); lane 0 low.
//            WEIGHTS_FILE word tap*(CHANNELS/PE)+fold: PE x MULTIPLIER weights, neuron 0 low.
//            LEVELS_FILE word fold: see neuron_end.
// Reference  popshift.hw.stages.Depthwise (bit-exact, cycle-exact)
// Latency    4 + DOT_CYCLES cycles from an accepted beat of the last tap to m_axis_tvalid
// II         TAPS * (CHANNELS/PE) cycles a window
// Stall      beats of the last tap wait for a place in the output buffer; the pipeline itself never
//            stalls; no combinational path from input to output or back
// Reset      rst clears counters and valid bits; data, memories and accumulators are not reset
module depthwise #(
  parameter logic [47:0] KERNEL = 48'("xnor"),  // see dot
  parameter int TAPS         = 9,
  parameter int CHANNELS     = 16,
  parameter int PE           = 4,       // divides CHANNELS
  parameter int MULTIPLIER   = 1,       // neurons of a channel
  parameter int X_BITS       = 1,
  parameter int X_SIGNED     = 0,
  parameter int X_BIPOLAR    = 1,
  parameter int W_BITS       = 1,
  parameter int W_FORM       = 0,       // of weights, see dot_<KERNEL>
  parameter int W_LOW        = 0,
  parameter int W_HIGH       = 0,
  parameter int SUM_BITS     = 1,       // of a product
  parameter int SUM_SIGNED   = 0,
  parameter int DOT_CYCLES   = 1,       // from weights to products
  parameter int ACC_BITS     = 4,       // holds every accumulator
  parameter int ACC_SIGNED   = 0,
  parameter int STEPS        = 0,       // 0: no thresholds
  parameter int DIRECTIONS   = 1,       // of a neuron: 1, or STEPS
  parameter int LEVEL_BITS   = ACC_BITS,
  parameter int BASE         = 0,
  parameter int OUT_BITS     = ACC_BITS,
  parameter int CAPACITY     = 4,       // of the output buffer, beats
  parameter int WEIGHTS_BLOCK = 0,      // 1: weights in block RAM, 0: as synthesis likes
  parameter int WEIGHTS_SLICE = PE * MULTIPLIER * W_BITS, // bits of a weight memory, see rom
  parameter int LEVELS_BLOCK  = 0,      // levels alike
  parameter int LEVELS_SLICE  = PE * (STEPS * LEVEL_BITS + DIRECTIONS),
  parameter     WEIGHTS_FILE = "weights",
  parameter     LEVELS_FILE  = "levels",
  localparam int LANES       = PE * MULTIPLIER
) (
  input  logic                      clk,
  input  logic                      rst,

  input  logic [PE*X_BITS-1:0]      s_axis_tdata,
  input  logic                      s_axis_tvalid,
  output logic                      s_axis_tready,

  output logic [LANES*OUT_BITS-1:0] m_axis_tdata,
  output logic                      m_axis_tvalid,
  input  logic                      m_axis_tready
);

  if (CHANNELS % PE != 0) begin : gen_check_folds
    $error("depthwise: PE=%0d must divide CHANNELS=%0d (%m)", PE, CHANNELS);
  end

  localparam int FOLDS   = CHANNELS / PE;
  localparam int WORDS   = TAPS * FOLDS;
  localparam int FOLD_W  = FOLDS > 1 ? $clog2(FOLDS) : 1;
  localparam int TAP_W   = TAPS > 1 ? $clog2(TAPS) : 1;
  localparam int WORD_W  = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam int WEIGHTS = LANES * W_BITS;

  // Operation counter: tap, fold, weight word.
  logic [TAP_W-1:0]  tap;
  logic [FOLD_W-1:0] fold;
  logic [WORD_W-1:0] word;
  logic              is_first, is_last, ends_tap, has_place, fire;

  assign is_first      = tap == '0;
  assign s_axis_tready = !is_last || has_place;
  assign fire          = s_axis_tvalid && s_axis_tready;

  counter #(.MODULUS(FOLDS)) folds (
    .clk, .rst, .step(fire), .value(fold), .is_last(ends_tap)
  );
  counter #(.MODULUS(TAPS)) taps (
    .clk, .rst, .step(fire && ends_tap), .value(tap), .is_last
  );

  // The word is tap * FOLDS + fold; a counter of its own only where that is no concatenation.
  if (FOLDS == 1) begin : gen_word_is_tap
    assign word = tap;
  end else if (FOLDS == 1 << FOLD_W) begin : gen_word_is_both
    assign word = WORD_W'({tap, fold});
  end else begin : gen_word
    always_ff @(posedge clk) begin
      if (rst || (fire && ends_tap && is_last)) word <= '0;
      else if (fire) word <= word + 1'b1;
    end
  end

  // What follows fire: in cycle 2 the weights, in cycle SUM_AT the products and the accumulators of
  // their fold.
  localparam int SUM_AT = 2 + DOT_CYCLES;

  logic [WEIGHTS-1:0]   weights_2;
  logic [PE*X_BITS-1:0] x_1;
  logic [SUM_AT:1]      valid, first, last;
  logic                 is_product, done;
  logic [FOLD_W-1:0]    level_fold, sum_fold;

  assign is_product = valid[SUM_AT];

  always_ff @(posedge clk) begin
    x_1   <= s_axis_tdata;
    first <= {first[SUM_AT-1:1], is_first};
    last  <= {last[SUM_AT-1:1], is_last};
    if (rst) begin
      valid <= '0;
      done  <= 1'b0;
    end else begin
      valid <= {valid[SUM_AT-1:1], fire};
      done  <= is_product && last[SUM_AT];
    end
  end

  rom #(
    .WIDTH(WEIGHTS), .WORDS(WORDS), .SLICE(WEIGHTS_SLICE), .IS_BLOCK(WEIGHTS_BLOCK),
    .FILE(WEIGHTS_FILE)
  ) memory (.clk, .at(word), .y(weights_2));

  delay #(.WIDTH(FOLD_W), .CYCLES(SUM_AT - 1)) levels (.clk, .x(fold), .y(level_fold));
  delay #(.WIDTH(FOLD_W), .CYCLES(1)) accumulations (.clk, .x(level_fold), .y(sum_fold));

  // The accumulators of a fold are read and written in the same cycle.
  logic [LANES*ACC_BITS-1:0] kept, sums, totals;
  if (FOLDS > 1) begin : gen_memory
    logic [LANES*ACC_BITS-1:0] accumulators[FOLDS];
    assign kept = accumulators[sum_fold];
    always_ff @(posedge clk) if (is_product) accumulators[sum_fold] <= sums;
  end else begin : gen_register
    logic unused_fold;
    assign unused_fold = &{1'b0, sum_fold};
    always_ff @(posedge clk) if (is_product) kept <= sums;
  end
  always_ff @(posedge clk) totals <= sums;

  for (genvar p = 0; p < PE; p++) begin : gen_pe
    logic [MULTIPLIER*SUM_BITS-1:0] y;
    logic [MULTIPLIER-1:0]          plus;

    dot #(
      .KERNEL(KERNEL), .SIMD(1), .PE(MULTIPLIER), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED),
      .X_BIPOLAR(X_BIPOLAR), .W_BITS(W_BITS), .W_FORM(W_FORM), .W_LOW(W_LOW), .W_HIGH(W_HIGH),
      .SUM_BITS(SUM_BITS), .CYCLES(DOT_CYCLES)
    ) products (
      .clk, .x(x_1[p*X_BITS+:X_BITS]), .w(weights_2[p*MULTIPLIER*W_BITS+:MULTIPLIER*W_BITS]), .y,
      .plus
    );

    for (genvar m = 0; m < MULTIPLIER; m++) begin : gen_neuron
      localparam int LANE = p * MULTIPLIER + m;
      logic [ACC_BITS-1:0] product, earlier;

      if (SUM_SIGNED != 0) begin : gen_signed
        assign product = ACC_BITS'($signed(y[m*SUM_BITS+:SUM_BITS]));
      end else begin : gen_unsigned
        assign product = ACC_BITS'(y[m*SUM_BITS+:SUM_BITS]);
      end

      assign earlier = first[SUM_AT] ? '0 : kept[LANE*ACC_BITS+:ACC_BITS];
      carried_sum #(.BITS(ACC_BITS)) add (
        .a(product), .b(earlier), .carry(plus[m]), .y(sums[LANE*ACC_BITS+:ACC_BITS])
      );
    end
  end

  neuron_end #(
    .PE(LANES), .X_BITS(ACC_BITS), .X_SIGNED(ACC_SIGNED), .STEPS(STEPS), .DIRECTIONS(DIRECTIONS),
    .LEVEL_BITS(LEVEL_BITS), .BASE(BASE), .WORDS(FOLDS), .OUT_BITS(OUT_BITS), .CAPACITY(CAPACITY),
    .LEVELS_BLOCK(LEVELS_BLOCK), .LEVELS_SLICE(LEVELS_SLICE), .LEVELS_FILE(LEVELS_FILE)
  ) results (
    .clk, .rst,
    .take(fire && is_last), .has_place,
    .at(level_fold), .push(done), .x(totals),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
