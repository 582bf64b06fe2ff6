// SPDX-License-Identifier: Apache-2.0
//
// Sum of bits of weight 1, 2 and 4, column by column by full adders.
//
//   y = number of ones of ones + 2 * that of twos + 4 * that of fours   modulo 2^SUM_W
//
// Encoding   y unsigned
// Reference  popshift.hw.stages.kernels.Xnor.accumulate (bit-exact)
// Latency    a cycle for each bit of CUTS
// II         1 cycle
// Stall      none
// Reset      none
//
// Synthesis finds no compressors by itself: a plain sum of N bits takes up to twice the LUTs. A full
// adder takes two LUTs of four inputs, and here nothing but full adders joins bits.
module compressor #(
  parameter  int ONES    = 8,
  parameter  int TWOS    = 0,
  parameter  int FOURS   = 0,
  parameter  int SUM_W   = 4,                      // bits of the sum, >= 1
  parameter  int CUTS    = 0,                      // bit k: a register in front of column k
  localparam int ONES_W  = ONES > 0 ? ONES : 1,
  localparam int TWOS_W  = TWOS > 0 ? TWOS : 1,
  localparam int FOURS_W = FOURS > 0 ? FOURS : 1
) (
  /* verilator lint_off UNUSEDSIGNAL */ // without a register there is no clock, or bits are absent
  input  logic               clk,
  input  logic [ONES_W-1:0]  ones,
  input  logic [TWOS_W-1:0]  twos,
  input  logic [FOURS_W-1:0] fours,
  /* verilator lint_on UNUSEDSIGNAL */
  output logic [SUM_W-1:0]   y
);

  if (CUTS % 2 == 1) begin : gen_register
    logic [ONES_W-1:0]  ones_1;
    logic [TWOS_W-1:0]  twos_1;
    logic [FOURS_W-1:0] fours_1;
    always_ff @(posedge clk) begin
      ones_1  <= ones;
      twos_1  <= twos;
      fours_1 <= fours;
    end
    compressor #(
      .ONES(ONES), .TWOS(TWOS), .FOURS(FOURS), .SUM_W(SUM_W), .CUTS(CUTS - 1)
    ) behind (.clk, .ones(ones_1), .twos(twos_1), .fours(fours_1), .y);
  end else if (SUM_W == 1) begin : gen_last
    assign y = ONES > 0 ? ^ones : '0;
  end else begin : gen_column
    localparam int CARRIES = ONES / 2;
    localparam int NEXT    = CARRIES + TWOS;
    localparam int NEXT_W  = NEXT > 0 ? NEXT : 1;

    logic [(ONES > 1 ? CARRIES : 1)-1:0] carries;
    logic [NEXT_W-1:0]                   next;
    logic                                sum;
    logic [SUM_W-2:0]                    above;

    if (ONES > 0) begin : gen_sum
      column #(.N(ONES)) bits (.a(ones), .sum, .carries);
    end else begin : gen_nothing
      assign sum     = 1'b0;
      assign carries = '0;
    end

    if (CARRIES > 0 && TWOS > 0) begin : gen_both
      assign next = {carries, twos};
    end else if (CARRIES > 0) begin : gen_carries
      assign next = carries;
    end else begin : gen_twos
      assign next = twos;
    end

    compressor #(
      .ONES(NEXT), .TWOS(FOURS), .SUM_W(SUM_W - 1), .CUTS(CUTS / 2)
    ) higher (.clk, .ones(next), .twos(fours), .fours(1'b0), .y(above));

    assign y[SUM_W-1:1] = above;
    delay #(.WIDTH(1), .CYCLES($countones(CUTS))) low (.clk, .x(sum), .y(y[0]));
  end

endmodule
