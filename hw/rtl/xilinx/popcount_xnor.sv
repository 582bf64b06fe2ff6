// SPDX-License-Identifier: Apache-2.0
//
// Twin of popcount_xnor for AMD 7-series and later: XNORs in LUT6_2 that add as well.
//
//   y = popcount(x XNOR w)
//
// Encoding   y unsigned, 0 to N
// Reference  popcount_xnor (proven equal)
// Latency    LATENCY cycles, as bit_heap
// II         1 cycle
// Stall      none
// Reset      none
//
// A LUT6_2 holds two XNORs; for the same price it adds them to one bit more. Chains of these adders
// leave a sum each and a carry for every two positions.
module popcount_xnor #(
  parameter  int N       = 8,             // positions, >= 1
  parameter  int LATENCY = 0,             // cycles, >= 0
  localparam int SUM_W   = $clog2(N + 1)
) (
  input  logic             clk,
  input  logic [N-1:0]     x,
  input  logic [N-1:0]     w,
  output logic [SUM_W-1:0] y
);

  localparam int LENGTH = 4;  // adders of a chain: longer ones save little more
  localparam int PAIRS  = N / 2;
  localparam int CHAINS = (PAIRS + LENGTH - 1) / LENGTH;
  localparam int ONES   = CHAINS + N % 2;

  // O6: sum; O5: carry; inputs two of x, two of w and the bit.
  function automatic logic [63:0] adder_init();
    int count;
    adder_init = '0;
    for (int i = 0; i < 32; i++) begin
      count = (i >> 4) & 1;
      for (int k = 0; k < 2; k++) if (((i >> k) & 1) == ((i >> (k + 2)) & 1)) count = count + 1;
      adder_init[i]    = count >= 2;
      adder_init[32+i] = count == 1 || count == 3;
    end
  endfunction

  if (N == 1) begin : gen_one
    delay #(.WIDTH(1), .CYCLES(LATENCY)) agreement (.clk, .x(~(x ^ w)), .y);
  end else begin : gen_chains
    logic [PAIRS-1:0] sums, carries;
    logic [ONES-1:0]  ones;

    for (genvar i = 0; i < PAIRS; i++) begin : gen_pair
      logic carried;
      if (i % LENGTH == 0) begin : gen_first
        assign carried = 1'b0;
      end else begin : gen_next
        assign carried = sums[i-1];
      end
      LUT6_2 #(.INIT(adder_init())) adder (
        .I0(x[2*i]), .I1(x[2*i+1]), .I2(w[2*i]), .I3(w[2*i+1]), .I4(carried), .I5(1'b1),
        .O6(sums[i]), .O5(carries[i])
      );
      if (i % LENGTH == LENGTH - 1 || i == PAIRS - 1) begin : gen_last
        assign ones[i/LENGTH] = sums[i];
      end
    end
    if (N % 2 == 1) begin : gen_odd
      assign ones[CHAINS] = ~(x[N-1] ^ w[N-1]);
    end

    bit_heap #(
      .COLUMNS(SUM_W), .HEIGHTS((16 * SUM_W)'({16'(PAIRS), 16'(ONES)})), .BITS(PAIRS + ONES),
      .LATENCY(LATENCY)
    ) heap (.clk, .a({carries, ones}), .y);
  end

endmodule
