// SPDX-License-Identifier: Apache-2.0
//
// Bipolar dot products of a vector with MH constant vectors: how many positions agree.
//
//   y[n] = number of synapses i with x[i] == WEIGHTS[n*MW+i]
//
// Encoding   bit b of x and WEIGHTS stands for 2b - 1; y unsigned, 0 to MW; neuron 0 low
// Reference  popshift.hw.stages.kernels.Xnor (bit-exact)
// Latency    LATENCY cycles, as bit_heap
// II         1 cycle
// Stall      none
// Reset      none
//
// Eight neurons or more share the counts of three synapses: there are four patterns of weights, since the
// complement of a pattern has the complement of its count, bit by bit. What a neuron does not share
// is the sum of its groups. Groups of seven take more LUTs: too few neurons share each of 64 patterns.
module unrolled_xnor #(
  parameter  int MW      = 8,                            // synapses, >= 1
  parameter  int MH      = 4,                            // neurons, >= 1
  parameter  logic [MH*MW-1:0] WEIGHTS = '0,
  parameter  int LATENCY = 0,                            // cycles, >= 0
  localparam int SUM_W   = $clog2(MW + 1)
) (
  input  logic                clk,
  input  logic [MW-1:0]       x,
  output logic [MH*SUM_W-1:0] y
);

  // With so many neurons all four patterns of three weights are in use by more than one.
  localparam int SHARED_FROM = 8;

  if (MH < SHARED_FROM) begin : gen_each
    for (genvar n = 0; n < MH; n++) begin : gen_neuron
      popcount #(.N(MW), .INVERT(~WEIGHTS[n*MW+:MW]), .LATENCY(LATENCY)) agreeing (
        .clk, .a(x), .y(y[n*SUM_W+:SUM_W])
      );
    end
  end else begin : gen_shared
    localparam int GROUPS = MW / 3;
    localparam int REST   = MW - 3 * GROUPS;  // synapses in no group
    localparam int ONES   = GROUPS + REST;

    // Pattern p of a group has a 1 above the bits of p.
    logic [4*GROUPS-1:0] sums, carries;

    for (genvar g = 0; g < GROUPS; g++) begin : gen_group
      for (genvar p = 0; p < 4; p++) begin : gen_pattern
        full_adder #(.INVERT(~{1'b1, 2'(p)})) adder (
          .a(x[3*g+:3]), .sum(sums[4*g+p]), .carry(carries[4*g+p])
        );
      end
    end

    // Bits of a neuron's heap that are complements: those of a group, or a synapse in no group.
    function automatic logic [ONES+GROUPS-1:0] complements(logic [MW-1:0] w);
      for (int g = 0; g < GROUPS; g++) begin
        complements[g]      = !w[3*g+2];
        complements[ONES+g] = !w[3*g+2];
      end
      for (int i = 0; i < REST; i++) complements[GROUPS+i] = !w[3*GROUPS+i];
    endfunction

    for (genvar n = 0; n < MH; n++) begin : gen_neuron
      localparam logic [MW-1:0] W = WEIGHTS[n*MW+:MW];

      logic [ONES+GROUPS-1:0] bits;
      for (genvar g = 0; g < GROUPS; g++) begin : gen_group
        localparam logic [1:0] PATTERN = W[3*g+2] ? W[3*g+:2] : ~W[3*g+:2];
        localparam int AT = 4 * g + int'(PATTERN);
        assign bits[g]      = sums[AT];
        assign bits[ONES+g] = carries[AT];
      end
      if (REST > 0) begin : gen_rest
        assign bits[GROUPS+:REST] = x[MW-1:3*GROUPS];
      end

      bit_heap #(
        .COLUMNS(SUM_W), .HEIGHTS((16 * SUM_W)'({16'(GROUPS), 16'(ONES)})), .BITS(ONES + GROUPS),
        .INVERT(complements(W)), .LATENCY(LATENCY)
      ) heap (.clk, .a(bits), .y(y[n*SUM_W+:SUM_W]));
    end
  end

endmodule
