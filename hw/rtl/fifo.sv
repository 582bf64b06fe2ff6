// SPDX-License-Identifier: Apache-2.0
//
// First-in first-out buffer of a stream.
//
//   beats out = beats in, in order
//
// Encoding   none, WIDTH opaque bits
// Reference  popshift.hw.stages.Fifo (bit-exact, cycle-exact)
// Latency    1 cycle
// II         1 cycle for DEPTH >= 2, else 2
// Stall      holds DEPTH beats; s_axis_tready is registered: a place is offered again one cycle
//            after its beat has left
// Reset      rst empties it; data is not reset
module fifo #(
  parameter int WIDTH = 8,  // bits of a beat
  parameter int DEPTH = 2   // beats, >= 1
) (
  input  logic             clk,
  input  logic             rst,

  input  logic [WIDTH-1:0] s_axis_tdata,
  input  logic             s_axis_tvalid,
  output logic             s_axis_tready,

  output logic [WIDTH-1:0] m_axis_tdata,
  output logic             m_axis_tvalid,
  input  logic             m_axis_tready
);

  logic fire;

  assign fire = s_axis_tvalid && s_axis_tready;

  credit_buffer #(.WIDTH(WIDTH), .CAPACITY(DEPTH)) buffer (
    .clk, .rst,
    .take(fire), .has_place(s_axis_tready),
    .push(fire), .push_data(s_axis_tdata),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
