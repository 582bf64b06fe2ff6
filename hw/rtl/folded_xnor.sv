// SPDX-License-Identifier: Apache-2.0
//
// Parts of bipolar dot products with weights from a memory: how many positions agree.
//
//   y[n] = number of lanes i with x[i] == weight[n][i]
//
// Encoding   bit b of x and of a weight stands for 2b - 1; y unsigned, 0 to SIMD; neuron 0 low.
//            w holds sums modulo 2 of the weights instead of these, see below.
// Reference  popshift.hw.stages.kernels.Xnor (bit-exact)
// Latency    CYCLES from w to y; w comes one cycle after its x
// II         1 cycle
// Stall      none
// Reset      none
//
// Let t[i] = ~x[i] ^ weight[i]: whether lane i agrees. Three lanes agree s + 2 c times with
//
//   s = t[0] ^ t[1] ^ t[2],   c = s ^ ((t[0] ^ t[1]) | (t[0] ^ t[2]))
//
// Sums modulo 2 of t are those of x and of weights. The former are the same for all neurons, the
// latter are what is stored, so that c takes two LUTs of four inputs and s none or one: nine lanes
// to four bits take ten LUTs, where nine XNORs and the full adders behind them take sixteen.
//
// Of SIMD lanes NINES groups of nine come first, then THREES of three, then up to two. Lane k of
// group i stands at k*GROUPS+i, so that a group is no more than a slice of words. Of three weights
// w holds their sum, that of 0 and 1, that of 0 and 2; of nine the sums of 0 and 1 and of 0 and 2 of
// each three at 1 and 2, 4 and 5, 7 and 8, and at 0, 3, 6 the three sums of the sums of the threes.
module folded_xnor #(
  parameter int SIMD     = 8,                 // lanes, >= 1
  parameter int PE       = 2,                 // neurons, >= 1
  parameter int SUM_BITS = $clog2(SIMD + 1),
  parameter int CYCLES   = 1                  // 1 to 5
) (
  input  logic                   clk,
  input  logic [SIMD-1:0]        x,
  input  logic [PE*SIMD-1:0]     w,
  output logic [PE*SUM_BITS-1:0] y
);

  if (SUM_BITS != $clog2(SIMD + 1) || CYCLES < 1 || CYCLES > 5) begin : gen_check
    $error("folded_xnor: SIMD=%0d takes SUM_BITS=%0d, CYCLES=%0d is 1 to 5 (%m)", SIMD,
           $clog2(SIMD + 1), CYCLES);
  end

  // Registers in front of columns, see compressor.
  localparam int CUTS = CYCLES == 1 ? 0 : CYCLES == 2 ? 'b100 : CYCLES == 3 ? 'b1010
                      : CYCLES == 4 ? 'b1110 : 'b11110;

  localparam int NINES    = SIMD / 9;
  localparam int THREES   = (SIMD - 9 * NINES) / 3;
  localparam int REST     = SIMD - 9 * NINES - 3 * THREES;
  localparam int REST_AT  = SIMD - REST;
  localparam int THREE_AT = 9 * NINES;
  localparam int ONES     = NINES + THREES + REST;
  localparam int TWOS     = 2 * NINES + THREES;
  localparam int TWOS_W   = TWOS > 0 ? TWOS : 1;
  localparam int FOURS_W  = NINES > 0 ? NINES : 1;

  // The sums of x, the same for all neurons.
  logic [SIMD-1:0] lanes, parts;
  assign lanes = ~x;

  if (NINES > 0) begin : gen_nine_parts
    logic [NINES-1:0] a, b, c;      // sums of the threes
    logic [NINES-1:0] after_b, after_c;
    assign a = lanes[0*NINES+:NINES] ^ lanes[1*NINES+:NINES] ^ lanes[2*NINES+:NINES];
    assign b = lanes[3*NINES+:NINES] ^ lanes[4*NINES+:NINES] ^ lanes[5*NINES+:NINES];
    assign c = lanes[6*NINES+:NINES] ^ lanes[7*NINES+:NINES] ^ lanes[8*NINES+:NINES];

    always_ff @(posedge clk) begin
      parts[0*NINES+:NINES] <= a ^ b ^ c;
      parts[3*NINES+:NINES] <= a ^ b;
      parts[6*NINES+:NINES] <= a ^ c;
      for (int k = 0; k < 9; k += 3) begin
        parts[(k+1)*NINES+:NINES] <= lanes[k*NINES+:NINES] ^ lanes[(k+1)*NINES+:NINES];
        parts[(k+2)*NINES+:NINES] <= lanes[k*NINES+:NINES] ^ lanes[(k+2)*NINES+:NINES];
      end
      after_b <= b;
      after_c <= c;
    end
  end

  if (THREES > 0) begin : gen_three_parts
    logic [THREES-1:0] first, second, third;
    assign {third, second, first} = lanes[THREE_AT+:3*THREES];
    always_ff @(posedge clk) begin
      parts[THREE_AT+:3*THREES] <= {first ^ third, first ^ second, first ^ second ^ third};
    end
  end

  if (REST > 0) begin : gen_rest
    always_ff @(posedge clk) parts[REST_AT+:REST] <= lanes[REST_AT+:REST];
  end

  for (genvar n = 0; n < PE; n++) begin : gen_neuron
    logic [SIMD-1:0]     v, t;  // weights and agreements, as sums modulo 2
    logic [ONES-1:0]     ones;
    logic [TWOS_W-1:0]   twos;
    logic [FOURS_W-1:0]  fours;
    logic [SUM_BITS-1:0] count;

    assign v = w[n*SIMD+:SIMD];
    assign t = parts ^ v;

    if (NINES > 0) begin : gen_nines
      // Of the threes a, b, c: how often lanes differ, and what each carries but a.
      logic [NINES-1:0] g_a, g_b, g_c, carry_b, carry_c, s, two;
      assign g_a     = t[1*NINES+:NINES] | t[2*NINES+:NINES];
      assign g_b     = t[4*NINES+:NINES] | t[5*NINES+:NINES];
      assign g_c     = t[7*NINES+:NINES] | t[8*NINES+:NINES];
      assign carry_b = gen_nine_parts.after_b ^ v[0+:NINES] ^ v[6*NINES+:NINES] ^ g_b;
      assign carry_c = gen_nine_parts.after_c ^ v[0+:NINES] ^ v[3*NINES+:NINES] ^ g_c;
      assign s       = t[0+:NINES];
      assign two     = s ^ g_a ^ g_b ^ g_c;  // the sum of all three carries

      assign ones[0+:NINES] = s;
      assign twos[0+:2*NINES] = {two, s ^ (t[3*NINES+:NINES] | t[6*NINES+:NINES])};
      assign fours = ((carry_b ^ carry_c) & ~two) | (carry_b & carry_c);
    end else begin : gen_no_nines
      assign fours = '0;
    end

    if (THREES > 0) begin : gen_threes
      logic [THREES-1:0] s, first_second, first_third;
      assign {first_third, first_second, s} = t[THREE_AT+:3*THREES];
      assign ones[NINES+:THREES]   = s;
      assign twos[2*NINES+:THREES] = s ^ (first_second | first_third);
    end else if (NINES == 0) begin : gen_no_twos
      assign twos = '0;
    end

    if (REST > 0) begin : gen_rest_ones
      assign ones[NINES+THREES+:REST] = t[REST_AT+:REST];
    end

    compressor #(
      .ONES(ONES), .TWOS(TWOS), .FOURS(NINES), .SUM_W(SUM_BITS),
      .CUTS(CUTS)
    ) agreeing (.clk, .ones, .twos, .fours, .y(count));

    always_ff @(posedge clk) y[n*SUM_BITS+:SUM_BITS] <= count;
  end

endmodule
