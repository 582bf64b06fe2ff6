// SPDX-License-Identifier: Apache-2.0
//
// The end of PE neurons: thresholds on their integers, where there are some, and the output buffer.
//
//   y = STEPS > 0 ? staircase(x) with the levels at the neurons' word : x
//
// Encoding   see staircase; PE lanes, lane 0 low.
//            LEVELS_FILE, WORDS words: PE x STEPS levels, then PE x DIRECTIONS bits is_rising.
// Reference  popshift.hw.stages.thresholds.Thresholds (bit-exact), popshift.hw.schedule.Pipe
//            (cycle-exact)
// Latency    1 cycle from push to m_axis_tvalid; the word is named 2 cycles before push
// II         1 cycle
// Stall      m_axis_tready low holds the beat; has_place comes from a register alone
// Reset      rst frees all places and clears m_axis_tvalid; data is not reset
module neuron_end #(
  parameter  int PE           = 2,
  parameter  int X_BITS       = 8,
  parameter  int X_SIGNED     = 0,
  parameter  int STEPS        = 0,       // 0: no thresholds
  parameter  int DIRECTIONS   = 1,       // of a neuron: 1, or STEPS
  parameter  int LEVEL_BITS   = X_BITS,
  parameter  int BASE         = 0,
  parameter  int WORDS        = 1,       // of the level memory
  parameter  int OUT_BITS     = X_BITS,
  parameter  int CAPACITY     = 1,       // of the output buffer, beats
  parameter  int LEVELS_BLOCK = 0,       // 1: levels in block RAM, 0: as synthesis likes
  parameter  int LEVELS_SLICE = PE * (STEPS * LEVEL_BITS + DIRECTIONS), // bits of a level memory, see rom
  parameter      LEVELS_FILE  = "levels",
  localparam int AT_W         = WORDS > 1 ? $clog2(WORDS) : 1
) (
  input  logic                   clk,
  input  logic                   rst,

  // An operation that will push fires in this cycle; only while has_place is high
  input  logic                   take,
  output logic                   has_place,

  // Its integers, and two cycles before them the word of their levels
  /* verilator lint_off UNUSEDSIGNAL */ // without thresholds
  input  logic [AT_W-1:0]        at,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic                   push,
  input  logic [PE*X_BITS-1:0]   x,

  output logic [PE*OUT_BITS-1:0] m_axis_tdata,
  output logic                   m_axis_tvalid,
  input  logic                   m_axis_tready
);

  logic [PE*OUT_BITS-1:0] y;

  if (STEPS > 0) begin : gen_thresholds
    localparam int LEVELS_W = PE * STEPS * LEVEL_BITS;
    localparam int WORD_W   = LEVELS_W + PE * DIRECTIONS;

    logic [WORD_W-1:0] levels;
    rom #(
      .WIDTH(WORD_W), .WORDS(WORDS), .SLICE(LEVELS_SLICE), .IS_BLOCK(LEVELS_BLOCK),
      .FILE(LEVELS_FILE)
    ) memory (.clk, .at, .y(levels));

    for (genvar p = 0; p < PE; p++) begin : gen_lane
      staircase #(
        .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .STEPS(STEPS), .DIRECTIONS(DIRECTIONS),
        .LEVEL_BITS(LEVEL_BITS), .OUT_BITS(OUT_BITS), .BASE(BASE)
      ) stairs (
        .x        (x[p*X_BITS+:X_BITS]),
        .levels   (levels[p*STEPS*LEVEL_BITS+:STEPS*LEVEL_BITS]),
        .is_rising(levels[LEVELS_W+p*DIRECTIONS+:DIRECTIONS]),
        .y        (y[p*OUT_BITS+:OUT_BITS])
      );
    end
  end else begin : gen_raw
    assign y = x;
  end

  credit_buffer #(.WIDTH(PE * OUT_BITS), .CAPACITY(CAPACITY)) buffer (
    .clk, .rst,
    .take, .has_place,
    .push, .push_data(y),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
