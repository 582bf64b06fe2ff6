// SPDX-License-Identifier: Apache-2.0
//
// Buffer of bytes in block RAM between a serial line, which cannot wait, and its reader.
//
//   bytes leave in the order in which they entered
//
// Reference  collections.deque (bit-exact)
// Latency    2 cycles from accepted input to valid output when empty
// II         1 cycle
// Stall      s_axis_tready is low while DEPTH bytes are stored (one more may wait at the output);
//            m_axis_tready low holds the output; neither ready depends on an input of its side
// Reset      rst empties the buffer; memory and m_axis_tdata are not reset
module uart_fifo #(
  parameter  int unsigned DEPTH  = 2048,          // bytes, a power of two, 2 or more
  localparam int unsigned ADDR_W = $clog2(DEPTH)  // derived
) (
  input  logic       clk,
  input  logic       rst,

  input  logic [7:0] s_axis_tdata,
  input  logic       s_axis_tvalid,
  output logic       s_axis_tready,

  output logic [7:0] m_axis_tdata,
  output logic       m_axis_tvalid,
  input  logic       m_axis_tready
);

  if (DEPTH < 2 || (DEPTH & (DEPTH - 1)) != 0) begin : gen_check
    $error("uart_fifo: DEPTH must be a power of two >= 2, got %0d (instance %m)", DEPTH);
  end

  // A byte is fetched only after the cycle that stored it, so both ports never meet.
  (* ram_style = "block", no_rw_check *) logic [7:0] memory [DEPTH];

  // One bit more than an address: equal pointers mean empty, DEPTH apart means full.
  logic [ADDR_W:0] write_pointer;
  logic [ADDR_W:0] read_pointer;
  logic            store;
  logic            fetch;

  assign s_axis_tready = (write_pointer ^ read_pointer) != {1'b1, {ADDR_W{1'b0}}};
  assign store         = s_axis_tvalid && s_axis_tready;
  assign fetch         = write_pointer != read_pointer && (!m_axis_tvalid || m_axis_tready);

  always_ff @(posedge clk) begin
    if (store) memory[write_pointer[ADDR_W-1:0]] <= s_axis_tdata;
  end

  always_ff @(posedge clk) begin
    if (fetch) m_axis_tdata <= memory[read_pointer[ADDR_W-1:0]];
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      write_pointer <= '0;
      read_pointer  <= '0;
      m_axis_tvalid <= 1'b0;
    end else begin
      if (store) write_pointer <= write_pointer + 1'b1;
      if (fetch) read_pointer <= read_pointer + 1'b1;
      m_axis_tvalid <= fetch || (m_axis_tvalid && !m_axis_tready);
    end
  end

endmodule
