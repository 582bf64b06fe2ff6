// SPDX-License-Identifier: Apache-2.0
//
// Width converter: one wide beat becomes RATIO narrow beats.
//
//   {narrow[RATIO-1], ..., narrow[0]} = wide
//
// Encoding   none; the low bits leave first
// Reference  popshift.hw.stages.Width (bit-exact, cycle-exact)
// Latency    1 cycle from the wide beat to its first narrow beat
// II         RATIO cycles a wide beat
// Stall      each narrow beat waits for one of two places; s_axis_tready is registered
// Reset      rst drops the rest and clears m_axis_tvalid; data is not reset
module width_down #(
  parameter int NARROW = 8,  // bits of an output beat
  parameter int RATIO  = 2   // >= 2
) (
  input  logic                    clk,
  input  logic                    rst,

  input  logic [RATIO*NARROW-1:0] s_axis_tdata,
  input  logic                    s_axis_tvalid,
  output logic                    s_axis_tready,

  output logic [NARROW-1:0]       m_axis_tdata,
  output logic                    m_axis_tvalid,
  input  logic                    m_axis_tready
);

  if (RATIO < 2) begin : gen_check
    $error("width_down: RATIO=%0d must be >= 2 (%m)", RATIO);
  end

  localparam int PART_W = $clog2(RATIO);

  logic [PART_W-1:0]           part;
  logic [(RATIO-1)*NARROW-1:0] rest;
  logic [RATIO*NARROW-1:0]     current;
  logic                        is_first, has_place, fire;

  assign is_first      = part == '0;
  assign s_axis_tready = is_first && has_place;
  assign fire          = (!is_first || s_axis_tvalid) && has_place;
  assign current       = is_first ? s_axis_tdata : {{NARROW{1'b0}}, rest};

  /* verilator lint_off PINCONNECTEMPTY */
  counter #(.MODULUS(RATIO)) place (.clk, .rst, .step(fire), .value(part), .is_last());
  /* verilator lint_on PINCONNECTEMPTY */

  always_ff @(posedge clk) begin
    if (fire) rest <= current[RATIO*NARROW-1:NARROW];
  end

  credit_buffer #(.WIDTH(NARROW), .CAPACITY(2), .AT_ONCE(1)) buffer (
    .clk, .rst,
    .take(fire), .has_place,
    .push(fire), .push_data(current[NARROW-1:0]),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
