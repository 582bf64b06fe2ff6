// SPDX-License-Identifier: Apache-2.0
//
// Bipolar dot products of a vector with MH constant vectors: how many positions agree.
//
//   y[n] = number of synapses i with x[i] == WEIGHTS[n*MW+i]
//
// Encoding   bit b of x and WEIGHTS stands for 2b - 1; y unsigned, 0 to MW; neuron 0 low
// Reference  popshift.hw.stages.kernels.Xnor (bit-exact)
// Latency    LATENCY cycles: where neurons share carries the first one is behind these, all others are
//            as in bit_heap
// II         1 cycle
// Stall      none
// Reset      none
//
// Eight neurons or more share the lowest column of their sums. An inverted input inverts the sum of
// a full adder or leaves it as it is, so one tree of full adders yields the lowest bit of all
// neurons. Of its carries there are four for the eight inversions, the others being complements. A
// neuron by itself counts the carries that are its own, half as many bits as synapses.
module unrolled_xnor #(
  parameter  int MW      = 8,                            // synapses, >= 1
  parameter  int MH      = 9,                            // neurons, >= 1
  parameter  logic [MH*MW-1:0] WEIGHTS = '0,
  parameter  int LATENCY = 0,                            // cycles, >= 0
  localparam int SUM_W   = $clog2(MW + 1)
) (
  input  logic                clk,
  input  logic [MW-1:0]       x,
  output logic [MH*SUM_W-1:0] y
);

  // With fewer neurons the tree takes more LUTs than it saves.
  localparam int SHARED_FROM = 8;

  localparam int ADDERS = MW > 1 ? MW / 2 : 1;
  localparam int ALL    = MW + ADDERS;  // bits that adders take in turn: synapses, then sums

  // Which of all bits are inverted for a neuron.
  function automatic logic [ALL-1:0] inversions(logic [MW-1:0] w);
    inversions = ALL'(~w);
    for (int i = 0; i < ADDERS; i++) begin
      inversions[MW+i] = inversions[3*i] ^ inversions[3*i+1];
      if (3 * i + 2 < MW + i) inversions[MW+i] = inversions[MW+i] ^ inversions[3*i+2];
    end
  endfunction

  // Which carries are inverted: those of adders whose third bit is.
  function automatic logic [ADDERS-1:0] thirds(logic [ALL-1:0] inverted);
    for (int i = 0; i < ADDERS; i++) thirds[i] = 3 * i + 2 < MW + i && inverted[3*i+2];
  endfunction

  if (MH < SHARED_FROM || MW < 2) begin : gen_each
    for (genvar n = 0; n < MH; n++) begin : gen_neuron
      popcount #(.N(MW), .INVERT(~WEIGHTS[n*MW+:MW]), .LATENCY(LATENCY)) agreeing (
        .clk, .a(x), .y(y[n*SUM_W+:SUM_W])
      );
    end
  end else begin : gen_shared
    localparam int FRONT = LATENCY > 0 ? 1 : 0;

    logic [ALL-1:0]      bits;
    logic [4*ADDERS-1:0] carries, carries_1;

    assign bits[MW-1:0] = x;

    for (genvar i = 0; i < ADDERS; i++) begin : gen_adder
      logic [2:0] taken;
      if (3 * i + 2 < MW + i) begin : gen_three
        assign taken = bits[3*i+:3];
      end else begin : gen_two  // the last adder of an even number of bits
        assign taken = {1'b0, bits[3*i+:2]};
      end

      for (genvar p = 0; p < 4; p++) begin : gen_inversion
        /* verilator lint_off UNUSEDSIGNAL */ // one sum is enough
        logic sum;
        /* verilator lint_on UNUSEDSIGNAL */
        full_adder #(.INVERT(3'(p))) adder (.a(taken), .sum, .carry(carries[4*i+p]));
      end
      assign bits[MW+i] = gen_inversion[0].sum;
    end

    delay #(.WIDTH(4 * ADDERS), .CYCLES(FRONT)) front (.clk, .x(carries), .y(carries_1));

    for (genvar n = 0; n < MH; n++) begin : gen_neuron
      localparam logic [ALL-1:0]    INVERTED = inversions(WEIGHTS[n*MW+:MW]);
      localparam logic [ADDERS-1:0] THIRDS   = thirds(INVERTED);

      logic [ADDERS-1:0] own;
      for (genvar i = 0; i < ADDERS; i++) begin : gen_carry
        localparam logic [1:0] PATTERN = INVERTED[3*i+:2] ^ {2{THIRDS[i]}};
        assign own[i] = carries_1[4*i+int'(PATTERN)];
      end

      popcount #(.N(ADDERS), .INVERT(THIRDS), .LATENCY(LATENCY - FRONT)) twos (
        .clk, .a(own), .y(y[n*SUM_W+1+:SUM_W-1])
      );
      delay #(.WIDTH(1), .CYCLES(LATENCY)) ones (
        .clk, .x(bits[ALL-1] ^ INVERTED[ALL-1]), .y(y[n*SUM_W])
      );
    end
  end

endmodule
