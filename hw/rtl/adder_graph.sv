// SPDX-License-Identifier: Apache-2.0
//
// Products of a vector with a constant matrix, as additions of what its rows share.
//
//   node[n] = x[n]                                                   n < INPUTS
//   node[INPUTS+i] = first << s1 (+ or - second << s2) (+ or - third << s3)
//   y[k] = node[INPUTS+OPERATIONS-OUTPUTS+k]
//
// Encoding   x see lanes, lane 0 low; y two's complement modulo 2^SUM_BITS, neuron 0 low. GRAPH holds
//            the operations, the first one low. Fields of one, from low to high: for first, second and
//            third the node, 6 bits of shift and 1 for subtraction; 6 bits for the bits of the sum; 1
//            if it is signed; 1 if it is registered. A node of all ones is nothing; first is added.
// Reference  popshift.hw.stages.kernels.adder_graph (bit-exact)
// Latency    as many registers as are on each path from x to y, see AdderGraph.cycles
// II         1 cycle
// Stall      none
// Reset      none
module adder_graph #(
  parameter  int INPUTS     = 2,                            // >= 1
  parameter  int X_BITS     = 8,
  parameter  int X_SIGNED   = 0,                            // 0 or 1
  parameter  int X_BIPOLAR  = 0,                            // 0 or 1; then X_BITS is 1
  parameter  int OUTPUTS    = 1,                            // >= 1
  parameter  int SUM_BITS   = 8,
  parameter  int OPERATIONS = 1,                            // >= OUTPUTS
  parameter  int NODE_BITS  = X_BITS + 1,                   // of the widest node
  localparam int NODES      = INPUTS + OPERATIONS,
  localparam int SOURCE_W   = $clog2(NODES + 1),
  localparam int OPERAND_W  = SOURCE_W + 7,
  localparam int OP_W       = 3 * OPERAND_W + 8,
  parameter  logic [OPERATIONS*OP_W-1:0] GRAPH = OP_W'({1'b0, 6'(X_BITS + 1), {2*OPERAND_W{1'b1}},
                                                        {OPERAND_W{1'b0}}})
) (
  /* verilator lint_off UNUSEDSIGNAL */ // without a register there is no clock
  input  logic                        clk,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [INPUTS*X_BITS-1:0]    x,
  output logic [OUTPUTS*SUM_BITS-1:0] y
);

  localparam int LANE_W  = X_SIGNED != 0 ? X_BITS : X_BITS + 1;
  localparam int NODE_W  = NODE_BITS > LANE_W ? NODE_BITS : LANE_W;
  localparam int NOTHING = (1 << SOURCE_W) - 1;

  logic [INPUTS*LANE_W-1:0] lane;
  /* verilator lint_off UNUSEDSIGNAL */ // each node is as wide as the widest
  logic [NODES*NODE_W-1:0] node /* verilator split_var */;
  /* verilator lint_on UNUSEDSIGNAL */

  lanes #(
    .SIMD(INPUTS), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR)
  ) integers (.x, .y(lane));

  for (genvar i = 0; i < INPUTS; i++) begin : gen_input
    assign node[i*NODE_W+:NODE_W] = NODE_W'($signed(lane[i*LANE_W+:LANE_W]));
  end

  for (genvar i = 0; i < OPERATIONS; i++) begin : gen_operation
    localparam logic [OP_W-1:0] OP = GRAPH[i*OP_W+:OP_W];

    localparam int   FIRST     = int'(OP[0+:SOURCE_W]);
    localparam int   SECOND    = int'(OP[OPERAND_W+:SOURCE_W]);
    localparam int   THIRD     = int'(OP[2*OPERAND_W+:SOURCE_W]);
    localparam int   SHIFT_1   = int'(OP[SOURCE_W+:6]);
    localparam int   SHIFT_2   = int'(OP[OPERAND_W+SOURCE_W+:6]);
    localparam int   SHIFT_3   = int'(OP[2*OPERAND_W+SOURCE_W+:6]);
    localparam logic MINUS_2   = OP[2*OPERAND_W-1];
    localparam logic MINUS_3   = OP[3*OPERAND_W-1];
    localparam int   SUM_W     = int'(OP[3*OPERAND_W+:6]);
    localparam logic IS_SIGNED = OP[OP_W-2];
    localparam logic IS_KEPT   = OP[OP_W-1];

    logic [SUM_W-1:0] first, sum, kept;

    if (FIRST == NOTHING) begin : gen_zero
      assign first = '0;
    end else begin : gen_first
      assign first = SUM_W'($signed(node[FIRST*NODE_W+:NODE_W])) << SHIFT_1;
    end

    if (SECOND == NOTHING) begin : gen_alone
      assign sum = first;
    end else begin : gen_sum
      // Bits below all others are those of the first.
      localparam int LEAST = THIRD != NOTHING && SHIFT_3 < SHIFT_2 ? SHIFT_3 : SHIFT_2;
      localparam int LOW   = LEAST < SUM_W ? LEAST : SUM_W - 1;
      localparam int TOP_W = SUM_W - LOW;

      logic [TOP_W-1:0] second, third, top;
      assign second = TOP_W'($signed(node[SECOND*NODE_W+:NODE_W])) << SHIFT_2 - LOW;

      if (THIRD == NOTHING) begin : gen_two
        assign third = '0;
        if (MINUS_2) begin : gen_minus
          assign top = first[SUM_W-1:LOW] - second;
        end else begin : gen_plus
          assign top = first[SUM_W-1:LOW] + second;
        end
      end else begin : gen_three
        assign third = TOP_W'($signed(node[THIRD*NODE_W+:NODE_W])) << SHIFT_3 - LOW;
        sum_of_three #(.BITS(TOP_W), .MINUS_B(MINUS_2), .MINUS_C(MINUS_3)) add (
          .a(first[SUM_W-1:LOW]), .b(second), .c(third), .y(top)
        );
      end

      if (LOW > 0) begin : gen_low
        assign sum = {top, first[LOW-1:0]};
      end else begin : gen_no_low
        assign sum = top;
      end
    end

    if (IS_KEPT) begin : gen_register
      always_ff @(posedge clk) kept <= sum;
    end else begin : gen_wires
      assign kept = sum;
    end

    if (IS_SIGNED) begin : gen_signed
      assign node[(INPUTS+i)*NODE_W+:NODE_W] = NODE_W'($signed(kept));
    end else begin : gen_unsigned
      assign node[(INPUTS+i)*NODE_W+:NODE_W] = NODE_W'(kept);
    end
  end

  for (genvar k = 0; k < OUTPUTS; k++) begin : gen_output
    localparam int FROM = (NODES - OUTPUTS + k) * NODE_W;
    if (GRAPH[(OPERATIONS-OUTPUTS+k)*OP_W+OP_W-2]) begin : gen_signed
      assign y[k*SUM_BITS+:SUM_BITS] = SUM_BITS'($signed(node[FROM+:NODE_W]));
    end else begin : gen_unsigned
      assign y[k*SUM_BITS+:SUM_BITS] = SUM_BITS'(node[FROM+:NODE_W]);
    end
  end

endmodule
