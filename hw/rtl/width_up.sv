// SPDX-License-Identifier: Apache-2.0
//
// Width converter: RATIO narrow beats become one wide beat.
//
//   wide = {narrow[RATIO-1], ..., narrow[0]}
//
// Encoding   none; the first narrow beat in the low bits
// Reference  popshift.hw.stages.Width (bit-exact, cycle-exact)
// Latency    1 cycle from the last narrow beat to m_axis_tvalid
// II         RATIO cycles a wide beat
// Stall      the last narrow beat waits until the wide beat before it has left; s_axis_tready is
//            registered
// Reset      rst drops the parts and clears m_axis_tvalid; data is not reset
module width_up #(
  parameter int NARROW = 8,  // bits of an input beat
  parameter int RATIO  = 2   // >= 2
) (
  input  logic                    clk,
  input  logic                    rst,

  input  logic [NARROW-1:0]       s_axis_tdata,
  input  logic                    s_axis_tvalid,
  output logic                    s_axis_tready,

  output logic [RATIO*NARROW-1:0] m_axis_tdata,
  output logic                    m_axis_tvalid,
  input  logic                    m_axis_tready
);

  if (RATIO < 2) begin : gen_check
    $error("width_up: RATIO=%0d must be >= 2 (%m)", RATIO);
  end

  logic [(RATIO-1)*NARROW-1:0]   parts;
  logic [RATIO*NARROW-1:0]       wide;
  logic                          is_last, has_place, fire;

  assign s_axis_tready = !is_last || has_place;
  assign fire          = s_axis_tvalid && s_axis_tready;
  assign wide          = {s_axis_tdata, parts};

  /* verilator lint_off PINCONNECTEMPTY */
  counter #(.MODULUS(RATIO)) place (.clk, .rst, .step(fire), .value(), .is_last);
  /* verilator lint_on PINCONNECTEMPTY */

  always_ff @(posedge clk) begin
    // The parts move down by one place; after RATIO-1 of them the first is in the low bits.
    if (fire) parts <= wide[RATIO*NARROW-1:NARROW];
  end

  credit_buffer #(.WIDTH(RATIO * NARROW), .CAPACITY(1), .AT_ONCE(1)) buffer (
    .clk, .rst,
    .take(fire && is_last), .has_place,
    .push(fire && is_last), .push_data(wide),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
