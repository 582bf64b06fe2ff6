// SPDX-License-Identifier: Apache-2.0
//
// Number of ones of a word, by full adders: three bits become a sum bit and a carry bit, sums and
// carries are counted apart.
//
//   y = sum of a[i] = popcount(sums) + 2 * popcount(carries)
//
// Encoding   y unsigned, 0 to N
// Reference  popshift.hw.stages.kernels.Xnor.accumulate (bit-exact)
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
//
// Synthesis finds no compressors by itself: a plain sum of N bits takes up to twice the LUTs.
module popcount #(
  parameter  int N     = 8,             // bits, >= 1
  localparam int SUM_W = $clog2(N + 1)
) (
  input  logic [N-1:0]     a,
  output logic [SUM_W-1:0] y
);

  if (N < 1) begin : gen_check
    $error("popcount: N=%0d must be >= 1 (%m)", N);
  end

  if (N == 1) begin : gen_one
    assign y = a;
  end else if (N == 2) begin : gen_two
    assign y = {a[1] & a[0], a[1] ^ a[0]};
  end else begin : gen_compress
    localparam int ADDERS = N / 3;
    localparam int ONES   = N - 2 * ADDERS;  // sums of the adders and the bits left over
    localparam int ONES_W = $clog2(ONES + 1);
    localparam int TWOS_W = $clog2(ADDERS + 1);

    logic [ADDERS-1:0] carries;
    logic [ONES-1:0]   sums;
    logic [ONES_W-1:0] ones;
    logic [TWOS_W-1:0] twos;

    for (genvar i = 0; i < ADDERS; i++) begin : gen_adder
      assign sums[i]    = a[3*i] ^ a[3*i+1] ^ a[3*i+2];
      assign carries[i] = (a[3*i] & a[3*i+1]) | (a[3*i+2] & (a[3*i] | a[3*i+1]));
    end
    if (ONES > ADDERS) begin : gen_rest
      assign sums[ONES-1:ADDERS] = a[N-1:3*ADDERS];
    end

    popcount #(.N(ONES)) count_ones (.a(sums), .y(ones));
    popcount #(.N(ADDERS)) count_twos (.a(carries), .y(twos));

    assign y = SUM_W'(ones) + (SUM_W'(twos) << 1);
  end

endmodule
