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
  parameter  int COLUMNS = 4,                                  // bits of y, >= 1
  parameter  logic [16*COLUMNS-1:0] HEIGHTS = {COLUMNS{16'd4}},
  localparam int BITS    = total(HEIGHTS),
  parameter  logic [BITS-1:0] INVERT = '0,                     // bits of a to be inverted
  parameter  int LATENCY = 0,                                  // cycles, >= 0
  parameter  int LEVEL   = 0,                                  // levels before this one
  parameter  int LEVELS  = -1                                  // of the tree; -1: not yet counted
) (
  /* verilator lint_off UNUSEDSIGNAL */ // without a register there is no clock
  input  logic               clk,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [BITS-1:0]    a,
  output logic [COLUMNS-1:0] y
);

  // Bits in the columns below one.
  function automatic int offset(logic [16*COLUMNS-1:0] heights, int column);
    offset = 0;
    for (int c = 0; c < COLUMNS; c++) if (c < column) offset = offset + int'(heights[16*c+:16]);
  endfunction

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

  // What a level does with a column: counters and full adders on it, bits left as they are.
  function automatic int counters(int height);
    counters = (height + 1) / 7;
  endfunction

  function automatic int adders(int height, int most);
    adders = most < 6 && height > 3 ? 1 : 0;
  endfunction

  function automatic int rest(int height, int most);
    rest = height - 7 * counters(height) - 3 * adders(height, most);
    if (rest < 0) rest = 0;
  endfunction

  // Sums and rest of a column behind a level; what the columns below carry comes after them.
  function automatic int own(int height, int most);
    own = counters(height) + adders(height, most) + rest(height, most);
  endfunction

  function automatic logic [16*COLUMNS-1:0] behind(logic [16*COLUMNS-1:0] heights);
    int most, here, below, far;
    most   = highest(heights);
    behind = '0;
    below  = 0;
    far    = 0;
    for (int c = 0; c < COLUMNS; c++) begin
      here = int'(heights[16*c+:16]);
      behind[16*c+:16] =
          16'(own(here, most) + counters(below) + adders(below, most) + counters(far));
      far   = below;
      below = here;
    end
  endfunction

  // Inversions that are left to the levels behind: of bits that stay as they are.
  function automatic logic [BITS-1:0] left_over();
    int most, height, left, from, to;
    most      = highest(HEIGHTS);
    left_over = '0;
    from      = 0;
    for (int c = 0; c < COLUMNS; c++) begin
      height = int'(HEIGHTS[16*c+:16]);
      left   = rest(height, most);
      from   = from + height;
      to     = offset(behind(HEIGHTS), c) + counters(height) + adders(height, most);
      for (int i = 0; i < left; i++) left_over[to+i] = INVERT[from-left+i];
    end
  endfunction

  function automatic int levels(logic [16*COLUMNS-1:0] heights);
    logic [16*COLUMNS-1:0] now;
    now    = heights;
    levels = 0;
    while (highest(now) > 3) begin
      now    = behind(now);
      levels = levels + 1;
    end
  endfunction

  localparam int MOST   = highest(HEIGHTS);
  localparam int ALL    = LEVELS < 0 ? levels(HEIGHTS) : LEVELS;
  localparam int SPREAD = LATENCY < ALL ? LATENCY : ALL;  // registers behind levels

  if (MOST <= 3) begin : gen_add
    logic [COLUMNS-1:0] sum;
    ternary_adder #(.COLUMNS(COLUMNS), .HEIGHTS(HEIGHTS), .INVERT(INVERT)) rows (.a, .y(sum));
    delay #(.WIDTH(COLUMNS), .CYCLES(LATENCY - SPREAD)) surplus (.clk, .x(sum), .y);
  end else begin : gen_level
    localparam logic [16*COLUMNS-1:0] BEHIND = behind(HEIGHTS);
    localparam int BITS_BEHIND = total(BEHIND);
    // The k-th register is behind the first level of which k/(SPREAD + 1) of the tree are done.
    localparam int REGISTERS = (LEVEL + 1) * (SPREAD + 1) / (ALL + 1) -
                               LEVEL * (SPREAD + 1) / (ALL + 1);

    logic [BITS_BEHIND-1:0] made, kept;

    for (genvar c = 0; c < COLUMNS; c++) begin : gen_column
      localparam int HEIGHT   = int'(HEIGHTS[16*c+:16]);
      localparam int COUNTERS = counters(HEIGHT);
      localparam int ADDERS   = adders(HEIGHT, MOST);
      localparam int REST     = rest(HEIGHT, MOST);
      localparam int FROM     = offset(HEIGHTS, c);
      localparam int TO       = offset(BEHIND, c);

      // Where the carries to the next two columns go, -1 if they leave the result.
      localparam int ABOVE   = c + 1 < COLUMNS ? int'(HEIGHTS[16*((c+1)%COLUMNS)+:16]) : 0;
      localparam int FAR     = c + 2 < COLUMNS ? int'(HEIGHTS[16*((c+2)%COLUMNS)+:16]) : 0;
      localparam int TO_NEXT = c + 1 < COLUMNS ? offset(BEHIND, c + 1) + own(ABOVE, MOST) : -1;
      localparam int TO_FAR  = c + 2 < COLUMNS ?
          offset(BEHIND, c + 2) + own(FAR, MOST) + counters(ABOVE) + adders(ABOVE, MOST) : -1;

      for (genvar i = 0; i < COUNTERS; i++) begin : gen_counter
        localparam int TAKEN = 7 * i + 7 > HEIGHT ? 6 : 7;
        logic [2:0] count;
        counter_7_3 #(.INVERT(7'(INVERT[FROM+7*i+:TAKEN]))) counter (
          .a(7'(a[FROM+7*i+:TAKEN])), .y(count)
        );
        assign made[TO+i] = count[0];
        if (TO_NEXT >= 0) begin : gen_next
          assign made[TO_NEXT+i] = count[1];
        end
        if (TO_FAR >= 0) begin : gen_far
          assign made[TO_FAR+i] = count[2];
        end
      end

      if (ADDERS > 0) begin : gen_adder
        logic sum, carry;
        full_adder #(.INVERT(INVERT[FROM+7*COUNTERS+:3])) adder (.a(a[FROM+7*COUNTERS+:3]), .sum, .carry);
        assign made[TO+COUNTERS] = sum;
        if (TO_NEXT >= 0) begin : gen_next
          assign made[TO_NEXT+COUNTERS] = carry;
        end
      end

      if (REST > 0) begin : gen_rest
        assign made[TO+COUNTERS+ADDERS+:REST] = a[FROM+HEIGHT-REST+:REST];
      end
    end

    delay #(.WIDTH(BITS_BEHIND), .CYCLES(REGISTERS)) pipeline (.clk, .x(made), .y(kept));

    bit_heap #(
      .COLUMNS(COLUMNS), .HEIGHTS(BEHIND), .INVERT(BITS_BEHIND'(left_over())), .LATENCY(LATENCY),
      .LEVEL(LEVEL + 1), .LEVELS(ALL)
    ) behind_level (.clk, .a(kept), .y);
  end

endmodule
