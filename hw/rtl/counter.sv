// SPDX-License-Identifier: Apache-2.0
//
// Counter of the turns of a loop.
//
//   value = number of steps modulo MODULUS;   is_last = value == MODULUS - 1
//
// Encoding   value unsigned
// Reference  none; the loops of the stages
// Latency    1 cycle from step to value
// II         1 cycle
// Stall      stands still while step is low
// Reset      rst goes to 0
//
// A carry chain costs more than its bits to join it to the fabric: short counters do without.
module counter #(
  parameter  int MODULUS = 10,                                // >= 1
  localparam int BITS    = MODULUS > 1 ? $clog2(MODULUS) : 1
) (
  /* verilator lint_off UNUSEDSIGNAL */ // a single turn needs none of them
  input  logic            clk,
  input  logic            rst,
  input  logic            step,
  /* verilator lint_on UNUSEDSIGNAL */
  output logic [BITS-1:0] value,
  output logic            is_last
);

  if (MODULUS < 1) begin : gen_check
    $error("counter: MODULUS=%0d must be >= 1 (%m)", MODULUS);
  end

  if (MODULUS == 1) begin : gen_constant
    assign value   = '0;
    assign is_last = 1'b1;
  end else begin : gen_counter
    localparam logic [BITS-1:0] LAST     = BITS'(MODULUS - 1);
    localparam bit              IS_POWER = MODULUS == 1 << BITS;  // wraps by itself
    localparam int              MOST_BITS_WITHOUT_CHAIN = 6;

    logic [BITS-1:0] after;

    // No value is beyond the last one, which is therefore known by its ones alone.
    assign is_last = (value & LAST) == LAST;

    if (BITS > MOST_BITS_WITHOUT_CHAIN) begin : gen_chain
      assign after = value + 1'b1;
    end else begin : gen_luts
      always_comb for (int i = 0; i < BITS; i++) after[i] = value[i] ^ &(value | ('1 << i));
    end

    always_ff @(posedge clk) begin
      if (rst || (step && is_last && !IS_POWER)) value <= '0;
      else if (step) value <= after;
    end
  end

endmodule
