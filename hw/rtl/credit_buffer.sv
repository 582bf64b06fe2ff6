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
  parameter  int AT_ONCE  = 0,  // 1: every beat is pushed in the cycle that takes its place
  localparam int COUNT_W  = $clog2(CAPACITY + 1)
) (
  input  logic             clk,
  input  logic             rst,

  // An operation that will push a beat fires in this cycle; only while has_place is high
  /* verilator lint_off UNUSEDSIGNAL */ // push says the same if AT_ONCE
  input  logic             take,
  /* verilator lint_on UNUSEDSIGNAL */
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

  logic pop;

  assign pop = m_axis_tvalid && m_axis_tready;

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
    localparam bit IS_POWER = CAPACITY == 1 << POINTER_W;  // pointers then wrap by themselves

    // Increment by LUTs: joining a carry chain to them would cost more than its bits.
    function automatic logic [POINTER_W-1:0] after(input logic [POINTER_W-1:0] at);
      for (int i = 0; i < POINTER_W; i++) after[i] = at[i] ^ &(at | ('1 << i));
      if (!IS_POWER && at == LAST) after = '0;
    endfunction

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
        if (push) write_at <= after(write_at);
        if (pop) read_at <= after(read_at);
        if (push != pop) waiting <= waiting + (pop ? '1 : COUNT_W'(1));
      end
    end
  end

  if (AT_ONCE == 0) begin : gen_places
    logic [COUNT_W-1:0] places;

    assign has_place = places != '0;

    // One adder of +1 or -1, not an adder and a subtractor.
    always_ff @(posedge clk) begin
      if (rst) places <= COUNT_W'(CAPACITY);
      else if (take != pop) places <= places + (take ? '1 : COUNT_W'(1));
    end
  end else if (CAPACITY == 1) begin : gen_empty
    assign has_place = !m_axis_tvalid;
  end else begin : gen_not_full
    assign has_place = gen_memory.waiting != COUNT_W'(CAPACITY);
  end

endmodule
