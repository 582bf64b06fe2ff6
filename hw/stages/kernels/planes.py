"""Kernel ``planes``: popcounts of bit planes of inputs times bit planes of weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ... import cost
from ...cost import Cost
from ...dtypes import BIPOLAR, DataType, Encoding, IntArray
from ...errors import DatatypeError
from ...heap import POPCOUNT_SOURCES, popcount
from .adder_trees import weighted_sum
from .dot_product import DotProduct, magnitude, random_grid, random_input
from .kernel import WeightCode, signed_sum, weight_dtype
from .signed import ODD, TWOS_COMPLEMENT, greatest_weight, grid_codes

MAX_INPUT_BITS = 8


class Planes(DotProduct):
    """Integer x integer of few bits, as popcounts of the bits of one and the other.

    With the bits ``b_i`` of a weight's code and ``a_j`` of an input's, the sum of products of codes
    is ``T = sum_ij 2^(i + j) popcount(b_i and a_j)`` (arXiv:1606.06160, eq. 3). A plane whose bit
    counts negative is counted inverted. Planes of the same ``i + j`` are counted in one popcount.
    On the odd grid of n bits, where a weight is ``2 b - (2^n - 1)``, the dot product is ``2 T``
    minus ``2^n - 1`` times the sum of all inputs, which every neuron shares. Bipolar inputs take
    XNOR in place of AND.
    """

    name = "planes"
    sources = ("adder_tree", "lanes", "weighted_sum", *POPCOUNT_SOURCES)

    def check_input(self, dtype: DataType) -> None:
        """Up to 8 bits."""
        if dtype.bits > MAX_INPUT_BITS:
            raise DatatypeError(
                f"kernel planes takes inputs of at most {MAX_INPUT_BITS} bits, got {dtype.name}; "
                "use signed"
            )

    def code(self, weights: IntArray) -> WeightCode:
        """Odd grid or two's complement, at most 16 bits."""
        dtype = weight_dtype(self, weights)
        if (weights & 1).all():
            return WeightCode(bits=int(np.abs(weights).max()).bit_length(), form=ODD)
        bits = dtype.bits + (dtype.encoding is Encoding.UNSIGNED)
        return WeightCode(bits=bits, form=TWOS_COMPLEMENT)

    def sum_dtype(self, dtype: DataType, code: WeightCode, simd: int) -> DataType:
        """Signed, of the widest products."""
        return signed_sum(simd, magnitude(dtype) * greatest_weight(code))

    def cycles(self, code: WeightCode, simd: int) -> int:
        """One for the popcounts, one to add them."""
        return 2

    def to_codes(self, weights: IntArray, code: WeightCode) -> NDArray[np.uint64]:
        """Odd grid: ``(w + 2^n - 1) / 2``. Else two's complement."""
        return grid_codes(weights, code)

    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """Inputs up to 4 bits, weights up to 3 bits."""
        return random_input(rng, 4), random_grid(rng, shape, 3)

    def cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int = 1) -> Cost:
        """A popcount for each weight of planes, their sum, and the correction that all share."""
        neuron = Cost()
        groups = dtype.bits + code.bits - 1
        for group in range(groups):
            bits = simd * min(group + 1, groups - group, dtype.bits, code.bits)
            products = bits if bits < 3 else math.ceil(bits / 3)
            neuron += Cost(lut=products) + popcount(bits).cost + cost.register(bits.bit_length())
        count_bits = (simd * min(dtype.bits, code.bits)).bit_length() + 1
        sum_bits = self.sum_dtype(dtype, code, simd).bits
        neuron += weighted_sum(groups, count_bits) + cost.adder(sum_bits) + cost.register(sum_bits)
        shared = cost.register(simd * dtype.bits)
        if code.form == ODD and dtype != BIPOLAR:
            shared += cost.adder(dtype.bits + 2).times(simd) + cost.register(sum_bits)
        elif dtype == BIPOLAR and code.form == TWOS_COMPLEMENT:
            shared += popcount(simd).cost + cost.register(simd.bit_length())
        return shared + neuron.times(pe)
