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
// All neurons share the counts of GROUP synapses: there are 2^(GROUP-1) patterns of weights, since
// the complement of a pattern has the complement of its count, bit by bit. What a neuron does not
// share is the sum of its groups.
module unrolled_xnor #(
  parameter  int MW      = 8,                            // synapses, >= 1
  parameter  int MH      = 4,                            // neurons, >= 1
  parameter  logic [MH*MW-1:0] WEIGHTS = '0,
  parameter  int GROUP   = 3,                            // 3 or 7
  parameter  int LATENCY = 0,                            // cycles, >= 0
  localparam int SUM_W   = $clog2(MW + 1)
) (
  input  logic                clk,
  input  logic [MW-1:0]       x,
  output logic [MH*SUM_W-1:0] y
);

  if (GROUP != 3 && GROUP != 7) begin : gen_check
    $error("unrolled_xnor: GROUP=%0d must be 3 or 7 (%m)", GROUP);
  end

  localparam int COUNT_W  = GROUP == 3 ? 2 : 3;
  localparam int GROUPS   = MW / GROUP;
  localparam int REST     = MW - GROUP * GROUPS;  // synapses in no group
  localparam int PATTERNS = 1 << (GROUP - 1);
  localparam int BITS     = COUNT_W * GROUPS + REST;

  // Count p of a group is that of the pattern with a 1 above the bits of p.
  logic [GROUPS*PATTERNS*COUNT_W-1:0] counts;

  for (genvar g = 0; g < GROUPS; g++) begin : gen_group
    for (genvar p = 0; p < PATTERNS; p++) begin : gen_pattern
      localparam logic [GROUP-1:0] DIFFERS = ~{1'b1, (GROUP-1)'(p)};
      if (GROUP == 3) begin : gen_three
        full_adder #(.INVERT(DIFFERS)) counter (
          .a(x[3*g+:3]), .sum(counts[(g*PATTERNS+p)*2]), .carry(counts[(g*PATTERNS+p)*2+1])
        );
      end else begin : gen_seven
        counter_7_3 #(.INVERT(DIFFERS)) counter (
          .a(x[7*g+:7]), .y(counts[(g*PATTERNS+p)*3+:3])
        );
      end
    end
  end

  // Bits of a neuron's heap that are complements: those of a group, or a synapse in no group.
  function automatic logic [BITS-1:0] complements(logic [MW-1:0] w);
    for (int g = 0; g < GROUPS; g++) begin
      complements[g]           = !w[g*GROUP+GROUP-1];
      complements[GROUPS+REST+g] = !w[g*GROUP+GROUP-1];
      if (COUNT_W > 2) complements[(COUNT_W-1)*GROUPS+REST+g] = !w[g*GROUP+GROUP-1];
    end
    for (int i = 0; i < REST; i++) complements[GROUPS+i] = !w[GROUPS*GROUP+i];
  endfunction

  for (genvar n = 0; n < MH; n++) begin : gen_neuron
    localparam logic [MW-1:0] W = WEIGHTS[n*MW+:MW];

    logic [BITS-1:0] bits;
    for (genvar g = 0; g < GROUPS; g++) begin : gen_group
      localparam logic [GROUP-1:0] PATTERN =
          W[g*GROUP+GROUP-1] ? W[g*GROUP+:GROUP] : ~W[g*GROUP+:GROUP];
      localparam int AT = (g * PATTERNS + int'(PATTERN[GROUP-2:0])) * COUNT_W;
      for (genvar b = 0; b < COUNT_W; b++) begin : gen_bit
        assign bits[b*GROUPS+(b==0?0:REST)+g] = counts[AT+b];
      end
    end
    if (REST > 0) begin : gen_rest
      assign bits[GROUPS+:REST] = x[MW-1:GROUPS*GROUP];
    end

    bit_heap #(
      .COLUMNS(SUM_W),
      .HEIGHTS((16 * SUM_W)'({COUNT_W > 2 ? 16'(GROUPS) : 16'd0, 16'(GROUPS), 16'(GROUPS + REST)})),
      .BITS(BITS), .INVERT(complements(W)), .LATENCY(LATENCY)
    ) heap (.clk, .a(bits), .y(y[n*SUM_W+:SUM_W]));
  end

endmodule
