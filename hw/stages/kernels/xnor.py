"""Kernel ``xnor``: bipolar inputs and weights, the popcount of those that agree."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ... import cost
from ...cost import Cost
from ...dtypes import BIPOLAR, DataType, IntArray, smallest_for
from ...errors import DatatypeError
from ...heap import POPCOUNT_SOURCES, popcount
from .dot_product import exact_product
from .kernel import Computes, Kernel, WeightCode

# Neurons of ``unrolled_xnor.sv`` that share the lowest column of their sums.
_SHARED_FROM = 8


class Xnor(Kernel):
    """Bipolar x bipolar: the accumulator is the popcount P of equal bits, 0 to MW.

    The bipolar dot product is ``2 P - MW`` (arXiv:1602.02830, arXiv:1603.05279).
    """

    name = "xnor"
    sources = ("popcount_xnor", "unrolled_xnor", *POPCOUNT_SOURCES)
    computes = Computes.POPCOUNT

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

    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """BIPOLAR inputs and weights."""
        return BIPOLAR, BIPOLAR.random(shape, rng)

    def cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int = 1) -> Cost:
        """Two LUTs for the XNORs of each full adder: one XNOR fits into the LUT of its sum."""
        xnors = Cost(lut=simd if simd < 3 else math.ceil(2 * simd / 3))
        sums = cost.register(simd.bit_length())
        return cost.register(simd) + (xnors + popcount(simd).cost + sums).times(pe)

    def unrolled_cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int) -> Cost:
        """The lowest column of all sums once, with four carries for each of its full adders."""
        sums = cost.register(simd.bit_length())
        if pe < _SHARED_FROM or simd < 2:
            return cost.register(simd) + (popcount(simd).cost + sums).times(pe)
        adders = simd // 2
        return Cost(lut=5 * adders, ff=simd) + (popcount(adders).cost + sums).times(pe)
