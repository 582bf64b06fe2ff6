// SPDX-License-Identifier: Apache-2.0
//
// Vectors that come once and are read TURNS times, two of them at once.
//
//   beat of read (vector, turn, word) = beat word of that vector
//
// Encoding   none, BITS opaque bits; a vector is WORDS beats
// Reference  popshift.hw.stages.MatVec.schedule (cycle-exact)
// Latency    1 cycle from an accepted beat to can_fire; 1 cycle from fire to beat, 2 if IS_BLOCK
// II         1 cycle a read
// Stall      in the first turn can_fire is low while the beat is not there; s_axis_tready is low
//            while two vectors are held. Both come from registers alone.
// Reset      rst forgets all vectors; data is not reset
module replay #(
  parameter  int BITS     = 8,                             // of a beat
  parameter  int WORDS    = 4,                             // beats of a vector
  parameter  int IS_BLOCK = 0,                             // 1: block RAM
  localparam int WORD_W   = WORDS > 1 ? $clog2(WORDS) : 1
) (
  input  logic              clk,
  input  logic              rst,

  input  logic [BITS-1:0]   s_axis_tdata,
  input  logic              s_axis_tvalid,
  output logic              s_axis_tready,

  // The next read: its word, whether its turn is the first, whether the vector ends with it; whether
  // the word is there; it happens when fire is high
  input  logic [WORD_W-1:0] word,
  input  logic              is_first_turn,
  input  logic              ends_vector,
  output logic              can_fire,
  input  logic              fire,

  output logic [BITS-1:0]   beat
);

  localparam int AHEAD_W = $clog2(2 * WORDS + 1);
  localparam int DEPTH   = 2 << WORD_W;

  logic [WORD_W-1:0]  write_word;
  logic [AHEAD_W-1:0] ahead;   // words that no turn has read yet
  logic [1:0]         places;  // for vectors; of one that is coming until it is whole
  logic               write_half, read_half, write, is_last_write, reads_first, takes, frees;

  assign s_axis_tready = places != '0;
  assign write         = s_axis_tvalid && s_axis_tready;
  assign can_fire      = !is_first_turn || ahead != '0;
  assign reads_first   = fire && is_first_turn;
  assign takes         = write && is_last_write;
  assign frees         = fire && ends_vector;

  counter #(.MODULUS(WORDS)) writes (
    .clk, .rst, .step(write), .value(write_word), .is_last(is_last_write)
  );

  always_ff @(posedge clk) begin
    if (rst) begin
      ahead      <= '0;
      places     <= 2'd2;
      write_half <= 1'b0;
      read_half  <= 1'b0;
    end else begin
      if (write != reads_first) ahead <= ahead + (reads_first ? '1 : AHEAD_W'(1));
      if (takes != frees) places <= places + (takes ? '1 : 2'd1);
      write_half <= write_half ^ takes;
      read_half  <= read_half ^ frees;
    end
  end

  if (IS_BLOCK != 0) begin : gen_block
    logic [BITS-1:0] read;
    ram #(.WIDTH(BITS), .DEPTH(DEPTH), .IS_BLOCK(1)) vectors (
      .clk,
      .write_enable(write), .write_at({write_half, write_word}), .write_data(s_axis_tdata),
      .read_enable(1'b1), .read_at({read_half, word}), .read_data(read)
    );
    always_ff @(posedge clk) beat <= read;
  end else begin : gen_any
    ram #(.WIDTH(BITS), .DEPTH(DEPTH)) vectors (
      .clk,
      .write_enable(write), .write_at({write_half, write_word}), .write_data(s_axis_tdata),
      .read_enable(1'b1), .read_at({read_half, word}), .read_data(beat)
    );
  end

endmodule
