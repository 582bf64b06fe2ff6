// SPDX-License-Identifier: Apache-2.0
//
// Sums of the planes of PE neurons, each weighed by its plane scale.
//
//   y[n] = (sum over planes p of scale[n][p] * d[n][p]) / 2^HALVED
//
// Encoding   d and y two's complement; scales from their lowest digit on, STAGES x STEPS digits.
//            digits, in step t of a sum: bit (s*PE + n)*PLANES + p is digit s*STEPS + t of scale
//            [n][p]. UNROLLED = 1: digits are the constants ADDED - SUBTRACTED, in the same order
//            with STEPS = 1. Neuron 0 and plane 0 low
// Reference  popshift.hw.stages.scaled_planes.ScaledPlanes (bit-exact, cycle-exact)
// Latency    STAGES * STEPS cycles from start to done and y
// II         STEPS cycles from start to start
// Stall      none
// Reset      rst clears the pulses from start to done; data is not reset
//
// A stage takes a digit of all scales a cycle, the lowest first: it adds the sums whose digit is 1,
// and the low bit of the total is one of the result. Another stage takes the digits that are left
// when the next sums may come.
module scaled_planes #(
  parameter  int PE       = 2,   // neurons, >= 1
  parameter  int PLANES   = 2,   // of a neuron, >= 1
  parameter  int BITS     = 8,   // of a sum of a plane
  parameter  int STAGES   = 1,   // >= 1
  parameter  int STEPS    = 4,   // digits of a stage, >= 1
  parameter  int HALVED   = 0,   // 0 or 1
  parameter  int OUT_BITS = 12,
  parameter  int UNROLLED = 0,   // 0 or 1
  localparam int WORD_W   = STAGES * PE * PLANES,
  parameter  logic [WORD_W-1:0] ADDED      = '0,
  parameter  logic [WORD_W-1:0] SUBTRACTED = '0
) (
  input  logic                      clk,
  input  logic                      rst,

  // d stays for STEPS cycles from start on
  input  logic                      start,
  input  logic [PE*PLANES*BITS-1:0] d,
  /* verilator lint_off UNUSEDSIGNAL */ // constants instead
  input  logic [WORD_W-1:0]         digits,
  /* verilator lint_on UNUSEDSIGNAL */

  output logic                      done,
  output logic [PE*OUT_BITS-1:0]    y
);

  if (UNROLLED != 0 && STEPS != 1) begin : gen_check
    $error("scaled_planes: UNROLLED=1 takes STEPS=1, not %0d (%m)", STEPS);
  end

  localparam int CYCLES  = STAGES * STEPS;
  localparam int TOTAL_W = BITS + $clog2(PLANES);  // half of a total and of the sums that it takes
  localparam int SUM_W   = TOTAL_W + 1;
  localparam int SUMS_W  = PE * PLANES * BITS;

  logic [CYCLES:0] pulse;  // start, and done
  assign pulse[0] = start;
  assign done     = pulse[CYCLES];
  always_ff @(posedge clk) begin
    if (rst) pulse[CYCLES:1] <= '0;
    else pulse[CYCLES:1] <= pulse[CYCLES-1:0];
  end

  for (genvar s = 0; s < STAGES; s++) begin : gen_stage
    localparam int BELOW = s * STEPS;  // digits of the stages before
    logic                 is_last;
    logic [PE*PLANES-1:0] digit;
    logic [SUMS_W-1:0]    sums;

    assign is_last = pulse[BELOW+STEPS-1];

    delay #(.WIDTH(PE * PLANES), .CYCLES(BELOW)) late (
      .clk, .x(digits[s*PE*PLANES+:PE*PLANES]), .y(digit)
    );

    if (s == 0) begin : gen_given
      assign sums = d;
    end else begin : gen_kept
      always_ff @(posedge clk) if (gen_stage[s-1].is_last) sums <= gen_stage[s-1].sums;
    end

    for (genvar n = 0; n < PE; n++) begin : gen_neuron
      localparam int KEPT_W = BELOW + STEPS;
      logic signed [TOTAL_W-1:0]       from;
      logic signed [SUM_W-1:0]         sum[PLANES+1];
      logic        [KEPT_W-1:0]        low;     // all bits so far, that of this cycle high
      logic        [TOTAL_W+KEPT_W-1:0] result;

      if (s == 0 && STEPS == 1) begin : gen_from_zero
        assign from = '0;
      end else if (s == 0) begin : gen_cleared
        logic signed [TOTAL_W-1:0] total;
        // It is 0 in the cycles between sums.
        always_ff @(posedge clk) begin
          if (pulse[BELOW+:STEPS-1] == '0) total <= '0;
          else total <= TOTAL_W'(sum[PLANES] >>> 1);
        end
        assign from = total;
      end else if (STEPS == 1) begin : gen_from_stage
        assign from = gen_stage[s-1].gen_neuron[n].result[TOTAL_W+BELOW-1:BELOW];
      end else begin : gen_loaded
        logic signed [TOTAL_W-1:0] total;
        always_ff @(posedge clk) total <= TOTAL_W'(sum[PLANES] >>> 1);
        assign from = pulse[BELOW] ? gen_stage[s-1].gen_neuron[n].result[TOTAL_W+BELOW-1:BELOW] :
                                     total;
      end

      assign sum[0] = SUM_W'(from);
      for (genvar p = 0; p < PLANES; p++) begin : gen_plane
        localparam int AT = n * PLANES + p;
        logic signed [SUM_W-1:0] plane;
        assign plane = SUM_W'($signed(sums[AT*BITS+:BITS]));
        if (UNROLLED == 0) begin : gen_digit
          assign sum[p+1] = sum[p] + (plane & {SUM_W{digit[AT]}});
        end else if (ADDED[s*PE*PLANES+AT]) begin : gen_added
          assign sum[p+1] = sum[p] + plane;
        end else if (SUBTRACTED[s*PE*PLANES+AT]) begin : gen_subtracted
          assign sum[p+1] = sum[p] - plane;
        end else begin : gen_skipped
          assign sum[p+1] = sum[p];
        end
      end

      if (STEPS > 1) begin : gen_low
        logic [STEPS-2:0] own;
        always_ff @(posedge clk) own <= (STEPS-1)'({sum[PLANES][0], own} >> 1);
        assign low[KEPT_W-1:BELOW] = {sum[PLANES][0], own};
      end else begin : gen_bit
        assign low[BELOW] = sum[PLANES][0];
      end
      if (s > 0) begin : gen_lower
        assign low[BELOW-1:0] = gen_stage[s-1].gen_neuron[n].result[BELOW-1:0];
      end

      always_ff @(posedge clk) if (is_last) result <= {TOTAL_W'(sum[PLANES] >>> 1), low};
    end
  end

  for (genvar n = 0; n < PE; n++) begin : gen_result
    logic signed [TOTAL_W+CYCLES-1:0] whole;
    assign whole = gen_stage[STAGES-1].gen_neuron[n].result;
    assign y[n*OUT_BITS+:OUT_BITS] = OUT_BITS'(whole >>> HALVED);
  end

endmodule
