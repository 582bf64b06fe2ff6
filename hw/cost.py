"""Estimated FPGA resources of a stage, in the units of Lattice ECP5.

The formulas follow what ``synth_ecp5 -nowidelut`` makes of the modules, counted as nextpnr counts:

- Arithmetic of up to four bits becomes LUTs. Longer arithmetic becomes a carry chain: two LUTs for
  each pair of bits, and a pair to join it to the fabric before it, and one after it where something
  reads its carry.
- A full adder takes two LUTs, a multiplexer of four inputs two.
- 64 bits of distributed memory (16 words of 4) take four LUTs and two more for the write port.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

# Widths of a DP16KD and the words that it then holds.
_BLOCK_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
LUT_RAM_DEPTH = 16  # words of a TRELLIS_DPR16X4, which are 4 bits wide
CHAIN_MIN_BITS = 5
COUNTER_BITS = 6  # a counter of no more has no carry chain

# A memory moves to block RAM when that saves this many LUTs a block. The devices have about 400
# LUTs for each block RAM, but most designs run out of LUTs first.
LUTS_PER_BRAM = 96


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Resources: 4-input LUTs, flip-flops, 16-kbit block RAMs. There are never DSP blocks."""

    lut: int = 0
    ff: int = 0
    bram: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(lut=self.lut + other.lut, ff=self.ff + other.ff, bram=self.bram + other.bram)

    def times(self, count: int) -> Cost:
        """Return the cost of ``count`` of these."""
        return Cost(lut=count * self.lut, ff=count * self.ff, bram=count * self.bram)


def register(width_bits: int) -> Cost:
    """Return the cost of a register."""
    return Cost(ff=width_bits)


def adder(width_bits: int) -> Cost:
    """Return the cost of an adder or subtractor."""
    if width_bits < CHAIN_MIN_BITS:
        return Cost(lut=max(width_bits, 2 * width_bits - 2))
    return Cost(lut=2 * math.ceil(width_bits / 2) + 2)


def carried_sum(width_bits: int) -> Cost:
    """Return the cost of ``carried_sum.sv``: an adder of one bit more."""
    return adder(width_bits + 1)


def constants(values: Sequence[int], width_bits: int) -> Cost:
    """Return the cost of choosing one of up to seven constants, or 0: a LUT for each unlike bit."""
    columns = {tuple(value >> bit & 1 for value in values) for bit in range(width_bits)}
    return Cost(lut=sum(any(column) for column in columns))


def comparator(width_bits: int) -> Cost:
    """Return the cost of ``a >= b`` of integers of ``width_bits``, one LUT to use the result."""
    if width_bits <= 2:
        return Cost(lut=1)  # which uses it as well
    if width_bits < CHAIN_MIN_BITS:
        return Cost(lut=width_bits)
    # The last bit, or the sign, is compared in the LUT after the chain. The carry that it reads is
    # the spare sum of the last pair, or needs a pair more.
    bits = width_bits - 1 if width_bits > CHAIN_MIN_BITS else width_bits
    return adder(bits) + Cost(lut=1 if bits % 2 else 3)


def is_equal(width_bits: int) -> Cost:
    """Return the cost of comparing ``width_bits`` with a constant: a tree of LUTs."""
    return Cost(lut=math.ceil((width_bits - 1) / 3))


def counter(modulus: int) -> Cost:
    """Return the cost of ``counter.sv``: up to six bits without a carry chain."""
    if modulus < 2:
        return Cost()
    bits = (modulus - 1).bit_length()
    last = math.ceil(((modulus - 1).bit_count() - 1) / 3)
    increment = bits + max(0, bits - 4) if bits <= COUNTER_BITS else adder(bits).lut
    reset = 0 if modulus == 1 << bits else 1
    return Cost(lut=last + increment + reset, ff=bits)


