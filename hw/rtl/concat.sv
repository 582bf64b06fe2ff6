// SPDX-License-Identifier: Apache-2.0
//
// Concatenation: the channels of several streams, pixel by pixel.
//
//   a pixel = BEATS[0] beats of input 0, BEATS[1] of input 1, ...
//
// Encoding   PE lanes a beat, lane 0 low; ports of one vector, input 0 low. Lists of a number for
//            each input, that of input 0 low: BEATS 16 bits each; X_BITS 8 bits; X_KINDS 2 bits, 0
//            for unsigned, 1 for two's complement, 2 for BIPOLAR. Results are extended to OUT_BITS;
//            a BIPOLAR bit becomes -1 or +1 unless OUT_BITS is 1.
// Reference  popshift.hw.stages.Concat (bit-exact, cycle-exact)
// Latency    1 cycle
// II         1 cycle a beat
// Stall      s_axis_tready is high only for the input whose turn it is, and low while two beats
//            wait at the output; it comes from registers alone
// Reset      rst clears counters and drops the waiting beats; data is not reset
module concat #(
  parameter int INPUTS   = 2,
  parameter int PE       = 1,
  parameter logic [INPUTS*16-1:0] BEATS   = {INPUTS{16'd1}},
  parameter logic [INPUTS*8-1:0]  X_BITS  = {INPUTS{8'd8}},
  parameter logic [INPUTS*2-1:0]  X_KINDS = '0,
  parameter int OUT_BITS = 8,
  localparam int IN_BITS = start(INPUTS)
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

  function automatic int most_beats();
    most_beats = 1;
    for (int j = 0; j < INPUTS; j++) begin
      if (int'(BEATS[j*16+:16]) > most_beats) most_beats = int'(BEATS[j*16+:16]);
    end
  endfunction

  localparam int TURN_W = $clog2(INPUTS);
  localparam int MOST   = most_beats();
  localparam int BEAT_W = MOST > 1 ? $clog2(MOST) : 1;

  logic [PE*OUT_BITS-1:0] beats[INPUTS];
  for (genvar i = 0; i < INPUTS; i++) begin : gen_input
    localparam int BITS = int'(X_BITS[i*8+:8]);
    localparam logic [1:0] KIND = X_KINDS[i*2+:2];
    for (genvar p = 0; p < PE; p++) begin : gen_lane
      logic [BITS-1:0]     x;
      logic [OUT_BITS-1:0] y;
      assign x = s_axis_tdata[start(i)+p*BITS+:BITS];
      if (KIND == 2'd2 && OUT_BITS > 1) begin : gen_bipolar
        assign y = x[0] ? OUT_BITS'(1) : '1;
      end else if (KIND == 2'd1) begin : gen_signed
        assign y = OUT_BITS'($signed(x));
      end else begin : gen_unsigned
        assign y = OUT_BITS'(x);
      end
      assign beats[i][p*OUT_BITS+:OUT_BITS] = y;
    end
  end

  logic [TURN_W-1:0] turn;
  logic [BEAT_W-1:0] beat;
  logic              is_last, has_place, fire;

  assign is_last = beat == BEAT_W'(BEATS[int'(turn)*16+:16] - 16'd1);
  assign fire    = s_axis_tvalid[turn] && has_place;
  for (genvar i = 0; i < INPUTS; i++) begin : gen_ready
    assign s_axis_tready[i] = turn == TURN_W'(i) && has_place;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      turn <= '0;
      beat <= '0;
    end else if (fire) begin
      beat <= is_last ? '0 : beat + 1'b1;
      if (is_last) turn <= turn == TURN_W'(INPUTS - 1) ? '0 : turn + 1'b1;
    end
  end

  credit_buffer #(.WIDTH(PE * OUT_BITS), .CAPACITY(2), .AT_ONCE(1)) buffer (
    .clk, .rst,
    .take(fire), .has_place,
    .push(fire), .push_data(beats[turn]),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
