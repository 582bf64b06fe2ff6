// SPDX-License-Identifier: Apache-2.0
//
// Split: each output gets some beats of every pixel.
//
//   output i = the beats f of a pixel with MEMBERS[f][i], in order
//
// Encoding   none, WIDTH opaque bits; ports of one vector, output 0 low. MEMBERS: OUTPUTS bits for
//            each beat of a pixel, beat 0 low.
// Reference  popshift.hw.stages.Split (bit-exact, cycle-exact)
// Latency    1 cycle
// II         1 cycle a beat; beats that no output takes are dropped
// Stall      each output holds two beats; s_axis_tready is low while one that takes the beat is
//            full; it comes from registers alone
// Reset      rst clears the counter and drops the waiting beats; data is not reset
module split #(
  parameter int WIDTH   = 8,  // bits of a beat
  parameter int OUTPUTS = 2,
  parameter int BEATS   = 2,  // of a pixel
  parameter logic [BEATS*OUTPUTS-1:0] MEMBERS = 'b0110
) (
  input  logic                     clk,
  input  logic                     rst,

  input  logic [WIDTH-1:0]         s_axis_tdata,
  input  logic                     s_axis_tvalid,
  output logic                     s_axis_tready,

  output logic [OUTPUTS*WIDTH-1:0] m_axis_tdata,
  output logic [OUTPUTS-1:0]       m_axis_tvalid,
  input  logic [OUTPUTS-1:0]       m_axis_tready
);

  localparam int BEAT_W = BEATS > 1 ? $clog2(BEATS) : 1;

  logic [BEAT_W-1:0]  beat;
  logic [OUTPUTS-1:0] takes, has_place;
  logic               fire;

  assign takes         = MEMBERS[int'(beat)*OUTPUTS+:OUTPUTS];
  assign s_axis_tready = (takes & ~has_place) == '0;
  assign fire          = s_axis_tvalid && s_axis_tready;

  always_ff @(posedge clk) begin
    if (rst) beat <= '0;
    else if (fire) beat <= beat == BEAT_W'(BEATS - 1) ? '0 : beat + 1'b1;
  end

  for (genvar i = 0; i < OUTPUTS; i++) begin : gen_output
    credit_buffer #(.WIDTH(WIDTH), .CAPACITY(2), .AT_ONCE(1)) buffer (
      .clk, .rst,
      .take(fire && takes[i]), .has_place(has_place[i]),
      .push(fire && takes[i]), .push_data(s_axis_tdata),
      .m_axis_tdata(m_axis_tdata[i*WIDTH+:WIDTH]),
      .m_axis_tvalid(m_axis_tvalid[i]), .m_axis_tready(m_axis_tready[i])
    );
  end

endmodule
