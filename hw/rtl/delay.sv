// SPDX-License-Identifier: Apache-2.0
//
// Registers one behind the other.
//
//   y(t + CYCLES) = x(t)
//
// Encoding   none, WIDTH opaque bits
// Reference  none; part of matvec and depthwise
// Latency    CYCLES
// II         1 cycle
// Stall      none
// Reset      none
module delay #(
  parameter int WIDTH  = 8,  // bits, >= 1
  parameter int CYCLES = 1   // registers, >= 0
) (
  /* verilator lint_off UNUSEDSIGNAL */ // without a register there is no clock
  input  logic             clk,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [WIDTH-1:0] x,
  output logic [WIDTH-1:0] y
);

  if (CYCLES == 0) begin : gen_wire
    assign y = x;
  end else begin : gen_registers
    logic [CYCLES*WIDTH-1:0] line;  // the youngest in the low bits
    assign y = line[(CYCLES-1)*WIDTH+:WIDTH];
    always_ff @(posedge clk) line <= (CYCLES*WIDTH)'({line, x});
  end

endmodule
