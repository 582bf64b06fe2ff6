// SPDX-License-Identifier: Apache-2.0
//
// Bits of one weight to a single one, by full adders; what they carry has twice the weight.
//
//   sum + 2 * (number of ones of carries) = number of ones of a
//
// Encoding   bits of a and carries in the order in which they come, the earliest low
// Reference  integer sum
// Latency    0, combinational
// II         1 cycle
// Stall      none
// Reset      none
module column #(
  parameter  int N       = 8,                  // bits, >= 1
  localparam int CARRIES = N > 1 ? N / 2 : 1   // of N = 1 the one is 0
) (
  input  logic [N-1:0]       a,
  output logic               sum,
  output logic [CARRIES-1:0] carries
);

  if (N == 1) begin : gen_one
    assign sum     = a[0];
    assign carries = '0;
  end else if (N == 2) begin : gen_half_adder
    assign sum     = a[0] ^ a[1];
    assign carries = a[0] & a[1];
  end else begin : gen_full_adders
    localparam int ADDERS = N / 3;
    localparam int REST   = N - 2 * ADDERS;

    logic [ADDERS-1:0] first, second, third, carried, sums;
    logic [REST-1:0]   rest;

    assign {third, second, first} = a[3*ADDERS-1:0];
    assign sums    = first ^ second ^ third;
    assign carried = (first & second) | (third & (first | second));

    if (REST > ADDERS) begin : gen_left
      assign rest = {sums, a[N-1:3*ADDERS]};
    end else begin : gen_none_left
      assign rest = sums;
    end

    if (REST > 1) begin : gen_more
      logic [REST/2-1:0] later;
      column #(.N(REST)) sums_column (.a(rest), .sum, .carries(later));
      assign carries = {later, carried};
    end else begin : gen_last
      assign sum     = rest;
      assign carries = carried;
    end
  end

endmodule
