// SPDX-License-Identifier: Apache-2.0
//
// Sum of several streams, element by element, each times a small constant, PE lanes a cycle.
//
//   sum = sum over inputs i of factor[i] * x[i],   factor[i] = ADDED[i] - SUBTRACTED[i]
//   y = IS_CLAMPED ? least of HIGH and the greatest of LOW and sum : sum
//
// Encoding   lane 0 low; ports of one vector, input 0 low. Lists of a number for each input, that of
//            input 0 low: X_BITS 8 bits each; X_KINDS 2 bits, 0 for unsigned, 1 for two's
//            complement, 2 for BIPOLAR; ADDED and SUBTRACTED 16 bits, whose ones are the shifts.
// Reference  popshift.hw.stages.Add (bit-exact, cycle-exact)
// Latency    1 cycle from the beat of input 0, 2 cycles from those of the others
// II         1 cycle a beat
// Stall      the inputs but the first have a buffer of two beats each, so that s_axis_tready[0] waits
//            for all of them and for one of two places at the output, and no ready depends on the
//            valid of another input: all come from registers alone
// Reset      rst drops the waiting beats; data is not reset
module add #(
  parameter int INPUTS   = 2,
  parameter int PE       = 1,
  parameter logic [INPUTS*8-1:0]  X_BITS     = {INPUTS{8'd8}},
  parameter logic [INPUTS*2-1:0]  X_KINDS    = '0,
  parameter logic [INPUTS*16-1:0] ADDED      = {INPUTS{16'd1}},
  parameter logic [INPUTS*16-1:0] SUBTRACTED = '0,
  parameter int SUM_BITS   = 9,  // hold every sum
  parameter int SUM_SIGNED = 0,
  parameter int IS_CLAMPED = 0,
  parameter int LOW        = 0,
  parameter int HIGH       = 255,
  parameter int OUT_BITS   = SUM_BITS,
  localparam int IN_BITS   = start(INPUTS)
) (
  input  logic                   clk,
  input  logic                   rst,

  input  logic [IN_BITS-1:0]     s_axis_tdata,
  input  logic [INPUTS-1:0]      s_axis_tvalid,
  output logic [INPUTS-1:0]      s_axis_tready,

  output logic [PE*OUT_BITS-1:0] m_axis_tdata,
  output logic                   m_axis_tvalid,
  input  logic                   m_axis_tready
);

  // Bits of the inputs before the i-th.
  function automatic int start(input int i);
    start = 0;
    for (int j = 0; j < i; j++) start = start + PE * int'(X_BITS[j*8+:8]);
  endfunction

  // a > b for a constant b: a tree of LUTs, where an operator would take a carry chain.
  function automatic logic is_greater(
    input logic [SUM_BITS-1:0] a, input logic [SUM_BITS-1:0] b
  );
    logic [SUM_BITS-1:0] flip;
    flip = SUM_BITS'(SUM_SIGNED != 0) << (SUM_BITS - 1);
    is_greater = 1'b0;
    for (int i = 0; i < SUM_BITS; i++) begin
      if (b[i] ^ flip[i]) is_greater = is_greater && (a[i] ^ flip[i]);
      else is_greater = is_greater || (a[i] ^ flip[i]);
    end
  endfunction

  localparam int FIRST = PE * int'(X_BITS[7:0]);

  logic [IN_BITS-1:0] x;
  logic [INPUTS-1:1]  is_there;
  logic               has_place, fire;

  assign s_axis_tready[0] = (&is_there) && has_place;
  assign fire             = s_axis_tvalid[0] && s_axis_tready[0];
  assign x[FIRST-1:0]     = s_axis_tdata[FIRST-1:0];

  for (genvar i = 1; i < INPUTS; i++) begin : gen_held
    localparam int BITS = PE * int'(X_BITS[i*8+:8]);
    logic push;
    assign push = s_axis_tvalid[i] && s_axis_tready[i];
    credit_buffer #(.WIDTH(BITS), .CAPACITY(2), .AT_ONCE(1)) held (
      .clk, .rst,
      .take(push), .has_place(s_axis_tready[i]),
      .push(push), .push_data(s_axis_tdata[start(i)+:BITS]),
      .m_axis_tdata(x[start(i)+:BITS]), .m_axis_tvalid(is_there[i]), .m_axis_tready(fire)
    );
  end

  logic [PE*OUT_BITS-1:0] results;
  for (genvar p = 0; p < PE; p++) begin : gen_lane
    logic [SUM_BITS-1:0] terms[INPUTS];
    logic [SUM_BITS-1:0] sum;

    for (genvar i = 0; i < INPUTS; i++) begin : gen_term
      localparam int BITS = int'(X_BITS[i*8+:8]);
      logic [BITS-1:0] lane;
      assign lane = x[start(i)+p*BITS+:BITS];
      if (X_KINDS[i*2+:2] == 2'd2) begin : gen_bipolar
        assign terms[i] = SUM_BITS'($signed({!lane[0], 1'b1}));
      end else if (X_KINDS[i*2+:2] == 2'd1) begin : gen_signed
        assign terms[i] = SUM_BITS'($signed(lane));
      end else begin : gen_unsigned
        assign terms[i] = SUM_BITS'(lane);
      end
    end

    always_comb begin
      sum = '0;
      for (int i = 0; i < INPUTS; i++) begin
        for (int k = 0; k < 16; k++) begin
          if (ADDED[i*16+k]) sum = sum + (terms[i] << k);
          if (SUBTRACTED[i*16+k]) sum = sum - (terms[i] << k);
        end
      end
    end

    if (IS_CLAMPED != 0) begin : gen_clamp
      logic is_below, is_above;
      assign is_below = is_greater(~sum, ~SUM_BITS'(LOW));
      assign is_above = is_greater(sum, SUM_BITS'(HIGH));
      assign results[p*OUT_BITS+:OUT_BITS] = is_below ? OUT_BITS'(LOW)
                                           : is_above ? OUT_BITS'(HIGH) : OUT_BITS'(sum);
    end else begin : gen_whole
      assign results[p*OUT_BITS+:OUT_BITS] = OUT_BITS'(sum);
    end
  end

  credit_buffer #(.WIDTH(PE * OUT_BITS), .CAPACITY(2), .AT_ONCE(1)) buffer (
    .clk, .rst,
    .take(fire), .has_place,
    .push(fire), .push_data(results),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
