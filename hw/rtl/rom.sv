// SPDX-License-Identifier: Apache-2.0
//
// Read-only memory, side by side in slices of its words.
//
//   y(t + 2) = word at(t)
//
// Encoding   none, WIDTH opaque bits. Slice s is bits s*SLICE to (s+1)*SLICE-1; its words are in
//            FILE_<s, three digits>.hex, or in FILE.hex if it is the only one.
// Reference  popshift.hw.module.MemoryImage
// Latency    2 cycles: the memory and the register behind it, without which block RAM is slow
// II         1 cycle
// Stall      none
// Reset      none
//
// Synthesis makes deep memories of the widest blocks and selects among many of them. A slice that is
// as narrow as a block that holds all words, or most, needs no selection, or little.
module rom #(
  parameter  int WIDTH    = 8,
  parameter  int WORDS    = 16,
  parameter  int SLICE    = WIDTH,                          // bits of a slice
  /* verilator lint_off UNUSEDPARAM */ // it reads no attributes
  parameter  int IS_BLOCK = 0,                              // 1: block RAM, 0: as synthesis likes
  /* verilator lint_on UNUSEDPARAM */
  parameter      FILE     = "words",
  localparam int AT_W     = WORDS > 1 ? $clog2(WORDS) : 1
) (
  input  logic             clk,
  input  logic [AT_W-1:0]  at,
  output logic [WIDTH-1:0] y
);

  localparam int SLICES = (WIDTH + SLICE - 1) / SLICE;

  if (SLICE < 1 || SLICES > 1000) begin : gen_check
    $error("rom: WIDTH=%0d has no 1 to 1000 slices of SLICE=%0d (%m)", WIDTH, SLICE);
  end

  for (genvar s = 0; s < SLICES; s++) begin : gen_slice
    localparam int BITS = s < SLICES - 1 ? SLICE : WIDTH - (SLICES - 1) * SLICE;

    (* rom_style = IS_BLOCK != 0 ? "block" : "auto" *)
    logic [BITS-1:0] slice[WORDS];
    logic [BITS-1:0] read;

    if (SLICES == 1) begin : gen_whole
      initial $readmemh({FILE, ".hex"}, slice);
    end else begin : gen_part
      localparam logic [23:0] DIGITS = {8'("0" + s / 100), 8'("0" + s / 10 % 10), 8'("0" + s % 10)};
      initial $readmemh({FILE, "_", DIGITS, ".hex"}, slice);
    end

    always_ff @(posedge clk) begin
      read             <= slice[at];
      y[s*SLICE+:BITS] <= read;
    end
  end

endmodule
