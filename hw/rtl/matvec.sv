// SPDX-License-Identifier: Apache-2.0
//
// Matrix-vector product, SIMD synapses and PE neurons a cycle, with optional thresholds.
//
//   acc[n] = kernel(x[group of n], weights[n]);   y[n] = STEPS > 0 ? staircase(acc[n]) : acc[n]
//
// Encoding   see dot_<KERNEL> for x and weights, staircase for results. Beat sf of a vector holds
//            synapses sf*SIMD.. ; beat nf of the output neurons nf*PE.. ; lane 0 low. There is a
//            vector for each group of MH/GROUPS neurons, and MH/PE folds in all.
//            WEIGHTS_FILE word fold*(MW/SIMD)+sf: PE x SIMD weights, neuron 0 low; or WEIGHTS alike,
//            where all weights are in use in every cycle; or GRAPH, the sums that they need.
//            SCALES_FILE word fold*SCALE_STEPS+t: digits of plane scales, see scaled_planes; or
//            SCALES_ADDED and SCALES_SUBTRACTED, where all weights are in use in every cycle.
//            LEVELS_FILE word b*(MH/PE)+fold: see neuron_end, for outputs of border class b. Where
//            there are such, ROWS_FILE and COLUMNS_FILE hold a word for each row and column of the
//            image; their sum is b*(MH/PE).
// Reference  popshift.hw.stages.MatVec (bit-exact, cycle-exact)
// Latency    4 + DOT_CYCLES cycles from the operation that ends a neuron fold to m_axis_tvalid, one
//            more if VECTOR_BLOCK, SCALE_STAGES * SCALE_STEPS more with plane scales; with several
//            neuron folds see replay for that before operations
// II         (MW/SIMD) * (MH/GROUPS/PE) cycles a vector; the next vector may come meanwhile
// Stall      operations of the first neuron fold wait for their beat, the last of each for a place in
//            the output buffer; the pipeline itself never stalls; no combinational path from input
//            to output or back
// Reset      rst clears counters, valid bits and accumulators; other data and memories are not reset
module matvec #(
  parameter logic [47:0] KERNEL = 48'("xnor"),  // see dot
  parameter int MW           = 64,      // synapses
  parameter int MH           = 64,      // neurons
  parameter int GROUPS       = 1,       // of neurons, each with vectors of its own
  parameter int SIMD         = 8,       // divides MW
  parameter int PE           = 8,       // divides MH/GROUPS
  parameter int X_BITS       = 1,
  parameter int X_SIGNED     = 0,
  parameter int X_BIPOLAR    = 1,
  parameter int W_BITS       = 1,
  parameter int W_FORM       = 0,       // of weights, see dot_<KERNEL>
  parameter int W_LOW        = 0,
  parameter int W_HIGH       = 0,
  localparam int IS_CODED    = int'(KERNEL == 48'("coded")),
  localparam int SUMS        = IS_CODED != 0 ? PE * W_BITS : PE, // accumulators
  parameter int SUM_BITS     = 4,       // of the sum of SIMD products
  parameter int SUM_SIGNED   = 0,
  parameter int DOT_CYCLES   = 1,       // from weights to that sum
  parameter int ACC_BITS     = 7,       // holds every accumulator
  parameter int ACC_SIGNED   = 0,
  parameter int PLANE_BITS   = ACC_BITS, // coded: of the sum of a plane
  parameter int SCALE_STAGES = 1,       // coded: see scaled_planes
  parameter int SCALE_STEPS  = 1,
  parameter int SCALES_BLOCK = 0,       // 1: scales in block RAM, 0: as synthesis likes
  parameter int SCALES_SLICE = SCALE_STAGES * SUMS, // bits of a memory of scales, see rom
  parameter logic [SCALE_STAGES*SUMS-1:0] SCALES_ADDED      = '0,
  parameter logic [SCALE_STAGES*SUMS-1:0] SCALES_SUBTRACTED = '0,
  parameter int STEPS        = 0,       // 0: no thresholds
  parameter int DIRECTIONS   = 1,       // of a neuron: 1, or STEPS
  parameter int LEVEL_BITS   = ACC_BITS,
  parameter int BASE         = 0,
  parameter int BORDERS      = 1,       // classes of positions with levels of their own
  parameter int OUT_HEIGHT   = 1,       // rows and columns of the image if BORDERS > 1
  parameter int OUT_WIDTH    = 1,
  parameter int OUT_BITS     = ACC_BITS,
  parameter int CAPACITY     = 1,       // of the output buffer, beats
  parameter int UNROLLED     = 0,       // 1: SIMD = MW, PE = MH, and WEIGHTS instead of a memory
  parameter logic [PE*SIMD*W_BITS-1:0] WEIGHTS = '0,
  parameter int OPERATIONS   = 0,       // of an adder graph instead of WEIGHTS, see dot
  parameter int NODE_BITS    = 1,
  parameter int GRAPH_BITS   = 1,
  parameter logic [GRAPH_BITS-1:0] GRAPH = '0,
  parameter int WEIGHTS_BLOCK = 0,      // 1: weights in block RAM, 0: as synthesis likes
  parameter int WEIGHTS_SLICE = PE * SIMD * W_BITS, // bits of a weight memory, see rom
  parameter int LEVELS_BLOCK  = 0,      // levels alike
  parameter int LEVELS_SLICE  = PE * (STEPS * LEVEL_BITS + DIRECTIONS),
  parameter int VECTOR_BLOCK  = 0,      // 1: the vector in block RAM, where it is kept
  parameter     WEIGHTS_FILE = "weights",
  parameter     SCALES_FILE  = "scales",
  parameter     LEVELS_FILE  = "levels",
  parameter     ROWS_FILE    = "rows",
  parameter     COLUMNS_FILE = "columns"
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

  if (MW % SIMD != 0 || MH % (GROUPS * PE) != 0) begin : gen_check_folds
    $error("matvec: SIMD=%0d must divide MW=%0d and PE=%0d must divide MH/GROUPS=%0d/%0d (%m)",
           SIMD, MW, PE, MH, GROUPS);
  end

  if (UNROLLED != 0 && (SIMD != MW || PE != MH)) begin : gen_check_unrolled
    $error("matvec: UNROLLED=1 takes SIMD=MW and PE=MH, not %0d of %0d and %0d of %0d (%m)", SIMD,
           MW, PE, MH);
  end

  localparam int SF      = MW / SIMD;
  localparam int NF      = MH / GROUPS / PE;
  localparam int SF_W    = SF > 1 ? $clog2(SF) : 1;
  localparam int NF_W    = NF > 1 ? $clog2(NF) : 1;
  localparam int FOLDS   = GROUPS * NF;
  localparam int FOLD_W  = FOLDS > 1 ? $clog2(FOLDS) : 1;
  localparam int WORDS   = SF * FOLDS;
  localparam int WORD_W  = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam int BEAT_W  = SIMD * X_BITS;
  localparam int WORD_BITS = PE * SIMD * W_BITS;

  // Operation counter: synapse fold sf, neuron fold nf of the group, fold of all, weight word.
  logic [SF_W-1:0]   sf;
  logic [NF_W-1:0]   nf;
  logic [FOLD_W-1:0] fold;
  logic [WORD_W-1:0] word;
  logic              is_last, is_last_of_group, can_fire, has_place, fire;
  /* verilator lint_off UNUSEDSIGNAL */ // only for a word counter and for borders
  logic              is_last_fold;
  /* verilator lint_on UNUSEDSIGNAL */

  assign fire = can_fire && (!is_last || has_place);

  counter #(.MODULUS(SF)) synapse_folds (
    .clk, .rst, .step(fire), .value(sf), .is_last
  );
  counter #(.MODULUS(NF)) neuron_folds (
    .clk, .rst, .step(fire && is_last), .value(nf), .is_last(is_last_of_group)
  );

  if (GROUPS > 1) begin : gen_fold
    counter #(.MODULUS(FOLDS)) folds (
      .clk, .rst, .step(fire && is_last), .value(fold), .is_last(is_last_fold)
    );
  end else begin : gen_fold_of_group
    assign fold         = nf;
    assign is_last_fold = is_last_of_group;
  end

  // The word is fold * SF + sf; a counter of its own only where that is no concatenation.
  if (SF == 1 || FOLDS == 1) begin : gen_word_is_fold
    assign word = WORD_W'(SF == 1 ? int'(fold) : int'(sf));
  end else if (SF == 1 << SF_W) begin : gen_word_is_both
    assign word = {fold, sf};
  end else begin : gen_word
    always_ff @(posedge clk) begin
      if (rst || (fire && is_last && is_last_fold)) word <= '0;
      else if (fire) word <= word + 1'b1;
    end
  end

  // The beat in cycle BEAT_AT after fire. With several neuron folds the vector is kept for them.
  localparam int BEAT_AT = NF > 1 && VECTOR_BLOCK != 0 ? 2 : 1;

  logic [BEAT_W-1:0] beat;
  if (NF > 1) begin : gen_replay
    replay #(.BITS(BEAT_W), .WORDS(SF), .IS_BLOCK(VECTOR_BLOCK)) vectors (
      .clk, .rst,
      .s_axis_tdata, .s_axis_tvalid, .s_axis_tready,
      .word(sf), .is_first_turn(nf == '0), .ends_vector(is_last && is_last_of_group),
      .can_fire, .fire, .beat
    );
  end else begin : gen_once
    assign can_fire      = s_axis_tvalid;
    assign s_axis_tready = !is_last || has_place;
    always_ff @(posedge clk) beat <= s_axis_tdata;
  end

  // A cycle later the weights; in cycle SUM_AT the sum of products, then the accumulator.
  localparam int WEIGHTS_AT = BEAT_AT + 1;
  localparam int SUM_AT     = WEIGHTS_AT + DOT_CYCLES;

  logic [WORD_BITS-1:0] weights;
  if (UNROLLED != 0) begin : gen_constants
    assign weights = WEIGHTS;
  end else begin : gen_memory
    logic [WORD_BITS-1:0] read;
    rom #(
      .WIDTH(WORD_BITS), .WORDS(WORDS), .SLICE(WEIGHTS_SLICE), .IS_BLOCK(WEIGHTS_BLOCK),
      .FILE(WEIGHTS_FILE)
    ) memory (.clk, .at(word), .y(read));
    delay #(.WIDTH(WORD_BITS), .CYCLES(WEIGHTS_AT - 2)) words (.clk, .x(read), .y(weights));
  end

  logic [SUM_AT:1]    valid, last;
  logic               is_sum, ends_sum, done;

  assign is_sum   = valid[SUM_AT];
  assign ends_sum = valid[SUM_AT] && last[SUM_AT];

  always_ff @(posedge clk) begin
    last <= {last[SUM_AT-1:1], is_last};
    if (rst) begin
      valid <= '0;
      done  <= 1'b0;
    end else begin
      valid <= {valid[SUM_AT-1:1], fire};
      done  <= ends_sum;
    end
  end

  logic [SUMS*SUM_BITS-1:0] sums;
  logic [SUMS-1:0]          plus;
  dot #(
    .KERNEL(KERNEL), .SIMD(SIMD), .PE(PE), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED),
    .X_BIPOLAR(X_BIPOLAR), .W_BITS(W_BITS), .W_FORM(W_FORM), .W_LOW(W_LOW), .W_HIGH(W_HIGH),
    .SUM_BITS(SUM_BITS), .CYCLES(DOT_CYCLES), .UNROLLED(UNROLLED), .WEIGHTS(WEIGHTS),
    .OPERATIONS(OPERATIONS), .NODE_BITS(NODE_BITS), .GRAPH_BITS(GRAPH_BITS), .GRAPH(GRAPH)
  ) products (.clk, .x(beat), .w(weights), .y(sums), .plus);

  // The accumulator starts from 0 because the end of the sum before cleared it. Sums of planes stay
  // until their scales have been applied.
  localparam int PART_BITS = IS_CODED != 0 ? PLANE_BITS : ACC_BITS;

  logic [SUMS*PART_BITS-1:0] parts;
  for (genvar p = 0; p < SUMS; p++) begin : gen_sum
    logic [PART_BITS-1:0] sum, accumulator, total;

    if (SUM_SIGNED != 0) begin : gen_signed
      assign sum = PART_BITS'($signed(sums[p*SUM_BITS+:SUM_BITS]));
    end else begin : gen_unsigned
      assign sum = PART_BITS'(sums[p*SUM_BITS+:SUM_BITS]);
    end

    carried_sum #(.BITS(PART_BITS)) add (.a(sum), .b(accumulator), .carry(plus[p]), .y(total));

    if (SF > 1) begin : gen_accumulator
      always_ff @(posedge clk) begin
        if (rst || ends_sum) accumulator <= '0;
        else if (is_sum) accumulator <= total;
      end
    end else begin : gen_at_once
      assign accumulator = '0;
    end

    always_ff @(posedge clk) if (IS_CODED == 0 || ends_sum) parts[p*PART_BITS+:PART_BITS] <= total;
  end

  localparam int SCALE_CYCLES = IS_CODED != 0 ? SCALE_STAGES * SCALE_STEPS : 0;

  logic [PE*ACC_BITS-1:0] totals;
  logic                   push;
  if (IS_CODED != 0) begin : gen_scales
    logic [SCALE_STAGES*SUMS-1:0] digits;
    if (UNROLLED != 0) begin : gen_constants
      assign digits = '0;
    end else begin : gen_memory
      // The digits come two cycles after they are named, the first ones with the sums of planes.
      localparam int SCALE_WORDS = FOLDS * SCALE_STEPS;
      localparam int STEP_W      = SCALE_STEPS > 1 ? $clog2(SCALE_STEPS) : 1;
      localparam int SCALE_AT_W  = SCALE_WORDS > 1 ? $clog2(SCALE_WORDS) : 1;
      logic [STEP_W-1:0]     step;
      logic [SCALE_AT_W-1:0] at_digits;
      logic                  is_step, unused_last, unused_end;
      assign is_step = (valid[SUM_AT-1] && last[SUM_AT-1]) || step != '0;
      counter #(.MODULUS(SCALE_STEPS)) steps (
        .clk, .rst, .step(is_step), .value(step), .is_last(unused_last)
      );
      counter #(.MODULUS(SCALE_WORDS)) words (
        .clk, .rst, .step(is_step), .value(at_digits), .is_last(unused_end)
      );
      rom #(
        .WIDTH(SCALE_STAGES * SUMS), .WORDS(SCALE_WORDS), .SLICE(SCALES_SLICE),
        .IS_BLOCK(SCALES_BLOCK), .FILE(SCALES_FILE)
      ) scales (.clk, .at(at_digits), .y(digits));
    end
    scaled_planes #(
      .PE(PE), .PLANES(W_BITS), .BITS(PLANE_BITS), .STAGES(SCALE_STAGES), .STEPS(SCALE_STEPS),
      .HALVED(W_LOW), .OUT_BITS(ACC_BITS), .UNROLLED(UNROLLED), .ADDED(SCALES_ADDED),
      .SUBTRACTED(SCALES_SUBTRACTED)
    ) weigh (.clk, .rst, .start(done), .d(parts), .digits, .done(push), .y(totals));
  end else begin : gen_totals
    assign totals = parts;
    assign push   = done;
  end

  // Where the levels are, two cycles before the totals.
  localparam int LEVEL_WORDS = FOLDS * BORDERS;
  localparam int AT_W        = LEVEL_WORDS > 1 ? $clog2(LEVEL_WORDS) : 1;

  logic [AT_W-1:0] at_1, at_2, at, offset;
  if (BORDERS > 1) begin : gen_border
    border #(
      .OUT_HEIGHT(OUT_HEIGHT), .OUT_WIDTH(OUT_WIDTH), .AT_W(AT_W),
      .ROWS_FILE(ROWS_FILE), .COLUMNS_FILE(COLUMNS_FILE)
    ) positions (
      .clk, .rst, .ends_vector(fire && is_last && is_last_fold), .offset
    );
  end else begin : gen_everywhere
    assign offset = '0;
  end

  always_ff @(posedge clk) begin
    at_1 <= AT_W'(fold);
    at_2 <= at_1 + offset;
  end
  delay #(.WIDTH(AT_W), .CYCLES(SUM_AT - 3 + SCALE_CYCLES)) levels (.clk, .x(at_2), .y(at));

  neuron_end #(
    .PE(PE), .X_BITS(ACC_BITS), .X_SIGNED(ACC_SIGNED), .STEPS(STEPS), .DIRECTIONS(DIRECTIONS),
    .LEVEL_BITS(LEVEL_BITS), .BASE(BASE), .WORDS(LEVEL_WORDS), .OUT_BITS(OUT_BITS),
    .CAPACITY(CAPACITY), .LEVELS_BLOCK(LEVELS_BLOCK), .LEVELS_SLICE(LEVELS_SLICE),
    .LEVELS_FILE(LEVELS_FILE)
  ) results (
    .clk, .rst,
    .take(fire && is_last), .has_place,
    .at, .push, .x(totals),
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

endmodule
