"""Estimated FPGA resources of a stage, in the units of Lattice ECP5."""

from __future__ import annotations

import math
from dataclasses import dataclass

BRAM_BITS = 16 * 1024  # one DP16KD
BRAM_MAX_WIDTH = 36
LUT_RAM_DEPTH = (
    16  # one TRELLIS_DPR16X4: 16 words of 4 bits in 4 LUTs and 2 more for the write port
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Resources: 4-input LUTs, flip-flops, 16-kbit block RAMs. There are never DSP blocks."""

    lut: int = 0
    ff: int = 0
    bram: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(lut=self.lut + other.lut, ff=self.ff + other.ff, bram=self.bram + other.bram)


def memory(words: int, width_bits: int) -> Cost:
    """Return the cost of a read-only memory with a registered output."""
    if words * width_bits == 0:
        return Cost()
    if words <= LUT_RAM_DEPTH:
        return Cost(lut=width_bits if words > 1 else 0, ff=width_bits)
    columns = math.ceil(width_bits / BRAM_MAX_WIDTH)
    rows = math.ceil(words / (BRAM_BITS // 32))
    return Cost(bram=min(columns * rows, math.ceil(words * width_bits / BRAM_BITS) + columns))


def lut_ram(words: int, width_bits: int) -> Cost:
    """Return the cost of a small read-write memory with an asynchronous read."""
    blocks = math.ceil(words / LUT_RAM_DEPTH) * math.ceil(width_bits / 4)
    multiplexer = width_bits * (math.ceil(words / LUT_RAM_DEPTH) - 1)
    return Cost(lut=6 * blocks + multiplexer)


def is_block_ram(words: int, width_bits: int) -> bool:
    """Return whether a read-write memory with a registered read belongs into block RAM."""
    return words > 2 * LUT_RAM_DEPTH and words * width_bits > BRAM_BITS // 16


def ram(words: int, width_bits: int) -> Cost:
    """Return the cost of a read-write memory with a registered read."""
    if not is_block_ram(words, width_bits):
        return lut_ram(words, width_bits) + register(width_bits)
    # Shapes of a DP16KD with one port of each kind; words beyond 512 are 18, 9, 4, 2, 1 bits wide.
    width, depth = BRAM_MAX_WIDTH, BRAM_BITS // 32
    blocks = math.inf
    while width >= 1:
        blocks = min(blocks, math.ceil(width_bits / width) * math.ceil(words / depth))
        width, depth = width // 2, depth * 2
    return Cost(bram=int(blocks))


def popcount(bits: int) -> Cost:
    """Return the cost of a tree of full adders that counts ``bits`` ones: two LUTs each."""
    if bits < 2:
        return Cost()
    full_adders = bits - bits.bit_count()
    return Cost(lut=2 * full_adders + bits // 2)


def adder(width_bits: int) -> Cost:
    """Return the cost of a carry-chain adder or comparator."""
    return Cost(lut=width_bits + 2)


def register(width_bits: int) -> Cost:
    """Return the cost of a register."""
    return Cost(ff=width_bits)
