// SPDX-License-Identifier: Apache-2.0
//
// Sliding window: the pixels under a kernel that moves over an image, padded by a constant.
//
//   y[oy][ox][g][ky][kx][c] = x[oy*STRIDE_Y - PAD_TOP + ky*DILATION_Y]
//                              [ox*STRIDE_X - PAD_LEFT + kx*DILATION_X]
//                              [g*channels/GROUPS + c], or PAD outside the image
//
// Encoding   none; SIMD lanes of X_BITS bits a beat, lane 0 low; a pixel is FOLDS beats
// Reference  popshift.hw.stages.Window (bit-exact, cycle-exact)
// Latency    1 cycle from an accepted beat to the operation that may read it, 3 cycles from the
//            operation to m_axis_tvalid
// II         the larger of the beats in and the beats out of an image; reading one image overlaps
//            with writing the next
// Stall      an operation waits for its pixel and for a place in the output buffer of 4 beats;
//            s_axis_tready waits for the line buffer; no combinational path from input to output or
//            back
// Reset      rst clears counters and valid bits; data is not reset
module window #(
  parameter int SIMD       = 1,
  parameter int X_BITS     = 8,
  parameter int PAD        = 0,   // code of the padding, the low X_BITS bits
  parameter int HEIGHT     = 4,
  parameter int WIDTH      = 4,
  parameter int FOLDS      = 1,   // beats of a pixel
  parameter int GROUPS     = 1,   // divides FOLDS
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
  parameter int IS_PADDED  = 0,
  parameter int DEPTH      = 12,  // words of the line buffer
  parameter int AHEAD_BITS = 5,
  parameter int HELD_BITS  = 5,
  parameter int IS_BLOCK   = 0    // 1: line buffer in block RAM
) (
  input  logic                   clk,
  input  logic                   rst,

  input  logic [SIMD*X_BITS-1:0] s_axis_tdata,
  input  logic                   s_axis_tvalid,
  output logic                   s_axis_tready,

  output logic [SIMD*X_BITS-1:0] m_axis_tdata,
  output logic                   m_axis_tvalid,
  input  logic                   m_axis_tready
);

  logic [SIMD*X_BITS-1:0] data;
  logic                   can_fire, fire, has_place, data_valid, data_is_padding;

  assign fire = can_fire && has_place;

  /* verilator lint_off PINCONNECTEMPTY */
  line_buffer #(
    .BITS(SIMD * X_BITS), .HEIGHT(HEIGHT), .WIDTH(WIDTH), .FOLDS(FOLDS), .GROUPS(GROUPS),
    .OUT_HEIGHT(OUT_HEIGHT), .OUT_WIDTH(OUT_WIDTH), .KERNEL_Y(KERNEL_Y), .KERNEL_X(KERNEL_X),
    .STRIDE_Y(STRIDE_Y), .STRIDE_X(STRIDE_X), .DILATION_Y(DILATION_Y), .DILATION_X(DILATION_X),
    .PAD_TOP(PAD_TOP), .PAD_LEFT(PAD_LEFT), .IS_PADDED(IS_PADDED), .DEPTH(DEPTH),
    .AHEAD_BITS(AHEAD_BITS), .HELD_BITS(HELD_BITS), .IS_BLOCK(IS_BLOCK)
  ) lines (
    .clk, .rst,
    .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
    .can_fire, .is_first_tap(), .is_last_tap(), .fold(), .fire,
    .data_valid, .data_is_padding, .data
  );
  /* verilator lint_on PINCONNECTEMPTY */

  credit_buffer #(.WIDTH(SIMD * X_BITS), .CAPACITY(4)) buffer (
    .clk, .rst,
    .take(fire), .has_place,
    .push(data_valid), .push_data(data_is_padding ? {SIMD{X_BITS'(PAD)}} : data),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
