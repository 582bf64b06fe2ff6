// SPDX-License-Identifier: Apache-2.0
//
// Eager fork: every output gets all beats, and takes them alone (fork is a keyword).
//
//   output i = input
//
// Encoding   none, WIDTH opaque bits; ports of one vector, output 0 low
// Reference  popshift.hw.stages.Fork (bit-exact, cycle-exact)
// Latency    1 cycle
// II         1 cycle a beat
// Stall      each output holds two beats; s_axis_tready is low while any output has both waiting; it
//            comes from registers alone
// Reset      rst drops the waiting beats; data is not reset
//
// A beat is stored once: a place is written again only when every output has read it.
module eager_fork #(
  parameter int WIDTH   = 8,  // bits of a beat, >= 1
  parameter int OUTPUTS = 2   // >= 2
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

  if (WIDTH < 1 || OUTPUTS < 2) begin : gen_check
    $error("eager_fork: WIDTH=%0d must be >= 1 and OUTPUTS=%0d >= 2 (%m)", WIDTH, OUTPUTS);
  end

  // Two places, and for each of them which outputs have still to read it.
  logic [WIDTH-1:0]   place_0, place_1;
  logic [OUTPUTS-1:0] unread_0, unread_1;
  logic               write_at, fire;

  assign s_axis_tready = (write_at ? unread_1 : unread_0) == '0;
  assign fire          = s_axis_tvalid && s_axis_tready;

  always_ff @(posedge clk) begin
    if (fire && !write_at) place_0 <= s_axis_tdata;
    if (fire && write_at) place_1 <= s_axis_tdata;
    if (rst) write_at <= 1'b0;
    else if (fire) write_at <= !write_at;
  end

  for (genvar i = 0; i < OUTPUTS; i++) begin : gen_output
    logic read_at, pop;

    assign m_axis_tdata[i*WIDTH+:WIDTH] = read_at ? place_1 : place_0;
    assign m_axis_tvalid[i]             = read_at ? unread_1[i] : unread_0[i];
    assign pop                          = m_axis_tvalid[i] && m_axis_tready[i];

    always_ff @(posedge clk) begin
      if (rst) begin
        read_at     <= 1'b0;
        unread_0[i] <= 1'b0;
        unread_1[i] <= 1'b0;
      end else begin
        if (pop) read_at <= !read_at;
        if (fire && !write_at) unread_0[i] <= 1'b1;
        else if (pop && !read_at) unread_0[i] <= 1'b0;
        if (fire && write_at) unread_1[i] <= 1'b1;
        else if (pop && read_at) unread_1[i] <= 1'b0;
      end
    end
  end

endmodule
