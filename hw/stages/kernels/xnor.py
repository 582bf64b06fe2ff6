"""Kernel ``xnor``: bipolar inputs and weights, the popcount of those that agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ... import cost
from ...cost import Cost
from ...dtypes import BIPOLAR, DataType, IntArray, smallest_for
from ...errors import DatatypeError
from ...heap import POPCOUNT_SOURCES, popcount
from .dot_product import exact_product
from .kernel import Computes, Kernel, WeightCode

# Lanes above which a popcount has one register inside, two, three, four.
CUT_ABOVE = (6, 12, 27, 72)
# In front of which columns they are, a bit each, for none to four; as in ``folded_xnor.sv``.
_CUTS = (0, 0b100, 0b1010, 0b1110, 0b11110)

# Neurons of ``unrolled_xnor.sv`` that share the lowest column of their sums.
_SHARED_FROM = 8


class Xnor(Kernel):
    """Bipolar x bipolar: the accumulator is the popcount P of equal bits, 0 to MW.

    The bipolar dot product is ``2 P - MW`` (arXiv:1602.02830, arXiv:1603.05279).
    """

    name = "xnor"
    sources = (
        *("column", "compressor", "folded_xnor", "popcount_xnor", "unrolled_xnor"),
        *POPCOUNT_SOURCES,
    )
    computes = Computes.POPCOUNT
    plain_families = ("xilinx",)

    def code(self, weights: IntArray) -> WeightCode:
        """Only BIPOLAR, a bit."""
        BIPOLAR.check(weights, "xnor weights")
        return WeightCode(bits=1)

    def check_input(self, dtype: DataType) -> None:
        """Only BIPOLAR."""
        if dtype != BIPOLAR:
            raise DatatypeError(f"kernel xnor takes BIPOLAR inputs, got {dtype.name}; use signed")

    def accumulate(self, x: IntArray, weights: IntArray) -> IntArray:
        """Return popcounts of equal elements."""
        doubled: IntArray = exact_product(x, weights) + weights.shape[1]
        return doubled >> 1

    def accumulator_range(self, dtype: DataType, weights: IntArray) -> tuple[int, int]:
        """Every popcount from 0 to MW is reached."""
        return 0, int(weights.shape[1])

    def sum_dtype(self, dtype: DataType, code: WeightCode, simd: int) -> DataType:
        """Popcounts 0 to ``simd``."""
        return smallest_for(0, simd)

    def to_codes(self, weights: IntArray, code: WeightCode) -> NDArray[np.uint64]:
        """Bit 1 for +1."""
        return BIPOLAR.to_codes(weights)

    def cycles(self, code: WeightCode, simd: int) -> int:
        """One cycle, and one for each register between the full adders.

        So no more than five LUTs are in a row up to 144 lanes.
        """
        return 1 + sum(simd > lanes for lanes in CUT_ABOVE)

    def unrolled_cycles(self, code: WeightCode, simd: int, pe: int) -> int:
        """One register behind the carries that neurons share, one behind each level of counters.

        They are all that there are between a beat and its accumulator, two at least, and the first
        is there when the weights of a memory come.
        """
        if _is_shared(simd, pe):
            return max(1, popcount(simd // 2).levels)
        return max(1, popcount(simd).levels - 1)

    def to_memory(self, codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return sums modulo 2 of weights, of nines and of threes: see ``folded_xnor.sv``."""
        shape, simd = codes.shape[:-1], codes.shape[-1]
        nines, threes = simd // 9, simd % 9 // 3
        of_nine = _sums(codes[..., : 9 * nines].reshape(*shape, 3, 3, nines))
        of_nine[..., 0, :] = _sums(of_nine[..., 0, :])
        rest = 9 * nines + 3 * threes
        of_three = _sums(codes[..., 9 * nines : rest].reshape(*shape, 3, threes))
        parts = (of_nine.reshape(*shape, -1), of_three.reshape(*shape, -1), codes[..., rest:])
        return np.concatenate(parts, axis=-1)

    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """BIPOLAR inputs and weights."""
        return BIPOLAR, BIPOLAR.random(shape, rng)

    def cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int = 1) -> Cost:
        """Ten LUTs for nine lanes, three for three, then full adders; all share ten and two."""
        nines, threes = simd // 9, simd % 9 // 3
        rest = simd % 3
        groups = Cost(lut=10 * nines + 3 * threes + rest)
        counts = (nines + threes + rest, 2 * nines + threes, nines)
        cuts = _CUTS[self.cycles(code, simd) - 1]
        neuron = groups + cost.compressor(*counts, simd.bit_length(), cuts)
        neuron += cost.register(simd.bit_length())
        shared = Cost(lut=10 * nines + 2 * threes, ff=simd + 2 * nines)
        return shared + neuron.times(pe)

    def unrolled_cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int) -> Cost:
        """The lowest column of all sums once, with four carries for each of its full adders."""
        registers = self.unrolled_cycles(code, simd, pe) + 1
        if not _is_shared(simd, pe):
            return popcount(simd).pipelined_cost(registers).times(pe)
        adders = simd // 2
        # Four carries of each adder, of which some neuron takes most, and the lowest bit of all.
        carries = round(4 * adders * (1 - (3 / 4) ** pe))
        neuron = popcount(adders).pipelined_cost(registers - 1)
        return Cost(lut=5 * adders, ff=carries + registers) + neuron.times(pe)


def _is_shared(simd: int, pe: int) -> bool:
    """Return whether neurons share the lowest column of their sums."""
    return pe >= _SHARED_FROM and simd > 1


def _sums(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return of each three bits ``(..., 3, groups)`` all, the first two, the first and the third.

    They are added modulo 2.
    """
    first, second, third = np.moveaxis(bits, -2, 0)
    return np.stack([first ^ second ^ third, first ^ second, first ^ third], axis=-2)
