// SPDX-License-Identifier: Apache-2.0
//
// Dot products as one would write them without popshift, to compare with: products by `*`.
//
//   y[n] = sum over lanes i of w[n][i] * x[i];   plus[n] = 0
//
// Encoding   as dot_signed of hw/rtl, in whose place it stands
// Reference  popshift.hw.stages.kernels.Signed (bit-exact)
// Latency    CYCLES from w to y, >= 1; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
module dot_signed #(
  parameter int SIMD      = 8,
  parameter int PE        = 2,
  parameter int X_BITS    = 8,
  parameter int X_SIGNED  = 0,
  parameter int X_BIPOLAR = 0,
  parameter int W_BITS    = 1,
  parameter int W_FORM    = 0,
  parameter int SUM_BITS  = 12,
  parameter int CYCLES    = 1
) (
  input  logic                      clk,
  input  logic [SIMD*X_BITS-1:0]    x,
  input  logic [PE*SIMD*W_BITS-1:0] w,
  output logic [PE*SUM_BITS-1:0]    y,
  output logic [PE-1:0]             plus
);

  localparam int LANE_W    = X_SIGNED != 0 ? X_BITS : X_BITS + 1;
  localparam int WEIGHT_W  = W_FORM == 0 ? W_BITS + 1 : W_BITS;
  localparam int PRODUCT_W = LANE_W + WEIGHT_W;

  logic [SIMD*LANE_W-1:0] lane, lane_1;

  lanes #(
    .SIMD(SIMD), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR)
  ) integers (.x, .y(lane));

  always_ff @(posedge clk) lane_1 <= lane;

  for (genvar n = 0; n < PE; n++) begin : gen_neuron
    logic [SIMD*PRODUCT_W-1:0] products, delayed;
    logic [SUM_BITS-1:0]       sum;

    for (genvar i = 0; i < SIMD; i++) begin : gen_lane
      logic [W_BITS-1:0]           code;
      logic signed [WEIGHT_W-1:0]  weight;
      logic signed [LANE_W-1:0]    element;
      logic signed [PRODUCT_W-1:0] product;
      assign code    = w[(n*SIMD+i)*W_BITS+:W_BITS];
      assign element = lane_1[i*LANE_W+:LANE_W];
      if (W_FORM == 0) begin : gen_odd
        assign weight = {code, 1'b1} ^ (WEIGHT_W'(1) << W_BITS);
      end else begin : gen_twos_complement
        assign weight = code;
      end
      assign product = element * weight;
      assign products[i*PRODUCT_W+:PRODUCT_W] = product;
    end

    delay #(.WIDTH(SIMD * PRODUCT_W), .CYCLES(CYCLES - 1)) late (
      .clk, .x(products), .y(delayed)
    );

    always_comb begin
      sum = '0;
      for (int i = 0; i < SIMD; i++) begin
        sum = sum + SUM_BITS'($signed(delayed[i*PRODUCT_W+:PRODUCT_W]));
      end
    end

    always_ff @(posedge clk) y[n*SUM_BITS+:SUM_BITS] <= sum;
  end

  assign plus = '0;

endmodule
