// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the AMD 7-series LUT6_2: one table of 64 bits, or two of 32.
//
//   O6 = INIT[{I5, .. I0}];   O5 = INIT[{I4, .. I0}]
//
// Encoding   I0 is the low bit of the address
// Reference  AMD UG953, Vivado libraries guide
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module LUT6_2 #(
  parameter logic [63:0] INIT = '0
) (
  input  logic I0,
  input  logic I1,
  input  logic I2,
  input  logic I3,
  input  logic I4,
  input  logic I5,
  output logic O6,
  output logic O5
);

  assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];
  assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];

endmodule
