// SPDX-License-Identifier: Apache-2.0
//
// Parts of dot products of integers with weights -1, 0, +1: inputs added, skipped or subtracted.
//
//   y[n] + plus[n] = sum over lanes i of w[n][i] * x[i]
//
// Encoding   x two's complement if X_SIGNED, 2b - 1 if X_BIPOLAR, else unsigned.
//            W_BITS = 1: bit b stands for 2b - 1. W_BITS = 2: two's complement -1, 0, 1.
//            y two's complement modulo 2^SUM_BITS; neuron 0 and lane 0 low
// Reference  popshift.hw.stages.kernels.Signed (bit-exact)
// Latency    CYCLES from w to y; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
//
// Bipolar weights take two lanes at once: a term is their sum or their difference, which do not
// depend on the weights and are made once for all neurons; choosing and inverting takes one LUT a
// bit. Subtraction is bit inversion plus one; the ones are the carries of the additions.
module dot_signed #(
  parameter int SIMD      = 8,   // lanes, >= 1
  parameter int PE        = 2,   // neurons, >= 1
  parameter int X_BITS    = 8,
  parameter int X_SIGNED  = 0,   // 0 or 1
  parameter int X_BIPOLAR = 0,   // 0 or 1; then X_BITS is 1
  parameter int W_BITS    = 1,   // 1 or 2
  parameter int SUM_BITS  = 12,
  parameter int CYCLES    = 1
) (
  input  logic                      clk,
  input  logic [SIMD*X_BITS-1:0]    x,
  input  logic [PE*SIMD*W_BITS-1:0] w,
  output logic [PE*SUM_BITS-1:0]    y,
  output logic [PE-1:0]             plus
);

  if ((W_BITS != 1 && W_BITS != 2) || CYCLES != 1) begin : gen_check
    $error("dot_signed: W_BITS=%0d must be 1 or 2, CYCLES=%0d 1 (%m)", W_BITS, CYCLES);
  end

  localparam int LANE_W = X_BITS + 1;                  // a lane in two's complement
  localparam int PAIRS  = W_BITS == 1 ? SIMD / 2 : 0;  // the other lanes stand alone
  localparam int TERMS  = SIMD - PAIRS;
  localparam int TERM_W = PAIRS > 0 ? LANE_W + 1 : LANE_W;
  localparam int TREE_W = TERM_W + $clog2(TERMS);

  // What all neurons share: sum and difference of each pair, and the single lanes.
  logic [TERMS*TERM_W-1:0] sums, differences;

  for (genvar i = 0; i < SIMD; i++) begin : gen_lane
    logic signed [LANE_W-1:0] lane;

    if (X_BIPOLAR != 0) begin : gen_bipolar
      assign lane = x[i] ? LANE_W'(1) : '1;
    end else if (X_SIGNED != 0) begin : gen_signed
      assign lane = LANE_W'($signed(x[i*X_BITS+:X_BITS]));
    end else begin : gen_unsigned
      assign lane = LANE_W'(x[i*X_BITS+:X_BITS]);
    end
  end

  for (genvar i = 0; i < TERMS; i++) begin : gen_shared
    if (i < PAIRS) begin : gen_pair
      always_ff @(posedge clk) begin
        sums[i*TERM_W+:TERM_W] <= TERM_W'(gen_lane[2*i].lane) + TERM_W'(gen_lane[2*i+1].lane);
        differences[i*TERM_W+:TERM_W] <=
            TERM_W'(gen_lane[2*i].lane) - TERM_W'(gen_lane[2*i+1].lane);
      end
    end else begin : gen_single
      always_ff @(posedge clk) begin
        sums[i*TERM_W+:TERM_W]        <= TERM_W'(gen_lane[i+PAIRS].lane);
        differences[i*TERM_W+:TERM_W] <= '0;
      end
    end
  end

  for (genvar n = 0; n < PE; n++) begin : gen_neuron
    logic [TERMS*TERM_W-1:0] terms;
    logic [TERMS-1:0]        is_negative;
    logic [TREE_W-1:0]       total;
    logic                    one;

    for (genvar i = 0; i < TERMS; i++) begin : gen_term
      localparam int AT = (n*SIMD + (i < PAIRS ? 2*i : i + PAIRS)) * W_BITS;  // its first weight
      logic [TERM_W-1:0] sum, magnitude;
      assign sum = sums[i*TERM_W+:TERM_W];

      if (i < PAIRS) begin : gen_pair
        assign is_negative[i] = !w[AT];
        assign magnitude      = w[AT] == w[AT+1] ? sum : differences[i*TERM_W+:TERM_W];
      end else if (W_BITS == 1) begin : gen_bipolar_weight
        assign is_negative[i] = !w[AT];
        assign magnitude      = sum;
      end else begin : gen_ternary_weight
        assign is_negative[i] = w[AT+1];
        assign magnitude      = w[AT] ? sum : '0;
      end

      assign terms[i*TERM_W+:TERM_W] = magnitude ^ {TERM_W{is_negative[i]}};
    end

    adder_tree #(.TERMS(TERMS), .BITS(TERM_W)) tree (
      .terms, .ones(is_negative), .y(total), .plus(one)
    );

    always_ff @(posedge clk) begin
      y[n*SUM_BITS+:SUM_BITS] <= SUM_BITS'($signed(total));
      plus[n]                 <= one;
    end
  end

endmodule
