// SPDX-License-Identifier: Apache-2.0
//
// Reset for CYCLES clock cycles after the FPGA has been configured or a button was released.
//
//   rst = 1 until CYCLES clock edges have passed with the button up
//
// Reference  none: it has no data
// Latency    3 cycles from the button to rst
// II         none
// Stall      none
// Reset      the initial value 0 of every flip-flop, which the bitstream holds. A shift register,
//            not a counter: flip-flops that start one cycle apart cannot bring it out of order.
module power_on_reset #(
  parameter int unsigned CYCLES = 16  // cycles, 2 or more
) (
  input  logic clk,

  // Asynchronous to clk, 1 while pressed
  input  logic button,

  output logic rst
);

  if (CYCLES < 2) begin : gen_check
    $error("power_on_reset: CYCLES must be at least 2, got %0d (instance %m)", CYCLES);
  end

  logic [1:0]        synchronizer;
  logic [CYCLES-1:0] released;

  initial begin
    synchronizer = '0;
    released     = '0;
  end

  assign rst = !released[CYCLES-1];

  always_ff @(posedge clk) begin
    synchronizer <= {synchronizer[0], button};
    released     <= synchronizer[1] ? '0 : {released[CYCLES-2:0], 1'b1};
  end

endmodule
