// SPDX-License-Identifier: Apache-2.0
//
// Matrix-vector product, SIMD synapses and PE neurons a cycle, with optional thresholds.
//
//   acc[n] = kernel(x, weights[n]);   y[n] = STEPS > 0 ? staircase(acc[n]) : acc[n]
//
// Encoding   see dot_xnor and dot_signed for x and weights, staircase for results. Beat sf of a
//            vector holds synapses sf*SIMD.. ; beat nf of the output neurons nf*PE.. ; lane 0 low.
//            WEIGHTS_FILE word nf*(MW/SIMD)+sf: PE x SIMD weights, neuron 0 low.
//            LEVELS_FILE word b*(MH/PE)+nf: PE x STEPS levels, then PE bits is_rising, for outputs
//            of border class b. Where there are such, ROWS_FILE and COLUMNS_FILE hold a word for
//            each row and column of the image; their sum is b*(MH/PE).
// Reference  popshift.hw.stages.MatVec (bit-exact, cycle-exact)
// Latency    5 cycles from the operation that ends a neuron fold to m_axis_tvalid
// II         (MW/SIMD) * (MH/PE) cycles a vector; the vector is read in the first MW/SIMD
// Stall      the last operation of a neuron fold waits for a place in the output buffer; the
//            pipeline itself never stalls; no combinational path from input to output or back
// Reset      rst clears counters and valid bits; data, memories and accumulators are not reset
module matvec #(
  parameter logic [47:0] KERNEL = 48'("xnor"),  // "xnor" or "signed"
  parameter int MW           = 64,      // synapses
  parameter int MH           = 64,      // neurons
  parameter int SIMD         = 8,       // divides MW
  parameter int PE           = 8,       // divides MH
  parameter int X_BITS       = 1,
  parameter int X_SIGNED     = 0,
  parameter int X_BIPOLAR    = 1,
  parameter int W_BITS       = 1,
  parameter int ACC_BITS     = 7,       // holds every accumulator
  parameter int ACC_SIGNED   = 0,
  parameter int STEPS        = 0,       // 0: no thresholds
  parameter int LEVEL_BITS   = ACC_BITS,
  parameter int BASE         = 0,
  parameter int BORDERS      = 1,       // classes of positions with levels of their own
  parameter int OUT_HEIGHT   = 1,       // rows and columns of the image if BORDERS > 1
  parameter int OUT_WIDTH    = 1,
  parameter int OUT_BITS     = ACC_BITS,
  parameter int CAPACITY     = 1,       // of the output buffer, beats
  /* verilator lint_off UNUSEDPARAM */ // it reads no attributes
  parameter int WEIGHTS_BLOCK = 0,      // 1: weights in block RAM, 0: as synthesis likes
  parameter int LEVELS_BLOCK  = 0,      // levels alike
  /* verilator lint_on UNUSEDPARAM */
  parameter     WEIGHTS_FILE = "weights.hex",
  parameter     LEVELS_FILE  = "levels.hex",
  parameter     ROWS_FILE    = "rows.hex",
  parameter     COLUMNS_FILE = "columns.hex"
) (
  input  logic                   clk,
  input  logic                   rst,

  input  logic [SIMD*X_BITS-1:0] s_axis_tdata,
  input  logic                   s_axis_tvalid,
  output logic                   s_axis_tready,

  output logic [PE*OUT_BITS-1:0] m_axis_tdata,
  output logic                   m_axis_tvalid,
  input  logic                   m_axis_tready
);

  localparam logic [47:0] XNOR   = 48'("xnor");
  localparam logic [47:0] SIGNED = "signed";

  if (MW % SIMD != 0 || MH % PE != 0) begin : gen_check_folds
    $error("matvec: SIMD=%0d must divide MW=%0d and PE=%0d must divide MH=%0d (%m)", SIMD, MW, PE,
           MH);
  end
  if (KERNEL != XNOR && KERNEL != SIGNED) begin : gen_check_kernel
    $error("matvec: KERNEL=%s must be xnor or signed (%m)", KERNEL);
  end

  localparam int SF      = MW / SIMD;
  localparam int NF      = MH / PE;
  localparam int SF_W    = SF > 1 ? $clog2(SF) : 1;
  localparam int NF_W    = NF > 1 ? $clog2(NF) : 1;
  localparam int WORDS   = SF * NF;
  localparam int WORD_W  = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam int BEAT_W  = SIMD * X_BITS;
  localparam int WEIGHTS = PE * SIMD * W_BITS;

  // Operation counter: synapse fold sf, neuron fold nf, weight word.
  logic [SF_W-1:0]   sf;
  logic [NF_W-1:0]   nf;
  logic [WORD_W-1:0] word;
  logic              is_reading, is_first, is_last, has_place, fire;

  assign is_reading    = nf == '0;
  assign is_first      = sf == '0;
  assign is_last       = sf == SF_W'(SF - 1);
  assign s_axis_tready = is_reading && (!is_last || has_place);
  assign fire          = (!is_reading || s_axis_tvalid) && (!is_last || has_place);

  always_ff @(posedge clk) begin
    if (rst) begin
      sf   <= '0;
      nf   <= '0;
    end else if (fire) begin
      sf   <= is_last ? '0 : sf + 1'b1;
      if (is_last) nf <= nf == NF_W'(NF - 1) ? '0 : nf + 1'b1;
    end
  end

  // The word is nf * SF + sf; a counter of its own only where that is no concatenation.
  if (SF == 1 || NF == 1) begin : gen_word_is_fold
    assign word = WORD_W'(SF == 1 ? int'(nf) : int'(sf));
  end else if (SF == 1 << SF_W) begin : gen_word_is_both
    assign word = {nf, sf};
  end else begin : gen_word
    always_ff @(posedge clk) begin
      if (rst) word <= '0;
      else if (fire) word <= word == WORD_W'(WORDS - 1) ? '0 : word + 1'b1;
    end
  end

  // The vector, kept for the neuron folds that replay it.
  logic [BEAT_W-1:0] beat;
  if (NF > 1) begin : gen_replay
    logic [BEAT_W-1:0] vector[SF];
    always_ff @(posedge clk) if (fire && is_reading) vector[sf] <= s_axis_tdata;
    assign beat = is_reading ? s_axis_tdata : vector[sf];
  end else begin : gen_once
    assign beat = s_axis_tdata;
  end

  // Cycle 1: weight memory; cycle 2: its output register, which block RAM needs to be fast.
  (* rom_style = WEIGHTS_BLOCK != 0 ? "block" : "auto" *)
  logic [WEIGHTS-1:0] memory[WORDS];
  initial $readmemh(WEIGHTS_FILE, memory);

  logic [WEIGHTS-1:0] weights_1, weights_2;
  logic [BEAT_W-1:0]  beat_1, beat_2;
  logic               valid_1, valid_2, valid_3, done_4;
  logic               first_1, first_2, first_3;
  logic               last_1, last_2, last_3;

  always_ff @(posedge clk) begin
    weights_1 <= memory[word];
    weights_2 <= weights_1;
    beat_1    <= beat;
    beat_2    <= beat_1;
    first_1   <= is_first;
    first_2   <= first_1;
    first_3   <= first_2;
    last_1    <= is_last;
    last_2    <= last_1;
    last_3    <= last_2;
    if (rst) begin
      valid_1 <= 1'b0;
      valid_2 <= 1'b0;
      valid_3 <= 1'b0;
      done_4  <= 1'b0;
    end else begin
      valid_1 <= fire;
      valid_2 <= valid_1;
      valid_3 <= valid_2;
      done_4  <= valid_3 && last_3;
    end
  end

  // Cycle 3: sum of products; cycle 4: accumulator.
  logic [PE*ACC_BITS-1:0] accumulators;
  for (genvar p = 0; p < PE; p++) begin : gen_pe
    logic [ACC_BITS-1:0] sum, accumulator;

    if (KERNEL == XNOR) begin : gen_xnor
      localparam int SUM_W = $clog2(SIMD + 1);
      logic [SUM_W-1:0] y, y_3;
      dot_xnor #(.SIMD(SIMD)) dot (.x(beat_2), .w(weights_2[p*SIMD+:SIMD]), .y(y));
      always_ff @(posedge clk) y_3 <= y;
      assign sum = ACC_BITS'(y_3);
    end else begin : gen_signed
      // Wide enough for any sum of SIMD terms, never wider than the accumulator.
      localparam int NEED_W = X_BITS + 1 + $clog2(SIMD);
      localparam int SUM_W  = NEED_W < ACC_BITS ? NEED_W : ACC_BITS;
      logic [SUM_W-1:0] y, y_3;
      dot_signed #(
        .SIMD(SIMD), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR),
        .W_BITS(W_BITS), .SUM_BITS(SUM_W)
      ) dot (.x(beat_2), .w(weights_2[p*SIMD*W_BITS+:SIMD*W_BITS]), .y(y));
      always_ff @(posedge clk) y_3 <= y;
      assign sum = ACC_BITS'($signed(y_3));
    end

    always_ff @(posedge clk) begin
      if (valid_3) accumulator <= (first_3 ? '0 : accumulator) + sum;
    end
    assign accumulators[p*ACC_BITS+:ACC_BITS] = accumulator;
  end

  // Output buffer, after the thresholds.
  logic [PE*OUT_BITS-1:0] results;
  if (STEPS > 0) begin : gen_thresholds
    localparam int LEVELS_W    = PE * STEPS * LEVEL_BITS;
    localparam int LEVEL_WORDS = NF * BORDERS;
    localparam int AT_W        = LEVEL_WORDS > 1 ? $clog2(LEVEL_WORDS) : 1;

    (* rom_style = LEVELS_BLOCK != 0 ? "block" : "auto" *)
    logic [LEVELS_W+PE-1:0] level_memory[LEVEL_WORDS];
    logic [LEVELS_W+PE-1:0] levels_3, levels_4;
    logic [AT_W-1:0]        at_1, at_2;
    initial $readmemh(LEVELS_FILE, level_memory);

    if (BORDERS > 1) begin : gen_border
      localparam int OX_W = OUT_WIDTH > 1 ? $clog2(OUT_WIDTH) : 1;
      localparam int OY_W = OUT_HEIGHT > 1 ? $clog2(OUT_HEIGHT) : 1;

      logic [AT_W-1:0] rows[OUT_HEIGHT];
      logic [AT_W-1:0] columns[OUT_WIDTH];
      logic [AT_W-1:0] row_1, column_1;
      logic [OX_W-1:0] ox;
      logic [OY_W-1:0] oy;
      logic            ends_vector, ends_row;
      initial begin
        $readmemh(ROWS_FILE, rows);
        $readmemh(COLUMNS_FILE, columns);
      end

      assign ends_vector = fire && is_last && nf == NF_W'(NF - 1);
      assign ends_row    = ends_vector && ox == OX_W'(OUT_WIDTH - 1);

      always_ff @(posedge clk) begin
        if (rst) begin
          ox <= '0;
          oy <= '0;
        end else begin
          if (ends_vector) ox <= ends_row ? '0 : ox + 1'b1;
          if (ends_row) oy <= oy == OY_W'(OUT_HEIGHT - 1) ? '0 : oy + 1'b1;
        end
        row_1    <= rows[oy];
        column_1 <= columns[ox];
        at_2     <= at_1 + row_1 + column_1;
      end
    end else begin : gen_everywhere
      always_ff @(posedge clk) at_2 <= at_1;
    end

    always_ff @(posedge clk) begin
      at_1     <= AT_W'(nf);
      levels_3 <= level_memory[at_2];
      levels_4 <= levels_3;
    end
    for (genvar p = 0; p < PE; p++) begin : gen_result
      staircase #(
        .X_BITS(ACC_BITS), .X_SIGNED(ACC_SIGNED), .STEPS(STEPS), .LEVEL_BITS(LEVEL_BITS),
        .OUT_BITS(OUT_BITS), .BASE(BASE)
      ) stairs (
        .x        (accumulators[p*ACC_BITS+:ACC_BITS]),
        .levels   (levels_4[p*STEPS*LEVEL_BITS+:STEPS*LEVEL_BITS]),
        .is_rising(levels_4[LEVELS_W+p]),
        .y        (results[p*OUT_BITS+:OUT_BITS])
      );
    end
  end else begin : gen_raw
    assign results = accumulators;
  end

  credit_buffer #(.WIDTH(PE * OUT_BITS), .CAPACITY(CAPACITY)) buffer (
    .clk, .rst,
    .take(fire && is_last), .has_place,
    .push(done_4), .push_data(results),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
