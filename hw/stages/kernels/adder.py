"""Kernel ``adder``: minus the sum of distances of inputs and weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ... import cost
from ...cost import Cost
from ...dtypes import BIPOLAR, DataType, Encoding, IntArray, signed, unsigned
from .adder_trees import adder_tree
from .dot_product import random_input
from .kernel import Computes, Kernel, WeightCode, signed_sum, weight_dtype

# Values of W_FORM.
UNSIGNED, TWOS_COMPLEMENT = 0, 1


class Adder(Kernel):
    """Integer inputs and weights of one step: ``-sum |x - w|`` (AdderNet, arXiv:1912.13200, eq. 2).

    With ``d = x - w`` and its sign bit s, ``|d| = (d xor s) + s``. A padded input of 0 counts
    ``-|w|``: it is processed as any other.
    """

    name = "adder"
    sources = ("adder_tree", "carried_sum", "lanes")
    computes = Computes.DISTANCE

    def code(self, weights: IntArray) -> WeightCode:
        """Unsigned or two's complement, at most 16 bits."""
        dtype = weight_dtype(self, weights)
        return WeightCode(bits=dtype.bits, form=int(dtype.encoding is Encoding.SIGNED))

    def check_input(self, dtype: DataType) -> None:
        """Every integer datatype."""

    def accumulate(self, x: IntArray, weights: IntArray) -> IntArray:
        """Return minus the sums of distances."""
        sums = [-np.abs(x - row).sum(axis=-1) for row in weights]
        return np.stack(sums, axis=-1)

    def accumulator_range(self, dtype: DataType, weights: IntArray) -> tuple[int, int]:
        """Return the greatest and least sum of distances, over the worst row on either side."""
        ends = [-np.abs(x - weights).sum(axis=1) for x in self.extremes(dtype, weights)]
        return int(ends[0].min()), int(ends[1].max())

    def extremes(self, dtype: DataType, weights: IntArray) -> tuple[IntArray, IntArray]:
        """Return the inputs farthest from the weights, and the nearest."""
        middle = dtype.min + dtype.max
        farthest = np.where(2 * weights > middle, dtype.min, dtype.max)
        if dtype == BIPOLAR:
            return farthest, -farthest
        return farthest, np.clip(weights, dtype.min, dtype.max)

    def sum_dtype(self, dtype: DataType, code: WeightCode, simd: int) -> DataType:
        """Signed, of the greatest distances."""
        return signed_sum(simd, _greatest_distance(dtype, code))

    def cycles(self, code: WeightCode, simd: int) -> int:
        """One for the differences, one for the sum of their magnitudes."""
        return 2

    def to_codes(self, weights: IntArray, code: WeightCode) -> NDArray[np.uint64]:
        """Unsigned or two's complement."""
        return _weights(code).to_codes(weights)

    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """Inputs up to 8 bits; weights up to 9 bits, or 16, most of them within those inputs."""
        bits = int(rng.choice([16, *range(2, 10)]))
        return random_input(rng), (unsigned, signed)[rng.integers(0, 2)](bits).random(shape, rng)

    def cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int = 1) -> Cost:
        """A subtractor for each product, a LUT a bit to invert it, a tree."""
        bits = _greatest_distance(dtype, code).bit_length() + 1
        sum_bits = self.sum_dtype(dtype, code, simd).bits
        term = cost.adder(bits) + cost.register(bits) + Cost(lut=bits)
        neuron = term.times(simd) + adder_tree(simd, bits) + cost.register(sum_bits + 1)
        return cost.register(simd * dtype.bits) + neuron.times(pe)


def _weights(code: WeightCode) -> DataType:
    return signed(code.bits) if code.form == TWOS_COMPLEMENT else unsigned(code.bits)


def _greatest_distance(dtype: DataType, code: WeightCode) -> int:
    weights = _weights(code)
    return max(dtype.max - weights.min, weights.max - dtype.min)
