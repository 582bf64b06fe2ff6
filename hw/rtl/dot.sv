// SPDX-License-Identifier: Apache-2.0
//
// Parts of the dot products of one vector with the weights of PE neurons, by the kernel of that name.
//
//   y[n] + plus[n] = sum over lanes i of the kernel's product of x[i] and w[n][i]
//
// With the kernel coded, a neuron has such a sum for each plane of its weights.
//
// Encoding   x, w and y see dot_<KERNEL>; neuron 0 and lane 0 low. Where there are OPERATIONS, they
//            are what the kernel makes of weights that never change, and w counts for nothing.
// Reference  popshift.hw.stages.kernels.KERNELS (bit-exact)
// Latency    CYCLES from w to y; w comes one cycle after its x. OPERATIONS: CYCLES + 1 from x to y
// II         1 cycle
// Stall      none
// Reset      none
//
// x comes first, so that a kernel computes once, in front of a register, what all neurons share. The
// sum is left in two parts, because an accumulator takes a single 1 as the carry that it begins with.
module dot #(
  parameter logic [47:0] KERNEL = 48'("xnor"),
  parameter int SIMD      = 8,   // lanes, >= 1
  parameter int PE        = 2,   // neurons, >= 1
  parameter int X_BITS    = 1,
  parameter int X_SIGNED  = 0,   // 0 or 1
  parameter int X_BIPOLAR = 1,   // 0 or 1
  parameter int W_BITS    = 1,   // of a weight
  parameter int W_FORM    = 0,   // which encoding of a weight
  parameter int W_LOW     = 0,   // least and greatest exponent of 2
  parameter int W_HIGH    = 0,
  parameter int SUM_BITS  = 4,
  parameter int CYCLES    = 1,   // Kernel.cycles in Python
  parameter int UNROLLED  = 0,   // 1: w is always WEIGHTS
  parameter logic [PE*SIMD*W_BITS-1:0] WEIGHTS = '0,
  parameter int OPERATIONS = 0,  // of an adder graph in place of the kernel, 0: none
  parameter int NODE_BITS  = 1,  // see adder_graph
  parameter int GRAPH_BITS = 1,
  parameter logic [GRAPH_BITS-1:0] GRAPH = '0,
  localparam int SUMS      = KERNEL == 48'("coded") ? PE * W_BITS : PE
) (
  input  logic                      clk,
  input  logic [SIMD*X_BITS-1:0]    x,
  input  logic [PE*SIMD*W_BITS-1:0] w,
  output logic [SUMS*SUM_BITS-1:0]  y,
  output logic [SUMS-1:0]           plus
);

  // A kernel is a branch here, dot_<name>.sv, and a class in Python.
  if (OPERATIONS > 0) begin : gen_graph
    adder_graph #(
      .INPUTS(SIMD), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR), .OUTPUTS(PE),
      .SUM_BITS(SUM_BITS), .OPERATIONS(OPERATIONS), .NODE_BITS(NODE_BITS), .GRAPH(GRAPH)
    ) kernel (.*);
    assign plus = '0;
  end else if (KERNEL == 48'("xnor")) begin : gen_xnor
    dot_xnor #(
      .SIMD(SIMD), .PE(PE), .SUM_BITS(SUM_BITS), .CYCLES(CYCLES), .UNROLLED(UNROLLED),
      .WEIGHTS(WEIGHTS)
    ) kernel (.*);
  end else if (KERNEL == "signed") begin : gen_signed
    dot_signed #(
      .SIMD(SIMD), .PE(PE), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR),
      .W_BITS(W_BITS), .W_FORM(W_FORM), .SUM_BITS(SUM_BITS), .CYCLES(CYCLES)
    ) kernel (.*);
  end else if (KERNEL == 48'("shift")) begin : gen_shift
    dot_shift #(
      .SIMD(SIMD), .PE(PE), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR),
      .W_BITS(W_BITS), .W_FORM(W_FORM), .W_LOW(W_LOW), .W_HIGH(W_HIGH), .SUM_BITS(SUM_BITS),
      .CYCLES(CYCLES)
    ) kernel (.*);
  end else if (KERNEL == "planes") begin : gen_planes
    dot_planes #(
      .SIMD(SIMD), .PE(PE), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR),
      .W_BITS(W_BITS), .W_FORM(W_FORM), .SUM_BITS(SUM_BITS), .CYCLES(CYCLES)
    ) kernel (.*);
  end else if (KERNEL == 48'("adder")) begin : gen_adder
    dot_adder #(
      .SIMD(SIMD), .PE(PE), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR),
      .W_BITS(W_BITS), .W_FORM(W_FORM), .SUM_BITS(SUM_BITS), .CYCLES(CYCLES)
    ) kernel (.*);
  end else if (KERNEL == 48'("coded")) begin : gen_coded
    dot_coded #(
      .SIMD(SIMD), .PE(PE), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .X_BIPOLAR(X_BIPOLAR),
      .W_BITS(W_BITS), .W_FORM(W_FORM), .SUM_BITS(SUM_BITS), .CYCLES(CYCLES)
    ) kernel (.*);
  end else begin : gen_unknown
    $error("dot: KERNEL=%s is unknown (%m)", KERNEL);
  end

endmodule
