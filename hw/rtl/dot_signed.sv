// SPDX-License-Identifier: Apache-2.0
//
// Parts of dot products of integers: inputs added, skipped or subtracted for each bit of a weight.
//
//   y[n] + plus[n] = sum over lanes i of w[n][i] * x[i]
//
// Encoding   x see lanes. W_FORM = 0, odd grid: a code u stands for 2u - (2^W_BITS - 1), so a bit for
//            -1 or +1. W_FORM = 1: two's complement, W_BITS >= 2. W_FORM = 2: two's complement, only
//            -1, 0, 1, W_BITS = 2. y two's complement modulo 2^SUM_BITS; neuron 0 and lane 0 low
// Reference  popshift.hw.stages.kernels.Signed (bit-exact)
// Latency    CYCLES from w to y, 2 where weights have several planes, else 1; one more for more than
//            MOST_TERMS_AT_ONCE terms; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
//
// Bit b of all weights is a plane, whose bits stand for -1 and +1. Planes take two lanes at once: a
// term is their sum or their difference, which do not depend on the weights and are made once for all
// neurons; choosing and inverting takes one LUT a bit. Subtraction is bit inversion plus one; the ones
// are the carries of the additions.
//
// The signs s_b of the bits of u = w + 2^(n-1) have sum_b 2^b s_b = 2 w + 1: in two's complement, with
// the high bit inverted, the planes yield twice the dot product plus the sum of all lanes.
module dot_signed #(
  parameter int SIMD      = 8,   // lanes, >= 1
  parameter int PE        = 2,   // neurons, >= 1
  parameter int X_BITS    = 8,
  parameter int X_SIGNED  = 0,   // 0 or 1
  parameter int X_BIPOLAR = 0,   // 0 or 1; then X_BITS is 1
  parameter int W_BITS    = 1,
  parameter int W_FORM    = 0,   // 0, 1 or 2
  parameter int SUM_BITS  = 12,
  parameter int CYCLES    = 1
) (
  input  logic                      clk,
  input  logic [SIMD*X_BITS-1:0]    x,
  input  logic [PE*SIMD*W_BITS-1:0] w,
  output logic [PE*SUM_BITS-1:0]    y,
  output logic [PE-1:0]             plus
);

  localparam int IS_DIGIT = int'(W_FORM == 2 || (W_FORM == 1 && W_BITS == 2));
  localparam int PLANES   = IS_DIGIT != 0 ? 1 : W_BITS;
  localparam int LANE_W   = X_SIGNED != 0 ? X_BITS : X_BITS + 1;
  localparam int PAIRS    = IS_DIGIT != 0 ? 0 : SIMD / 2;  // the other lanes stand alone
  localparam int TERMS    = SIMD - PAIRS;
  // Two bits of two's complement go to -2.
  localparam int TERM_W   = PAIRS > 0 || (IS_DIGIT != 0 && W_FORM == 1) ? LANE_W + 1 : LANE_W;
  localparam int TREE_W   = TERM_W + $clog2(TERMS);
  // Where there are more, a register halves the additions in a row.
  localparam int MOST_TERMS_AT_ONCE = 8;
  localparam int CUT      = TERMS > MOST_TERMS_AT_ONCE ? $clog2(TERMS) / 2 : -1;

  if (CYCLES != (PLANES > 1 ? 2 : 1) + (CUT >= 0 ? 1 : 0) || (W_FORM == 2 && W_BITS != 2)
      || (W_FORM == 1 && W_BITS < 2)) begin : gen_check
    $error("dot_signed: W_FORM=%0d does not go with W_BITS=%0d, CYCLES=%0d (%m)", W_FORM, W_BITS,
           CYCLES);
  end

  // What all neurons share: sum and difference of each pair, and the single lanes.
  logic [SIMD*LANE_W-1:0]  lane;
  logic [TERMS*TERM_W-1:0] sums, differences;

  lanes #(
    .SIMD(SIMD), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR)
  ) integers (.x, .y(lane));

  for (genvar i = 0; i < TERMS; i++) begin : gen_shared
    if (i < PAIRS) begin : gen_pair
      logic signed [LANE_W-1:0] first, second;
      assign first  = lane[2*i*LANE_W+:LANE_W];
      assign second = lane[(2*i+1)*LANE_W+:LANE_W];
      always_ff @(posedge clk) begin
        sums[i*TERM_W+:TERM_W]        <= TERM_W'(first) + TERM_W'(second);
        differences[i*TERM_W+:TERM_W] <= TERM_W'(first) - TERM_W'(second);
      end
    end else begin : gen_single
      always_ff @(posedge clk) begin
        sums[i*TERM_W+:TERM_W]        <= TERM_W'($signed(lane[(i+PAIRS)*LANE_W+:LANE_W]));
        differences[i*TERM_W+:TERM_W] <= '0;
      end
    end
  end

  // Minus the sum of all lanes, where the planes yield more than the dot product.
  if (PLANES > 1 && W_FORM == 1) begin : gen_rest
    localparam int REST_W = TREE_W + 1;
    logic        [TREE_W-1:0] total;
    logic signed [REST_W-1:0] sum, rest;
    logic                     unused_one;
    adder_tree #(.TERMS(TERMS), .BITS(TERM_W), .CUT(CUT)) tree (
      .clk, .terms(sums), .ones('0), .y(total), .plus(unused_one)
    );
    assign sum = REST_W'($signed(total));
    always_ff @(posedge clk) rest <= -sum;
  end

  for (genvar n = 0; n < PE; n++) begin : gen_neuron
    logic [PLANES*TREE_W-1:0] totals;
    logic [PLANES-1:0]        ones;

    for (genvar b = 0; b < PLANES; b++) begin : gen_plane
      // The high bit of two's complement counts negative.
      localparam logic FLIP = W_FORM == 1 && PLANES > 1 && b == PLANES - 1;
      logic [TERMS*TERM_W-1:0] terms;
      logic [TERMS-1:0]        is_negative;

      for (genvar i = 0; i < TERMS; i++) begin : gen_term
        localparam int AT = (n*SIMD + (i < PAIRS ? 2*i : i + PAIRS)) * W_BITS + b;
        logic [TERM_W-1:0] sum, magnitude;
        assign sum = sums[i*TERM_W+:TERM_W];

        if (i < PAIRS) begin : gen_pair
          assign is_negative[i] = w[AT] == FLIP;
          assign magnitude      = w[AT] == w[AT+W_BITS] ? sum : differences[i*TERM_W+:TERM_W];
        end else if (IS_DIGIT == 0) begin : gen_single
          assign is_negative[i] = w[AT] == FLIP;
          assign magnitude      = sum;
        end else if (W_FORM == 2) begin : gen_ternary
          assign is_negative[i] = w[AT+1];
          assign magnitude      = w[AT] ? sum : '0;
        end else begin : gen_two_bits
          assign is_negative[i] = w[AT+1];
          assign magnitude      = w[AT] ? sum : w[AT+1] ? sum << 1 : '0;
        end

        assign terms[i*TERM_W+:TERM_W] = magnitude ^ {TERM_W{is_negative[i]}};
      end

      adder_tree #(.TERMS(TERMS), .BITS(TERM_W), .CUT(CUT)) tree (
        .clk, .terms, .ones(is_negative), .y(totals[b*TREE_W+:TREE_W]), .plus(ones[b])
      );
    end

    if (PLANES == 1) begin : gen_one_plane
      always_ff @(posedge clk) begin
        y[n*SUM_BITS+:SUM_BITS] <= SUM_BITS'($signed(totals));
        plus[n]                 <= ones[0];
      end
    end else begin : gen_planes
      localparam int WEIGHTED_W = TREE_W + PLANES;
      logic [PLANES*TREE_W-1:0]     totals_1;
      logic [PLANES-1:0]            ones_1;
      logic signed [WEIGHTED_W-1:0] weighted;
      logic                         one;

      always_ff @(posedge clk) begin
        totals_1 <= totals;
        ones_1   <= ones;
      end

      weighted_sum #(.PLANES(PLANES), .BITS(TREE_W)) weighted_planes (
        .planes(totals_1), .ones(ones_1), .y(weighted), .plus(one)
      );

      if (W_FORM == 1) begin : gen_halved
        localparam int TWICE_W = WEIGHTED_W + 1;
        logic signed [TWICE_W-1:0] twice;
        carried_sum #(.BITS(TWICE_W)) less_rest (
          .a(TWICE_W'(weighted)), .b(TWICE_W'(gen_rest.rest)), .carry(one), .y(twice)
        );
        always_ff @(posedge clk) y[n*SUM_BITS+:SUM_BITS] <= SUM_BITS'(twice >>> 1);
        assign plus[n] = 1'b0;
      end else begin : gen_whole
        always_ff @(posedge clk) begin
          y[n*SUM_BITS+:SUM_BITS] <= SUM_BITS'(weighted);
          plus[n]                 <= one;
        end
      end
    end
  end

endmodule
