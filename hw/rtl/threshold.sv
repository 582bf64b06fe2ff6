// SPDX-License-Identifier: Apache-2.0
//
// Thresholds per channel on a stream of integers, PE channels a cycle.
//
//   y[c] = staircase(x[c]) with the levels of channel c
//
// Encoding   see staircase. LEVELS_FILE word f holds channels f*PE..: PE x STEPS levels, then PE
//            bits is_rising; lane 0 low.
// Reference  popshift.hw.stages.Threshold (bit-exact, cycle-exact)
// Latency    2 cycles from accepted beat to m_axis_tvalid
// II         1 cycle a beat
// Stall      s_axis_tready is low while the output buffer of 3 beats is taken; it is registered
// Reset      rst clears the counter and valid bits; data is not reset
module threshold #(
  parameter int CHANNELS    = 16,
  parameter int PE          = 4,   // divides CHANNELS
  parameter int X_BITS      = 8,
  parameter int X_SIGNED    = 0,
  parameter int STEPS       = 1,
  parameter int LEVEL_BITS  = 9,
  parameter int OUT_BITS    = 1,
  parameter int BASE        = 0,
  /* verilator lint_off UNUSEDPARAM */ // it reads no attributes
  parameter int LEVELS_BLOCK = 0, // 1: levels in block RAM, 0: as synthesis likes
  /* verilator lint_on UNUSEDPARAM */
  parameter     LEVELS_FILE = "levels.hex"
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

  localparam int FOLDS    = CHANNELS / PE;
  localparam int FOLD_W   = FOLDS > 1 ? $clog2(FOLDS) : 1;
  localparam int LEVELS_W = PE * STEPS * LEVEL_BITS;

  (* rom_style = LEVELS_BLOCK != 0 ? "block" : "auto" *)
  logic [LEVELS_W+PE-1:0] memory[FOLDS];
  initial $readmemh(LEVELS_FILE, memory);

  logic [FOLD_W-1:0]      fold;
  logic [LEVELS_W+PE-1:0] levels_1;
  logic [PE*X_BITS-1:0]   x_1;
  logic [PE*OUT_BITS-1:0] y;
  logic                   fire, valid_1;

  assign fire = s_axis_tvalid && s_axis_tready;

  always_ff @(posedge clk) begin
    x_1      <= s_axis_tdata;
    levels_1 <= memory[fold];
    if (rst) begin
      fold    <= '0;
      valid_1 <= 1'b0;
    end else begin
      valid_1 <= fire;
      if (fire) fold <= fold == FOLD_W'(FOLDS - 1) ? '0 : fold + 1'b1;
    end
  end

  for (genvar p = 0; p < PE; p++) begin : gen_lane
    staircase #(
      .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .STEPS(STEPS), .LEVEL_BITS(LEVEL_BITS),
      .OUT_BITS(OUT_BITS), .BASE(BASE)
    ) stairs (
      .x        (x_1[p*X_BITS+:X_BITS]),
      .levels   (levels_1[p*STEPS*LEVEL_BITS+:STEPS*LEVEL_BITS]),
      .is_rising(levels_1[LEVELS_W+p]),
      .y        (y[p*OUT_BITS+:OUT_BITS])
    );
  end

  credit_buffer #(.WIDTH(PE * OUT_BITS), .CAPACITY(3)) buffer (
    .clk, .rst,
    .take(fire), .has_place(s_axis_tready),
    .push(valid_1), .push_data(y),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
