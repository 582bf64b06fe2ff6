// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the AMD 7-series CARRY4: four positions of a carry chain.
//
//   c[0] = CI | CYINIT;   O[i] = S[i] ^ c[i];   CO[i] = c[i+1] = S[i] ? c[i] : DI[i]
//
// Encoding   position 0 is the lowest; one of CI and CYINIT is 0
// Reference  AMD UG953, Vivado libraries guide
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module CARRY4 (
  input  logic       CI,
  input  logic       CYINIT,
  input  logic [3:0] S,
  input  logic [3:0] DI,
  output logic [3:0] O,
  output logic [3:0] CO
);

  always_comb begin
    automatic logic carry = CI | CYINIT;
    for (int i = 0; i < 4; i++) begin
      O[i]  = S[i] ^ carry;
      carry = S[i] ? carry : DI[i];
      CO[i] = carry;
    end
  end

endmodule
