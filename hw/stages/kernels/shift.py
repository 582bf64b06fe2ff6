"""Kernel ``shift``: weights that are powers of two, or 0; inputs are shifted and added."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ... import cost
from ...cost import Cost
from ...dtypes import DataType, Encoding, IntArray
from ...errors import DatatypeError
from .adder_graph import GRAPH_SOURCES, AdderGraph
from .adder_trees import adder_tree
from .dot_product import DotProduct, magnitude, random_input
from .kernel import WeightCode, signed_sum
from .unrolled import unrolled_graph

# Values of W_FORM.
NONZERO, WITH_ZERO = 0, 1

MAX_EXPONENT = 31


class Shift(DotProduct):
    """Integer x {0, +-2^e} (DeepShift, arXiv:1905.13298; S3, arXiv:2107.03453).

    The weights of a layer are multiples of the least power among them, so every shift is to the
    left and nothing is rounded before the sum. A weight is stored as the sign, in the high bit, and
    the exponent above the least one; where there are zeros, one more than that, and 0 for a zero.
    """

    name = "shift"
    sources = ("adder_tree", "carried_sum", "lanes", *GRAPH_SOURCES)

    def code(self, weights: IntArray) -> WeightCode:
        """A sign, and the bits of the exponents between the least and the greatest."""
        magnitudes = np.abs(weights)
        is_wrong = (magnitudes & (magnitudes - 1) != 0) | (magnitudes > 1 << MAX_EXPONENT)
        if is_wrong.any():
            raise DatatypeError(
                f"kernel shift takes weights 0 and +-2^e with e up to {MAX_EXPONENT}, "
                f"got {int(weights[is_wrong][0])}"
            )
        exponents = _exponents(weights[weights != 0])
        low, high = (int(exponents.min()), int(exponents.max())) if exponents.size else (0, 0)
        form = NONZERO if weights.all() else WITH_ZERO
        return WeightCode(bits=1 + (high - low + form).bit_length(), form=form, low=low, high=high)

    def sum_dtype(self, dtype: DataType, code: WeightCode, simd: int) -> DataType:
        """Signed, of the widest products."""
        return signed_sum(simd, magnitude(dtype) << code.high)

    def cycles(self, code: WeightCode, simd: int) -> int:
        """One for the shifts, one for the sum."""
        return 2

    def graph(self, dtype: DataType, weights: IntArray) -> AdderGraph | None:
        """Return the sums that neurons share: constant shifts are wires."""
        return unrolled_graph(dtype, weights)

    def to_codes(self, weights: IntArray, code: WeightCode) -> NDArray[np.uint64]:
        """Sign and exponent, see the class."""
        exponents = np.where(weights == 0, 0, _exponents(weights) - code.low + code.form)
        signs = (weights < 0).astype(np.int64)
        return ((signs << (code.bits - 1)) | exponents).astype(np.uint64)

    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """BIPOLAR, unsigned or signed inputs; up to 16 exponents, with or without zeros."""
        low = int(rng.choice([0, 0, 3]))
        high = low + int(rng.choice([0, 1, 2, 3, 4, 7, 15]))
        signs = rng.choice(np.array(((-1, 1), (-1, 0, 1))[rng.integers(0, 2)], np.int64), shape)
        return random_input(rng), signs << rng.integers(low, high, shape, endpoint=True)

    def cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int = 1) -> Cost:
        """A LUT a bit for each bit of the exponent, a tree."""
        lane_bits = dtype.bits + (dtype.encoding is not Encoding.SIGNED)
        term_bits = lane_bits + code.high - code.low
        sum_bits = self.sum_dtype(dtype, code, simd).bits - code.low
        # A bit of the exponent selects between two; the last one also inverts.
        steps = [lane_bits + (2 << bit) - 1 for bit in range(code.bits - 1)] or [lane_bits]
        luts = sum(min(term_bits, step) for step in steps)
        term = Cost(lut=luts) + cost.register(term_bits + 1)
        neuron = term.times(simd) + adder_tree(simd, term_bits) + cost.register(sum_bits + 1)
        return cost.register(simd * dtype.bits) + neuron.times(pe)


def _exponents(powers: IntArray) -> IntArray:
    """Return the exponents of 2 of integers that are powers of it, of either sign."""
    return np.frexp(powers.astype(np.float64))[1].astype(np.int64) - 1
