// SPDX-License-Identifier: Apache-2.0
//
// Output end of a credit pipe: CAPACITY places, taken when an operation fires, free again one cycle
// after its beat has left.
//
//   beats out = beats pushed, in order
//
// Encoding   none, WIDTH opaque bits
// Reference  popshift.hw.schedule.Pipe (cycle-exact)
// Latency    1 cycle from push to m_axis_tvalid
// II         1 cycle when CAPACITY >= latency of the whole pipe + 1
// Stall      m_axis_tready low holds the beat; has_place comes from a register alone, so no
//            combinational path leads from m_axis_tready to anything outside
// Reset      rst frees all places and clears m_axis_tvalid; data is not reset
module credit_buffer #(
  parameter  int WIDTH    = 8,  // bits of a beat, >= 1
  parameter  int CAPACITY = 2,  // beats in flight or waiting, >= 1
  localparam int COUNT_W  = $clog2(CAPACITY + 1)
) (
  input  logic             clk,
  input  logic             rst,

  // An operation that will push a beat fires in this cycle; only while has_place is high
  input  logic             take,
  output logic             has_place,

  // Its beat, any fixed number of cycles later
  input  logic             push,
  input  logic [WIDTH-1:0] push_data,

  output logic [WIDTH-1:0] m_axis_tdata,
  output logic             m_axis_tvalid,
  input  logic             m_axis_tready
);

  if (WIDTH < 1 || CAPACITY < 1) begin : gen_check
    $error("credit_buffer: WIDTH=%0d and CAPACITY=%0d must be >= 1 (%m)", WIDTH, CAPACITY);
  end

  logic [COUNT_W-1:0] places;
  logic               pop;

  assign pop       = m_axis_tvalid && m_axis_tready;
  assign has_place = places != '0;

  always_ff @(posedge clk) begin
    if (rst) places <= COUNT_W'(CAPACITY);
    else places <= places - COUNT_W'(take) + COUNT_W'(pop);
  end

  if (CAPACITY == 1) begin : gen_register
    always_ff @(posedge clk) begin
      if (push) m_axis_tdata <= push_data;

      if (rst) m_axis_tvalid <= 1'b0;
      else if (push) m_axis_tvalid <= 1'b1;
      else if (pop) m_axis_tvalid <= 1'b0;
    end
  end else begin : gen_memory
    localparam int POINTER_W = $clog2(CAPACITY);
    localparam logic [POINTER_W-1:0] LAST = POINTER_W'(CAPACITY - 1);

    logic [WIDTH-1:0]     memory[CAPACITY];
    logic [POINTER_W-1:0] write_at, read_at;
    logic [COUNT_W-1:0]   waiting;

    assign m_axis_tdata  = memory[read_at];
    assign m_axis_tvalid = waiting != '0;

    always_ff @(posedge clk) begin
      if (push) memory[write_at] <= push_data;

      if (rst) begin
        write_at <= '0;
        read_at  <= '0;
        waiting  <= '0;
      end else begin
        if (push) write_at <= write_at == LAST ? '0 : write_at + 1'b1;
        if (pop) read_at <= read_at == LAST ? '0 : read_at + 1'b1;
        waiting <= waiting + COUNT_W'(push) - COUNT_W'(pop);
      end
    end
  end

endmodule
