// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the ECP5 block RAM DP16KD, whose cell library entry is an empty box.
//
//   memory of 512 words of 36 bits; a port of width W reads and writes W bits of a word
//
// Address: bit 13..5 word; below it the 18-bit half (bit 4), the 9-bit quarter (bit 3) and the
// bits of a quarter (bit 2..0), as far as W leaves them. At W = 18 and 36 the low address bits are
// byte enables. W = 36 joins both ports: A writes and B reads, A holds the low 18 bits.
// INITVAL_xx holds 16 half words of 18 bits, 20 bits apart.
//
// Stricter than silicon: a read of a word that the other port writes in the same cycle returns the
// complement of the stored bits, because the vendor leaves it undefined.
//
// Reference  Lattice FPGA-TN-02204, ECP5 and ECP5-5G Memory User Guide
// Latency    1 cycle; 2 with an output register (REGMODE = "OUTREG"), which is refused here
// II         1 cycle
// Stall      CEA / CEB low holds the output
// Reset      RSTA / RSTB clear the output, not the memory
// The netlist sets parameters and connects pins that have no effect on a memory of one clock.
// verilator lint_off UNUSEDPARAM
// verilator lint_off UNUSEDSIGNAL
module DP16KD #(
  parameter int unsigned DATA_WIDTH_A = 18,  // bits, 1, 2, 4, 9, 18 or 36
  parameter int unsigned DATA_WIDTH_B = 18,  // bits, 1, 2, 4, 9, 18 or 36
  parameter string REGMODE_A = "NOREG",
  parameter string REGMODE_B = "NOREG",
  parameter string RESETMODE = "SYNC",
  parameter string ASYNC_RESET_RELEASE = "SYNC",
  parameter string CSDECODE_A = "0b000",
  parameter string CSDECODE_B = "0b000",
  parameter string WRITEMODE_A = "NORMAL",
  parameter string WRITEMODE_B = "NORMAL",
  parameter string CLKAMUX = "CLKA",
  parameter string CLKBMUX = "CLKB",
  parameter string GSR = "ENABLED",
  parameter bit [319:0] INITVAL_00 = '0,
  parameter bit [319:0] INITVAL_01 = '0,
  parameter bit [319:0] INITVAL_02 = '0,
  parameter bit [319:0] INITVAL_03 = '0,
  parameter bit [319:0] INITVAL_04 = '0,
  parameter bit [319:0] INITVAL_05 = '0,
  parameter bit [319:0] INITVAL_06 = '0,
  parameter bit [319:0] INITVAL_07 = '0,
  parameter bit [319:0] INITVAL_08 = '0,
  parameter bit [319:0] INITVAL_09 = '0,
  parameter bit [319:0] INITVAL_0A = '0,
  parameter bit [319:0] INITVAL_0B = '0,
  parameter bit [319:0] INITVAL_0C = '0,
  parameter bit [319:0] INITVAL_0D = '0,
  parameter bit [319:0] INITVAL_0E = '0,
  parameter bit [319:0] INITVAL_0F = '0,
  parameter bit [319:0] INITVAL_10 = '0,
  parameter bit [319:0] INITVAL_11 = '0,
  parameter bit [319:0] INITVAL_12 = '0,
  parameter bit [319:0] INITVAL_13 = '0,
  parameter bit [319:0] INITVAL_14 = '0,
  parameter bit [319:0] INITVAL_15 = '0,
  parameter bit [319:0] INITVAL_16 = '0,
  parameter bit [319:0] INITVAL_17 = '0,
  parameter bit [319:0] INITVAL_18 = '0,
  parameter bit [319:0] INITVAL_19 = '0,
  parameter bit [319:0] INITVAL_1A = '0,
  parameter bit [319:0] INITVAL_1B = '0,
  parameter bit [319:0] INITVAL_1C = '0,
  parameter bit [319:0] INITVAL_1D = '0,
  parameter bit [319:0] INITVAL_1E = '0,
  parameter bit [319:0] INITVAL_1F = '0,
  parameter bit [319:0] INITVAL_20 = '0,
  parameter bit [319:0] INITVAL_21 = '0,
  parameter bit [319:0] INITVAL_22 = '0,
  parameter bit [319:0] INITVAL_23 = '0,
  parameter bit [319:0] INITVAL_24 = '0,
  parameter bit [319:0] INITVAL_25 = '0,
  parameter bit [319:0] INITVAL_26 = '0,
  parameter bit [319:0] INITVAL_27 = '0,
  parameter bit [319:0] INITVAL_28 = '0,
  parameter bit [319:0] INITVAL_29 = '0,
  parameter bit [319:0] INITVAL_2A = '0,
  parameter bit [319:0] INITVAL_2B = '0,
  parameter bit [319:0] INITVAL_2C = '0,
  parameter bit [319:0] INITVAL_2D = '0,
  parameter bit [319:0] INITVAL_2E = '0,
  parameter bit [319:0] INITVAL_2F = '0,
  parameter bit [319:0] INITVAL_30 = '0,
  parameter bit [319:0] INITVAL_31 = '0,
  parameter bit [319:0] INITVAL_32 = '0,
  parameter bit [319:0] INITVAL_33 = '0,
  parameter bit [319:0] INITVAL_34 = '0,
  parameter bit [319:0] INITVAL_35 = '0,
  parameter bit [319:0] INITVAL_36 = '0,
  parameter bit [319:0] INITVAL_37 = '0,
  parameter bit [319:0] INITVAL_38 = '0,
  parameter bit [319:0] INITVAL_39 = '0,
  parameter bit [319:0] INITVAL_3A = '0,
  parameter bit [319:0] INITVAL_3B = '0,
  parameter bit [319:0] INITVAL_3C = '0,
  parameter bit [319:0] INITVAL_3D = '0,
  parameter bit [319:0] INITVAL_3E = '0,
  parameter bit [319:0] INITVAL_3F = '0
) (
  input  logic    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
                  DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
  input  logic    ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5,
                  ADA4, ADA3, ADA2, ADA1, ADA0,
  input  logic    CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output logic    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
                  DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
  input  logic    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
                  DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
  input  logic    ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5,
                  ADB4, ADB3, ADB2, ADB1, ADB0,
  input  logic    CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output logic    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
                  DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);

  if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB" ||
      CSDECODE_A != "0b000" || CSDECODE_B != "0b000") begin : gen_check
    $error("DP16KD: output registers, inverted clocks and chip selects are not modelled (%m)");
  end

  // Position of the lowest addressed bit in its word.
  function automatic logic [5:0] offset(int unsigned width, logic [4:0] address);
    logic [5:0] half;
    logic [5:0] quarter;
    half    = address[4] ? 6'd18 : 6'd0;
    quarter = half + (address[3] ? 6'd9 : 6'd0);
    case (width)
      32'd36:  offset = 6'd0;
      32'd18:  offset = half;
      32'd9:   offset = quarter;
      32'd4:   offset = quarter + {3'd0, address[2], 2'd0};
      32'd2:   offset = quarter + {3'd0, address[2:1], 1'b0};
      default: offset = quarter + {3'd0, address[2:0]};
    endcase
  endfunction

  // Ones where a write of the given width, at the given address, changes a word.
  function automatic logic [35:0] write_mask(int unsigned width, logic [4:0] address);
    case (width)
      32'd36:  write_mask = {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}};
      32'd18:  write_mask = {18'd0, {9{address[1]}}, {9{address[0]}}} << offset(width, address);
      default: write_mask = ((36'd1 << width) - 36'd1) << offset(width, address);
    endcase
  endfunction

  logic [35:0] memory [512];

  initial begin
    automatic logic [64*320-1:0] contents = {
    INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
    INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
    INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
    INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
    INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
    INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
    INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
    INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
    };
    for (int unsigned word = 0; word < 512; word++)
      memory[word] = {contents[40*word+20 +: 18], contents[40*word +: 18]};
  end

  logic [13:0] address_a;
  logic [13:0] address_b;
  logic [35:0] data_a;
  logic [35:0] data_b;
  logic [35:0] mask_a;
  logic [35:0] mask_b;
  logic [35:0] word_a;
  logic [35:0] word_b;
  logic [35:0] read_a;
  logic [35:0] read_b;
  logic        clk;

  // Designs here have one clock; an unused port has its clock tied to 0.
  assign clk = CLKA | CLKB;

  assign address_a = {
    ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7,
    ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  assign address_b = {
    ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7,
    ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  assign data_b    = {18'd0,
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
    DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  assign data_a    = {DATA_WIDTH_A == 36 ? data_b[17:0] : 18'd0,
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
    DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};

  assign mask_a = CEA && WEA && !RSTA ? write_mask(DATA_WIDTH_A, address_a[4:0]) : '0;
  assign mask_b = CEB && WEB && !RSTB ? write_mask(DATA_WIDTH_B, address_b[4:0]) : '0;

  // What the words hold for a reader in this cycle.
  assign word_a = memory[address_a[13:5]] ^ (address_a[13:5] == address_b[13:5] ? mask_b : '0);
  assign word_b = memory[address_b[13:5]] ^ (address_a[13:5] == address_b[13:5] ? mask_a : '0);

  logic [35:0] spread_a;
  logic [35:0] spread_b;
  assign spread_a = data_a << offset(DATA_WIDTH_A, address_a[4:0]);
  assign spread_b = data_b << offset(DATA_WIDTH_B, address_b[4:0]);

  always_ff @(posedge clk) begin
    for (int i = 0; i < 36; i++) begin
      if (mask_a[i]) memory[address_a[13:5]][i] <= spread_a[i];
      if (mask_b[i]) memory[address_b[13:5]][i] <= spread_b[i];
    end
  end

  // A write shows in READBEFOREWRITE the old bits, in WRITETHROUGH the new, in NORMAL nothing.
  logic [35:0] next_a;
  logic [35:0] next_b;
  logic        load_a;
  logic        load_b;
  assign next_a = WRITEMODE_A == "WRITETHROUGH" ? (word_a & ~mask_a) | (spread_a & mask_a) : word_a;
  assign next_b = WRITEMODE_B == "WRITETHROUGH" ? (word_b & ~mask_b) | (spread_b & mask_b) : word_b;
  assign load_a = CEA && (!WEA || WRITEMODE_A != "NORMAL");
  assign load_b = CEB && (!WEB || WRITEMODE_B != "NORMAL");

  always_ff @(posedge clk) begin
    if (RSTA)        read_a <= '0;
    else if (load_a) read_a <= next_a >> offset(DATA_WIDTH_A, address_a[4:0]);

    if (RSTB)        read_b <= '0;
    else if (load_b) read_b <= next_b >> offset(DATA_WIDTH_B, address_b[4:0]);
  end

  assign {
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
    DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} =
    DATA_WIDTH_B == 36 ? read_b[17:0] : read_a[17:0];
  assign {
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
    DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} =
    DATA_WIDTH_B == 36 ? read_b[35:18] : read_b[17:0];

endmodule
