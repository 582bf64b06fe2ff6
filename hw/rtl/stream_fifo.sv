// SPDX-License-Identifier: Apache-2.0
//
// First-in first-out buffer of a stream, in LUT RAM or in block RAM.
//
//   beats out = beats in, in order
//
// Encoding   none, WIDTH opaque bits
// Reference  popshift.hw.stages.Fifo (bit-exact, cycle-exact)
// Latency    1 cycle; 4 cycles if IS_BLOCK
// II         1 cycle for DEPTH > latency, else (latency + 1) / DEPTH on average
// Stall      holds DEPTH beats; s_axis_tready is registered: a place is offered again one cycle
//            after its beat has left
// Reset      rst empties it; data is not reset
//
// It is not called fifo because FINN's library has a module of that name; projects may hold both.
//
// Block RAM takes a cycle to read and needs a register to be fast: beats are read ahead into a small
// buffer, which hides that but for the latency.
module stream_fifo #(
  parameter int WIDTH    = 8,  // bits of a beat
  parameter int DEPTH    = 2,  // beats, >= 1
  parameter int IS_BLOCK = 0   // 1: block RAM
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

  if (IS_BLOCK == 0) begin : gen_lut_ram
    credit_buffer #(.WIDTH(WIDTH), .CAPACITY(DEPTH), .AT_ONCE(1)) buffer (
      .clk, .rst,
      .take(fire), .has_place(s_axis_tready),
      .push(fire), .push_data(s_axis_tdata),
      .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
    );
  end else begin : gen_block_ram
    localparam int ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1;
    localparam int COUNT_W = $clog2(DEPTH + 1);

    // `places` counts every beat until it has left, `waiting` those not yet read ahead.
    logic [COUNT_W-1:0] places, waiting;
    logic [ADDRESS-1:0] write_at, read_at;
    logic [WIDTH-1:0]   data_1, data_2;
    logic               pop, read, has_place, valid_1, valid_2;

    assign pop           = m_axis_tvalid && m_axis_tready;
    assign read          = waiting != '0 && has_place;
    assign s_axis_tready = places != '0;

    /* verilator lint_off PINCONNECTEMPTY */
    counter #(.MODULUS(DEPTH)) writes (.clk, .rst, .step(fire), .value(write_at), .is_last());
    counter #(.MODULUS(DEPTH)) reads (.clk, .rst, .step(read), .value(read_at), .is_last());
    /* verilator lint_on PINCONNECTEMPTY */

    always_ff @(posedge clk) begin
      data_2 <= data_1;
      if (rst) begin
        places  <= COUNT_W'(DEPTH);
        waiting <= '0;
        valid_1 <= 1'b0;
        valid_2 <= 1'b0;
      end else begin
        if (fire != pop) places <= places + (fire ? '1 : COUNT_W'(1));
        if (fire != read) waiting <= waiting + (read ? '1 : COUNT_W'(1));
        valid_1 <= read;
        valid_2 <= valid_1;
      end
    end

    ram #(.WIDTH(WIDTH), .DEPTH(DEPTH), .IS_BLOCK(1)) beats (
      .clk,
      .write_enable(fire), .write_at, .write_data(s_axis_tdata),
      .read_enable(1'b1), .read_at, .read_data(data_1)
    );

    credit_buffer #(.WIDTH(WIDTH), .CAPACITY(4)) buffer (
      .clk, .rst,
      .take(read), .has_place,
      .push(valid_2), .push_data(data_2),
      .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
    );
  end

endmodule
