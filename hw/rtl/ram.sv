// SPDX-License-Identifier: Apache-2.0
//
// Memory with one write port and one registered read port.
//
//   read_data(t + 1) = memory[read_at](t)
//
// Encoding   none, WIDTH opaque bits
// Reference  none; the memory of line_buffer and stream_fifo
// Latency    1 cycle from address to data; a word written in cycle t is read from t + 1 on
// II         1 cycle
// Stall      none; while read_enable is low, read_data holds
// Reset      none
//
// A word must not be used that is read in the very cycle in which it is written.
module ram #(
  parameter  int WIDTH    = 8,   // bits of a word, >= 1
  parameter  int DEPTH    = 16,  // words, >= 1
  parameter  int IS_BLOCK = 0,   // 1: block RAM, 0: as the tool likes
  localparam int ADDRESS  = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
  input  logic               clk,

  input  logic               write_enable,
  input  logic [ADDRESS-1:0] write_at,
  input  logic [WIDTH-1:0]   write_data,

  input  logic               read_enable,
  input  logic [ADDRESS-1:0] read_at,
  output logic [WIDTH-1:0]   read_data
);

  if (IS_BLOCK != 0) begin : gen_block
    (* ram_style = "block", no_rw_check *)
    logic [WIDTH-1:0] memory[DEPTH];
    always_ff @(posedge clk) begin
      if (write_enable) memory[write_at] <= write_data;
      if (read_enable) read_data <= memory[read_at];
    end
  end else begin : gen_any
    (* no_rw_check *)
    logic [WIDTH-1:0] memory[DEPTH];
    always_ff @(posedge clk) begin
      if (write_enable) memory[write_at] <= write_data;
      if (read_enable) read_data <= memory[read_at];
    end
  end

endmodule
