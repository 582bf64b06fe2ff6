// SPDX-License-Identifier: Apache-2.0
//
// Dot products of integers of few bits, from popcounts of bit planes.
//
//   y[n] = sum over lanes i of w[n][i] * x[i];   plus[n] = 0
//
// Encoding   x two's complement if X_SIGNED, 2b - 1 if X_BIPOLAR, else unsigned. W_FORM = 0, odd grid: a
//            code u stands for 2u - (2^W_BITS - 1). W_FORM = 1: two's complement.
//            y two's complement modulo 2^SUM_BITS; neuron 0 and lane 0 low
// Reference  popshift.hw.stages.kernels.Planes (bit-exact)
// Latency    CYCLES = 2 from w to y; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
//
// With T = sum over i, j of 2^(i+j) popcount(bit i of w and bit j of x), where all pairs of equal
// i + j are one popcount, and N lanes of sum S:
//
//   w, x                         dot product
//   two's complement, integer    T; a plane that counts negative is counted inverted, less N
//   odd grid, integer            2 T - (2^W_BITS - 1) S
//   two's complement, bipolar    T - popcount(x) - (2^(W_BITS-1) - 1) N, high bit of w inverted
//   odd grid, bipolar            2 T - (2^W_BITS - 1) N
//
// where bipolar x take xnor for and. What is added to T or 2 T is the same for all neurons.
module dot_planes #(
  parameter int SIMD      = 8,   // lanes, >= 1
  parameter int PE        = 2,   // neurons, >= 1
  parameter int X_BITS    = 2,
  parameter int X_SIGNED  = 0,   // 0 or 1
  parameter int X_BIPOLAR = 0,   // 0 or 1; then X_BITS is 1
  parameter int W_BITS    = 2,
  parameter int W_FORM    = 0,   // 0 or 1
  parameter int SUM_BITS  = 8,
  parameter int CYCLES    = 2
) (
  input  logic                      clk,
  input  logic [SIMD*X_BITS-1:0]    x,
  input  logic [PE*SIMD*W_BITS-1:0] w,
  output logic [PE*SUM_BITS-1:0]    y,
  output logic [PE-1:0]             plus
);

  if (CYCLES != 2) begin : gen_check
    $error("dot_planes: CYCLES=%0d must be 2 (%m)", CYCLES);
  end

  localparam int GROUPS  = X_BITS + W_BITS - 1;                       // of planes of equal weight
  localparam int DEEPEST = X_BITS < W_BITS ? X_BITS : W_BITS;         // planes of a group
  localparam int COUNT_W = $clog2(SIMD * DEEPEST + 1) + 1;            // with a sign
  localparam int TOTAL_W = GROUPS == 1 ? COUNT_W : COUNT_W + GROUPS;
  localparam int WIDE_W  = TOTAL_W + 2 > SUM_BITS ? TOTAL_W + 2 : SUM_BITS;

  // What the planes that are inverted count too much: the products with the high bit of a weight,
  // those with the high bit of an input, but not the one of both.
  localparam int WITH_W  = X_BIPOLAR == 0 ? W_FORM : 0;
  localparam int WITH_X  = X_SIGNED;
  localparam int SURPLUS = (WITH_W != 0 ? ((1 << X_BITS) - 1) << (W_BITS - 1) : 0)
                         + (WITH_X != 0 ? ((1 << W_BITS) - 1) << (X_BITS - 1) : 0)
                         - (WITH_W != 0 && WITH_X != 0 ? 1 << (X_BITS + W_BITS - 1) : 0);
  localparam logic [WIDE_W-1:0] TOO_MUCH = WIDE_W'(SIMD) * WIDE_W'(SURPLUS);

  // Bits of x, and what is added to T or 2 T.
  logic [SIMD*X_BITS-1:0] x_1;
  logic [WIDE_W-1:0]      rest;

  always_ff @(posedge clk) x_1 <= x;

  if (X_BIPOLAR != 0 && W_FORM == 0) begin : gen_rest_of_bits
    assign rest = WIDE_W'(SIMD) - (WIDE_W'(SIMD) << W_BITS);
  end else if (X_BIPOLAR != 0) begin : gen_rest_of_count
    logic [$clog2(SIMD+1)-1:0] positive;
    popcount #(.N(SIMD)) bits_count (.clk, .a(x_1), .y(positive));
    always_ff @(posedge clk) begin
      rest <= WIDE_W'(SIMD) - (WIDE_W'(SIMD) << (W_BITS - 1)) - WIDE_W'(positive);
    end
  end else if (W_FORM != 0) begin : gen_rest_of_planes
    assign rest = -TOO_MUCH;
  end else begin : gen_rest_of_sum
    localparam int LANE_W = X_SIGNED != 0 ? X_BITS : X_BITS + 1;
    localparam int TREE_W = LANE_W + $clog2(SIMD);
    logic [SIMD*LANE_W-1:0] lane;
    logic [TREE_W-1:0]      total;
    logic [WIDE_W-1:0]      sum;
    logic                   unused_one;
    lanes #(
      .SIMD(SIMD), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(0)
    ) integers (.x(x_1), .y(lane));
    adder_tree #(.TERMS(SIMD), .BITS(LANE_W)) tree (
      .clk, .terms(lane), .ones('0), .y(total), .plus(unused_one)
    );
    assign sum = WIDE_W'($signed(total));
    always_ff @(posedge clk) rest <= sum - (sum << W_BITS) - (TOO_MUCH << 1);
  end

  for (genvar n = 0; n < PE; n++) begin : gen_neuron
    logic [GROUPS*COUNT_W-1:0] counts;

    for (genvar g = 0; g < GROUPS; g++) begin : gen_group
      localparam int FIRST  = g < X_BITS ? 0 : g - X_BITS + 1;  // bit of the weight
      localparam int LAST   = g < W_BITS ? g : W_BITS - 1;
      localparam int DEPTH  = LAST - FIRST + 1;
      localparam int BITS_W = $clog2(SIMD * DEPTH + 1);
      logic [SIMD*DEPTH-1:0] products;
      logic [BITS_W-1:0]     count;

      for (genvar k = 0; k < DEPTH; k++) begin : gen_plane
        localparam int I = FIRST + k;
        localparam int J = g - I;
        for (genvar i = 0; i < SIMD; i++) begin : gen_lane
          logic a, b;
          assign a = x_1[i*X_BITS+J];
          assign b = w[(n*SIMD+i)*W_BITS+I];
          if (X_BIPOLAR != 0) begin : gen_xnor
            localparam logic HIGH = W_FORM == 1 && I == W_BITS - 1;
            assign products[k*SIMD+i] = a ^ b ^ !HIGH;
          end else begin : gen_and
            localparam logic IS_MINUS =
                (WITH_W != 0 && I == W_BITS - 1) != (WITH_X != 0 && J == X_BITS - 1);
            assign products[k*SIMD+i] = (a & b) ^ IS_MINUS;
          end
        end
      end

      popcount #(.N(SIMD * DEPTH)) products_count (.clk, .a(products), .y(count));
      always_ff @(posedge clk) counts[g*COUNT_W+:COUNT_W] <= COUNT_W'(count);
    end

    logic [TOTAL_W-1:0] total;
    logic [WIDE_W-1:0]  doubled;
    logic               unused_one;

    weighted_sum #(.PLANES(GROUPS), .BITS(COUNT_W)) groups (
      .planes(counts), .ones('0), .y(total), .plus(unused_one)
    );

    assign doubled = WIDE_W'(total) << (W_FORM == 0 ? 1 : 0);
    always_ff @(posedge clk) y[n*SUM_BITS+:SUM_BITS] <= SUM_BITS'(doubled + rest);
  end

  assign plus = '0;

endmodule
