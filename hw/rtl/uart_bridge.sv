// SPDX-License-Identifier: Apache-2.0
//
// Serial line to the streams of an accelerator and back, one byte or more an element.
//
//   m_axis lane j, bits 0 .. IN_BITS-1 = bytes j*IN_BYTES .. (j+1)*IN_BYTES-1 of the beat, low first
//   bytes sent for lane j of s_axis    = its OUT_BITS bits, zero-extended to OUT_BYTES, low first
//
// with IN_BYTES = ceil(IN_BITS / 8), OUT_BYTES = ceil(OUT_BITS / 8), lane 0 first. A byte carries
// the code of an element: 0 or 1 for a bipolar one (1 stands for +1), two's complement for a
// signed one. Bits of a byte above IN_BITS are ignored.
//
// Reference  popshift.flows.boards.uart.to_uart_bytes, from_uart_bytes (bit-exact)
// Latency    4 cycles from the last byte of a beat (tvalid of uart_rx) to m_axis_tvalid;
//            2 cycles from an accepted s_axis beat to its start bit
// II         one beat each IN_LANES * IN_BYTES received bytes; one beat each
//            OUT_LANES * OUT_BYTES * 10 * CLOCKS_PER_BIT cycles on the way out
// Stall      a beat holds on m_axis until accepted; received bytes wait in a buffer of FIFO_BYTES;
//            a byte that finds it full is lost and sets overrun until reset
// Reset      rst forgets all bytes and clears overrun and frame_error; data is not reset
module uart_bridge #(
  parameter  int unsigned CLOCKS_PER_BIT = 25,    // cycles, 4 or more
  parameter  int unsigned FIFO_BYTES     = 2048,  // bytes, a power of two, 2 or more
  parameter  int unsigned IN_LANES       = 1,     // elements of a beat to the accelerator, >= 1
  parameter  int unsigned IN_BITS        = 8,     // bits of such an element, >= 1
  parameter  int unsigned OUT_LANES      = 1,     // elements of a beat from the accelerator, >= 1
  parameter  int unsigned OUT_BITS       = 8,     // bits of such an element, >= 1
  localparam int unsigned IN_W           = IN_LANES * IN_BITS,   // derived
  localparam int unsigned OUT_W          = OUT_LANES * OUT_BITS  // derived
) (
  input  logic             clk,
  input  logic             rst,

  // Serial lines; rxd is asynchronous to clk
  input  logic             rxd,
  output logic             txd,

  // From the accelerator
  input  logic [OUT_W-1:0] s_axis_tdata,
  input  logic             s_axis_tvalid,
  output logic             s_axis_tready,

  // To the accelerator
  output logic [IN_W-1:0]  m_axis_tdata,
  output logic             m_axis_tvalid,
  input  logic             m_axis_tready,

  // What a user sees: sticky errors and the low bits of the byte that was sent last
  output logic             overrun,
  output logic             frame_error,
  output logic [3:0]       answer
);

  if (IN_LANES < 1 || IN_BITS < 1 || OUT_LANES < 1 || OUT_BITS < 1) begin : gen_check
    $error("uart_bridge: lanes and bits must be at least 1 (instance %m)");
  end

  localparam int unsigned IN_BYTES    = (IN_BITS + 7) / 8;
  localparam int unsigned OUT_BYTES   = (OUT_BITS + 7) / 8;
  localparam int unsigned IN_COUNT    = IN_LANES * IN_BYTES;
  localparam int unsigned OUT_COUNT   = OUT_LANES * OUT_BYTES;
  localparam int unsigned IN_COUNT_W  = $clog2(IN_COUNT + 1);
  localparam int unsigned OUT_COUNT_W = $clog2(OUT_COUNT + 1);

  logic [7:0] received_tdata;
  logic       received_tvalid;
  logic       received_tready;
  logic       received_wrong;
  logic [7:0] stored_tdata;
  logic       stored_tvalid;
  logic       stored_tready;
  logic       send_tvalid;
  logic       send_tready;

  uart_rx #(
    .CLOCKS_PER_BIT(CLOCKS_PER_BIT)
  ) receiver (
    .clk           (clk),
    .rst           (rst),
    .rxd           (rxd),
    .m_axis_tdata  (received_tdata),
    .m_axis_tvalid (received_tvalid),
    .frame_error   (received_wrong)
  );

  uart_fifo #(
    .DEPTH(FIFO_BYTES)
  ) buffer (
    .clk           (clk),
    .rst           (rst),
    .s_axis_tdata  (received_tdata),
    .s_axis_tvalid (received_tvalid),
    .s_axis_tready (received_tready),
    .m_axis_tdata  (stored_tdata),
    .m_axis_tvalid (stored_tvalid),
    .m_axis_tready (stored_tready)
  );

  always_ff @(posedge clk) begin
    if (rst) begin
      overrun     <= 1'b0;
      frame_error <= 1'b0;
    end else begin
      overrun     <= overrun || (received_tvalid && !received_tready);
      frame_error <= frame_error || received_wrong;
    end
  end

  // Bytes to a beat: each new byte enters at the top, so the first ends at the bottom.
  logic [8*IN_COUNT-1:0] gathered;
  logic [IN_COUNT_W-1:0] missing;

  assign stored_tready = missing != '0;
  assign m_axis_tvalid = missing == '0;

  always_ff @(posedge clk) begin
    if (stored_tvalid && stored_tready)
      gathered <= (8*IN_COUNT)'({stored_tdata, gathered} >> 8);

    if (rst || (m_axis_tvalid && m_axis_tready)) missing <= IN_COUNT_W'(IN_COUNT);
    else if (stored_tvalid && stored_tready)     missing <= missing - 1'b1;
  end

  for (genvar lane = 0; lane < IN_LANES; lane++) begin : gen_in
    assign m_axis_tdata[lane*IN_BITS +: IN_BITS] = gathered[lane*8*IN_BYTES +: IN_BITS];
  end

  // A beat to bytes: the lowest byte is sent, the others move down.
  logic [8*OUT_COUNT-1:0] waiting;
  logic [OUT_COUNT_W-1:0] left;
  logic [8*OUT_COUNT-1:0] padded;

  for (genvar lane = 0; lane < OUT_LANES; lane++) begin : gen_out
    assign padded[lane*8*OUT_BYTES +: 8*OUT_BYTES] =
      (8*OUT_BYTES)'(s_axis_tdata[lane*OUT_BITS +: OUT_BITS]);
  end

  assign s_axis_tready = left == '0;
  assign send_tvalid   = left != '0;

  always_ff @(posedge clk) begin
    if (s_axis_tvalid && s_axis_tready)  waiting <= padded;
    else if (send_tvalid && send_tready) waiting <= waiting >> 8;

    if (rst)                                 left <= '0;
    else if (s_axis_tvalid && s_axis_tready) left <= OUT_COUNT_W'(OUT_COUNT);
    else if (send_tvalid && send_tready)     left <= left - 1'b1;

    if (rst)                             answer <= 4'd0;
    else if (send_tvalid && send_tready) answer <= waiting[3:0];
  end

  uart_tx #(
    .CLOCKS_PER_BIT(CLOCKS_PER_BIT)
  ) transmitter (
    .clk           (clk),
    .rst           (rst),
    .s_axis_tdata  (waiting[7:0]),
    .s_axis_tvalid (send_tvalid),
    .s_axis_tready (send_tready),
    .txd           (txd)
  );

endmodule
