// SPDX-License-Identifier: Apache-2.0
//
// Index of the greatest element of a vector; of equal ones, the first.
//
//   y = min { c : x[c] = max x }
//
// Encoding   x two's complement if X_SIGNED else unsigned, PE lanes a beat, lane 0 low; y unsigned
// Reference  popshift.hw.stages.Argmax (bit-exact, cycle-exact)
// Latency    3 cycles from the last beat of a vector to m_axis_tvalid
// II         CLASSES/PE cycles a vector
// Stall      the last beat of a vector waits for a place in the output buffer; s_axis_tready is
//            registered
// Reset      rst clears the counter and valid bits; data is not reset
module argmax #(
  parameter  int CLASSES  = 10,
  parameter  int PE       = 2,   // divides CLASSES
  parameter  int X_BITS   = 8,
  parameter  int X_SIGNED = 0,
  parameter  int CAPACITY = 1,   // of the output buffer
  localparam int INDEX_W  = CLASSES > 1 ? $clog2(CLASSES) : 1
) (
  input  logic                 clk,
  input  logic                 rst,

  input  logic [PE*X_BITS-1:0] s_axis_tdata,
  input  logic                 s_axis_tvalid,
  output logic                 s_axis_tready,

  output logic [INDEX_W-1:0]   m_axis_tdata,
  output logic                 m_axis_tvalid,
  input  logic                 m_axis_tready
);

  if (CLASSES % PE != 0) begin : gen_check
    $error("argmax: PE=%0d must divide CLASSES=%0d (%m)", PE, CLASSES);
  end

  localparam int FOLDS  = CLASSES / PE;
  localparam int FOLD_W = FOLDS > 1 ? $clog2(FOLDS) : 1;

  // Sign bits are flipped once, so that every comparison below is unsigned.
  localparam logic [X_BITS-1:0] FLIP = X_SIGNED != 0 ? X_BITS'(1) << (X_BITS - 1) : '0;

  logic [FOLD_W-1:0] fold;
  logic              is_last, has_place, fire;

  assign s_axis_tready = !is_last || has_place;
  assign fire          = s_axis_tvalid && s_axis_tready;

  counter #(.MODULUS(FOLDS)) folds (.clk, .rst, .step(fire), .value(fold), .is_last);

  // Cycle 1: the beat; cycle 2: its greatest lane; then against the greatest so far.
  logic [PE*X_BITS-1:0] x_1;
  logic [INDEX_W-1:0]   index_1, lane_index, index_2, best_index, winner_index;
  logic [X_BITS-1:0]    lane_value, value_2, best_value, winner_value;
  logic                 valid_1, valid_2, first_1, first_2, last_1, last_2;

  always_comb begin
    lane_value = x_1[X_BITS-1:0] ^ FLIP;
    lane_index = index_1;
    for (int p = 1; p < PE; p++) begin
      if ((x_1[p*X_BITS+:X_BITS] ^ FLIP) > lane_value) begin
        lane_value = x_1[p*X_BITS+:X_BITS] ^ FLIP;
        lane_index = index_1 + INDEX_W'(p);
      end
    end
  end

  always_comb begin
    winner_value = best_value;
    winner_index = best_index;
    if (first_2 || value_2 > best_value) begin
      winner_value = value_2;
      winner_index = index_2;
    end
  end

  always_ff @(posedge clk) begin
    x_1     <= s_axis_tdata;
    index_1 <= INDEX_W'(int'(fold) * PE);
    first_1 <= fold == '0;
    last_1  <= is_last;
    value_2 <= lane_value;
    index_2 <= lane_index;
    first_2 <= first_1;
    last_2  <= last_1;
    if (valid_2) begin
      best_value <= winner_value;
      best_index <= winner_index;
    end
    if (rst) begin
      valid_1 <= 1'b0;
      valid_2 <= 1'b0;
    end else begin
      valid_1 <= fire;
      valid_2 <= valid_1;
    end
  end

  credit_buffer #(.WIDTH(INDEX_W), .CAPACITY(CAPACITY)) buffer (
    .clk, .rst,
    .take(fire && is_last), .has_place,
    .push(valid_2 && last_2), .push_data(winner_index),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