def up_down_counter(most: int) -> Cost:
    """Return the cost of a counter from 0 to ``most``, the test for 0, and whether it moves."""
    bits = most.bit_length()
    step = Cost(lut=bits if bits < CHAIN_MIN_BITS else adder(bits).lut, ff=bits)
    return step + is_equal(bits) + Cost(lut=1)


def multiplexer(inputs: int, width_bits: int) -> Cost:
    """Return the cost of selecting one of ``inputs``: two LUTs and a bit replace four by one."""
    return Cost(lut=width_bits * math.ceil(2 * (inputs - 1) / 3))


def full_adders(terms: int, width_bits: int) -> Cost:
    """Return the cost of adding ``terms`` integers into two: a row of full adders for each more."""
    return Cost(lut=2 * width_bits * max(0, terms - 2))


def compressor(ones: int, twos: int, fours: int, sum_bits: int, cuts: int) -> Cost:
    """Return the cost of ``compressor.sv``: adders of two LUTs, registers at its cuts."""
    if cuts % 2:
        held = register(ones + twos + fours)
        return held + compressor(ones, twos, fours, sum_bits, cuts - 1)
    if sum_bits == 1:
        return Cost(lut=math.ceil((ones - 1) / 3))
    adders = ones // 2  # the last one is a half adder where ``ones`` is even
    total = Cost(lut=2 * adders) + register(cuts.bit_count())
    return total + compressor(adders + twos, fours, 0, sum_bits - 1, cuts // 2)


def rom_luts(words: int, width_bits: int) -> int:
    """Return the LUTs of a read-only memory without block RAM.

    A LUT holds 16 words of a bit; each 16 words more take a LUT and 1.5 to select among them.
    """
    if words < 2:
        return 0
    if words <= LUT_RAM_DEPTH:
        return width_bits
    return math.ceil(width_bits * (2.5 * words / LUT_RAM_DEPTH - 1))


def distinct_bits(words: int, width_bits: int) -> int:
    """Return how many bits of a read-only memory differ from all others in some word.

    Equal columns are stored once, constant ones not at all. Of ``w`` random columns of n words,
    ``(2^n - 2) (1 - (1 - 2^-n)^w)`` are neither.
    """
    if words > 30:
        return width_bits
    columns = 1 << words
    return round((columns - 2) * -math.expm1(width_bits * math.log1p(-1 / columns)))


def is_block_rom(words: int, width_bits: int) -> bool:
    """Return whether a read-only memory with a registered output belongs into block RAM."""
    block = _block_rom(words, width_bits)
    saved = rom_luts(words, width_bits) - block.lut
    return words > LUT_RAM_DEPTH and saved >= LUTS_PER_BRAM * block.bram


def rom_slice(words: int, width_bits: int) -> int:
    """Return the bits of a slice of a read-only memory, see ``rom.sv``.

    In block RAM they are those of a block, see :func:`_rom_shape`.
    """
    widest = _BLOCK_SHAPES[0][1]
    if words <= widest or not is_block_rom(words, width_bits):
        return width_bits
    return min(width_bits, _rom_shape(words, width_bits)[2])


def _rom_shape(words: int, width_bits: int) -> tuple[int, int, int]:
    """Return the rows and the number of blocks of a read-only memory, and the width of a block.

    The fewest rows come first, because what selects among them stands behind the slowest element.
    """
    shapes = []
    for width, depth in _BLOCK_SHAPES:
        rows = math.ceil(words / depth)
        shapes.append((rows, math.ceil(width_bits / width) * rows, width))
    return min(shapes)


def _block_rom(words: int, width_bits: int) -> Cost:
    """Return the cost of a read-only memory in block RAM."""
    rows, blocks, _ = _rom_shape(words, width_bits)
    return Cost(lut=multiplexer(rows, width_bits).lut, ff=(rows - 1).bit_length(), bram=blocks)


def memory(words: int, width_bits: int) -> Cost:
    """Return the cost of a read-only memory with a registered output."""
    if is_block_rom(words, width_bits):
        return _block_rom(words, width_bits)
    return rom(words, width_bits)


def rom(words: int, width_bits: int) -> Cost:
    """Return the cost of a read-only memory with a registered output in LUTs."""
    if words < 2:
        return Cost()
    stored = distinct_bits(words, width_bits)
    return Cost(lut=rom_luts(words, stored), ff=stored)


def lut_ram(words: int, width_bits: int) -> Cost:
    """Return the cost of a small read-write memory with an asynchronous read.

    Yosys leaves what is not worth a distributed memory in flip-flops, and keeps the register of the
    address that is read twice.
    """
    if words < 2:
        return register(words * width_bits)
    address = register((words - 1).bit_length())
    blocks = _lut_ram_blocks(words, width_bits)
    if _is_too_small_for_lut_ram(words, width_bits):
        bits = register(words * width_bits)
        return address + bits + multiplexer(words, width_bits) + Cost(lut=words)
    rows = math.ceil(words / LUT_RAM_DEPTH)
    enables = rows if rows > 1 else 0
    return address + multiplexer(rows, width_bits) + Cost(lut=6 * blocks + enables)


def _lut_ram_blocks(words: int, width_bits: int) -> int:
    """Return the TRELLIS_DPR16X4 of a memory."""
    return math.ceil(words / LUT_RAM_DEPTH) * math.ceil(width_bits / 4)


def _is_too_small_for_lut_ram(words: int, width_bits: int) -> bool:
    """Return whether Yosys leaves a memory in flip-flops."""
    return words * width_bits <= 8 + 4 * _lut_ram_blocks(words, width_bits)


def is_block_ram(words: int, width_bits: int) -> bool:
    """Return whether a read-write memory with a registered read belongs into block RAM."""
    blocks = block_rams(words, width_bits)
    return words > LUT_RAM_DEPTH and lut_ram(words, width_bits).lut >= LUTS_PER_BRAM * blocks


def ram(words: int, width_bits: int) -> Cost:
    """Return the cost of a read-write memory with a registered read."""
    if not is_block_ram(words, width_bits):
        # The address is not kept: the register is behind the memory.
        total = lut_ram(words, width_bits)
        return replace(total, ff=total.ff - (words - 1).bit_length() + width_bits)
    return Cost(bram=block_rams(words, width_bits))


def filled_ram(words: int, width_bits: int) -> int:
    """Return how many words the memory of ``words`` words can hold."""
    if is_block_ram(words, width_bits):
        depth = min((_blocks(words, width_bits, shape), shape[1]) for shape in _BLOCK_SHAPES)[1]
    elif _is_too_small_for_lut_ram(words, width_bits):
        return words
    else:
        depth = LUT_RAM_DEPTH
    return math.ceil(words / depth) * depth


def block_rams(words: int, width_bits: int) -> int:
    """Return the DP16KD of a memory in the shape of which it takes the fewest."""
    return min(_blocks(words, width_bits, shape) for shape in _BLOCK_SHAPES)


def _blocks(words: int, width_bits: int, shape: tuple[int, int]) -> int:
    width, depth = shape
    return math.ceil(width_bits / width) * math.ceil(words / depth)


def credit_buffer(capacity: int, width_bits: int, *, at_once: bool = False) -> Cost:
    """Return the cost of ``credit_buffer.sv``; ``at_once`` leaves the counter of places out."""
    moves = up_down_counter(capacity)
    total = Cost() if at_once else moves
    if capacity == 1:
        return total + Cost(lut=2, ff=width_bits + 1)
    if at_once:
        total += is_equal(capacity.bit_length())
    pointer = (capacity - 1).bit_length()
    # Increments by LUTs: from four bits on each takes another one for the carry.
    increment = pointer if pointer < CHAIN_MIN_BITS else 2 * pointer - 2
    wraps = 0 if capacity == 1 << pointer else 1
    total += Cost(lut=2 * (increment + wraps), ff=2 * pointer)
    return total + moves + lut_ram(capacity, width_bits) + Cost(lut=3)
