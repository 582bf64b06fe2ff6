// SPDX-License-Identifier: Apache-2.0
//
// Thresholds per channel on a stream of integers, PE channels a cycle.
//
//   y[c] = staircase(x[c]) with the levels of channel c
//
// Encoding   see staircase. LEVELS_FILE word f holds channels f*PE.., see neuron_end; lane 0 low.
// Reference  popshift.hw.stages.Threshold (bit-exact, cycle-exact)
// Latency    3 cycles from accepted beat to m_axis_tvalid
// II         1 cycle a beat
// Stall      s_axis_tready is low while the output buffer of 4 beats is taken; it is registered
// Reset      rst clears the counter and valid bits; data is not reset
module threshold #(
  parameter int CHANNELS    = 16,
  parameter int PE          = 4,   // divides CHANNELS
  parameter int X_BITS      = 8,
  parameter int X_SIGNED    = 0,
  parameter int STEPS       = 1,
  parameter int DIRECTIONS  = 1,       // of a neuron: 1, or STEPS
  parameter int LEVEL_BITS  = 9,
  parameter int OUT_BITS    = 1,
  parameter int BASE        = 0,
  parameter int LEVELS_BLOCK = 0, // 1: levels in block RAM, 0: as synthesis likes
  parameter int LEVELS_SLICE = PE * (STEPS * LEVEL_BITS + DIRECTIONS), // bits of a level memory, see rom
  parameter     LEVELS_FILE = "levels"
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

  if (CHANNELS % PE != 0) begin : gen_check
    $error("threshold: PE=%0d must divide CHANNELS=%0d (%m)", PE, CHANNELS);
  end

  localparam int FOLDS  = CHANNELS / PE;
  localparam int FOLD_W = FOLDS > 1 ? $clog2(FOLDS) : 1;

  logic [FOLD_W-1:0]    fold;
  logic [PE*X_BITS-1:0] x_1, x_2;
  logic                 fire, valid_1, valid_2;

  assign fire = s_axis_tvalid && s_axis_tready;

  /* verilator lint_off PINCONNECTEMPTY */
  counter #(.MODULUS(FOLDS)) folds (.clk, .rst, .step(fire), .value(fold), .is_last());
  /* verilator lint_on PINCONNECTEMPTY */

  always_ff @(posedge clk) begin
    x_1 <= s_axis_tdata;
    x_2 <= x_1;
    if (rst) begin
      valid_1 <= 1'b0;
      valid_2 <= 1'b0;
    end else begin
      valid_1 <= fire;
      valid_2 <= valid_1;
    end
  end

  neuron_end #(
    .PE(PE), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .STEPS(STEPS), .DIRECTIONS(DIRECTIONS),
    .LEVEL_BITS(LEVEL_BITS), .BASE(BASE), .WORDS(FOLDS), .OUT_BITS(OUT_BITS), .CAPACITY(4),
    .LEVELS_BLOCK(LEVELS_BLOCK), .LEVELS_SLICE(LEVELS_SLICE), .LEVELS_FILE(LEVELS_FILE)
  ) results (
    .clk, .rst,
    .take(fire), .has_place(s_axis_tready),
    .at(fold), .push(valid_2), .x(x_2),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
