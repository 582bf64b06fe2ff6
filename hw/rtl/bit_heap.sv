// SPDX-License-Identifier: Apache-2.0
//
// Sum of bits of different weights: a heap with a column for each power of two.
//
//   y = sum over columns c of 2^c * (number of ones of a ^ INVERT in column c), modulo 2^COLUMNS
//
// Encoding   unsigned; HEIGHTS[16*c+:16] bits in column c, column 0 in the low bits of a
// Reference  integer sum
// Latency    LATENCY cycles: registers spread evenly behind the levels, what is left over at the end
// II         1 cycle
// Stall      none
// Reset      none
//
// A level replaces seven or six bits of a column by their count. Where no column has six bits, full
// adders bring those above three down. Three rows are left for one adder. Each family of FPGAs may
// have its own counter_7_3, full_adder and ternary_adder; the tree is the same for all.
module bit_heap #(
  parameter int COLUMNS  = 4,                                  // bits of y, >= 1
  /* verilator lint_off WIDTHEXPAND */ // it takes the widths of the defaults
  parameter logic [16*COLUMNS-1:0] HEIGHTS = {COLUMNS{16'd4}},
  parameter int BITS     = 4 * COLUMNS,                        // sum of HEIGHTS
  parameter logic [BITS-1:0] INVERT = '0,                      // bits of a to be inverted
  /* verilator lint_on WIDTHEXPAND */
  parameter int LATENCY  = 0,                                  // cycles, >= 0
  parameter int LEVEL    = 0,                                  // levels before this one
  parameter int LEVELS   = -1                                  // of the tree; -1: not yet counted
) (
  /* verilator lint_off UNUSEDSIGNAL */ // without a register there is no clock
  input  logic               clk,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [BITS-1:0]    a,
  output logic [COLUMNS-1:0] y
);

  // These run once for each instance, so they call nothing in loops: synthesis is slow at that.
  function automatic int total(logic [16*COLUMNS-1:0] heights);
    total = 0;
    for (int c = 0; c < COLUMNS; c++) total = total + int'(heights[16*c+:16]);
  endfunction

  function automatic int highest(logic [16*COLUMNS-1:0] heights);
    highest = 0;
    for (int c = 0; c < COLUMNS; c++) begin
      if (int'(heights[16*c+:16]) > highest) highest = int'(heights[16*c+:16]);
    end
  endfunction

  // Where each column begins.
  function automatic logic [16*COLUMNS-1:0] begins(logic [16*COLUMNS-1:0] heights);
    begins = '0;
    for (int c = 1; c < COLUMNS; c++) begin
      begins[16*c+:16] = begins[16*(c-1)+:16] + heights[16*(c-1)+:16];
    end
  endfunction

  // Heights behind a level, which counts h bits of a column by (h + 1) / 7 counters, and by a full
  // adder if there is need of one and nowhere of a counter.
  function automatic logic [16*COLUMNS-1:0] behind(logic [16*COLUMNS-1:0] heights, int most);
    int height, counters, adders, twos, fours;
    behind = '0;
    twos   = 0;
    fours  = 0;
    for (int c = 0; c < COLUMNS; c++) begin
      height   = int'(heights[16*c+:16]);
      counters = (height + 1) / 7;
      adders   = most < 6 && height > 3 ? 1 : 0;
      height   = height - 7 * counters - 3 * adders;
      behind[16*c+:16] = 16'(fours + twos + counters + adders + (height > 0 ? height : 0));
      fours = c > 0 ? (int'(heights[16*(c>0?c-1:0)+:16]) + 1) / 7 : 0;
      twos  = counters + adders;
    end
  endfunction

  // Inversions of the bits that the level leaves as they are.
  function automatic logic [BITS-1:0] left_over(
    logic [16*COLUMNS-1:0] heights_behind, int most
  );
    int counters, adders, from, to, left;
    left_over = '0;
    from      = 0;
    to        = 0;
    for (int c = 0; c < COLUMNS; c++) begin
      counters = (int'(HEIGHTS[16*c+:16]) + 1) / 7;
      adders   = most < 6 && int'(HEIGHTS[16*c+:16]) > 3 ? 1 : 0;
      left     = int'(HEIGHTS[16*c+:16]) - 7 * counters - 3 * adders;
      from     = from + int'(HEIGHTS[16*c+:16]);
      to       = to + int'(heights_behind[16*c+:16]);
      for (int i = 1; i <= left; i++) left_over[to-i] = INVERT[from-i];
    end
  endfunction

  // Levels in front of the adder; only where registers are spread over them.
  function automatic int levels();
    logic [16*COLUMNS-1:0] now;
    int most;
    now    = HEIGHTS;
    most   = LATENCY > 0 ? highest(now) : 0;
    levels = 0;
    while (most > 3) begin
      now    = behind(now, most);
      most   = highest(now);
      levels = levels + 1;
    end
  endfunction

  if (total(HEIGHTS) != BITS) begin : gen_check
    $error("bit_heap: BITS=%0d must be the sum of HEIGHTS, %0d (%m)", BITS, total(HEIGHTS));
  end

  localparam int MOST   = highest(HEIGHTS);
  localparam int ALL    = LEVELS < 0 ? levels() : LEVELS;
  localparam int SPREAD = LATENCY < ALL ? LATENCY : ALL;  // registers behind levels

  if (MOST <= 3) begin : gen_add
    logic [COLUMNS-1:0] sum;
    ternary_adder #(
      .COLUMNS(COLUMNS), .HEIGHTS(HEIGHTS), .BITS(BITS), .INVERT(INVERT)
    ) rows (.a, .y(sum));
    delay #(.WIDTH(COLUMNS), .CYCLES(LATENCY - SPREAD)) surplus (.clk, .x(sum), .y);
  end else begin : gen_level
    localparam logic [16*COLUMNS-1:0] BEHIND  = behind(HEIGHTS, MOST);
    localparam logic [16*COLUMNS-1:0] BEGINS  = begins(HEIGHTS);
    // Two columns more on either side, so that each has two neighbours.
    localparam logic [16*COLUMNS+63:0] PADDED    = (16*COLUMNS+64)'({HEIGHTS, 32'd0});
    localparam logic [16*COLUMNS+31:0] TO_BEGINS = (16*COLUMNS+32)'(begins(BEHIND));
    localparam int BITS_BEHIND = total(BEHIND);
    // Register k is behind the first level that ends k of SPREAD + 1 equal parts of the tree.
    localparam int REGISTERS = SPREAD == 0 ? 0 :
        (LEVEL + 1) * (SPREAD + 1) / (ALL + 1) - LEVEL * (SPREAD + 1) / (ALL + 1);

    logic [BITS_BEHIND-1:0] made, kept;

    // Behind a level a column holds fours, twos, ones, and last what was left as it is.
    for (genvar c = 0; c < COLUMNS; c++) begin : gen_column
      localparam int HEIGHT   = int'(PADDED[16*(c+2)+:16]);
      localparam int BELOW    = int'(PADDED[16*(c+1)+:16]);
      localparam int FAR      = int'(PADDED[16*c+:16]);
      localparam int COUNTERS = (HEIGHT + 1) / 7;
      localparam int ADDERS   = MOST < 6 && HEIGHT > 3 ? 1 : 0;
      localparam int REST     = HEIGHT - 7 * COUNTERS - 3 * ADDERS;
      localparam int FOURS    = (BELOW + 1) / 7;  // from the column below into the next
      localparam int ONES     = (FAR + 1) / 7 + FOURS + (MOST < 6 && BELOW > 3 ? 1 : 0);
      localparam int FROM     = int'(BEGINS[16*c+:16]);
      localparam int TO       = int'(TO_BEGINS[16*c+:16]) + ONES;
      localparam int TO_TWOS  = int'(TO_BEGINS[16*(c+1)+:16]) + FOURS;
      localparam int TO_FOURS = int'(TO_BEGINS[16*(c+2)+:16]);

      for (genvar i = 0; i < COUNTERS; i++) begin : gen_counter
        localparam int TAKEN = 7 * i + 7 > HEIGHT ? 6 : 7;
        /* verilator lint_off UNUSEDSIGNAL */ // beyond the result
        logic [2:0] count;
        /* verilator lint_on UNUSEDSIGNAL */
        counter_7_3 #(.INVERT(7'(INVERT[FROM+7*i+:TAKEN]))) counter (
          .a(7'(a[FROM+7*i+:TAKEN])), .y(count)
        );
        assign made[TO+i] = count[0];
        if (c + 1 < COLUMNS) begin : gen_twos
          assign made[TO_TWOS+i] = count[1];
        end
        if (c + 2 < COLUMNS) begin : gen_fours
          assign made[TO_FOURS+i] = count[2];
        end
      end

      if (ADDERS > 0) begin : gen_adder
        /* verilator lint_off UNUSEDSIGNAL */ // beyond the result
        logic sum, carry;
        /* verilator lint_on UNUSEDSIGNAL */
        full_adder #(.INVERT(INVERT[FROM+7*COUNTERS+:3])) adder (
          .a(a[FROM+7*COUNTERS+:3]), .sum, .carry
        );
        assign made[TO+COUNTERS] = sum;
        if (c + 1 < COLUMNS) begin : gen_twos
          assign made[TO_TWOS+COUNTERS] = carry;
        end
      end

      if (REST > 0) begin : gen_rest
        assign made[TO+COUNTERS+ADDERS+:REST] = a[FROM+HEIGHT-REST+:REST];
      end
    end

    delay #(.WIDTH(BITS_BEHIND), .CYCLES(REGISTERS)) pipeline (.clk, .x(made), .y(kept));

    bit_heap #(
      .COLUMNS(COLUMNS), .HEIGHTS(BEHIND), .BITS(BITS_BEHIND),
      .INVERT(BITS_BEHIND'(left_over(BEHIND, MOST))), .LATENCY(LATENCY), .LEVEL(LEVEL + 1),
      .LEVELS(ALL)
    ) behind_level (.clk, .a(kept), .y);
  end

endmodule
