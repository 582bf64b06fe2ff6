"""Kernel ``signed``: inputs added, skipped or subtracted, once for each bit of a weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ... import cost
from ...cost import Cost
from ...dtypes import BIPOLAR, DataType, Encoding, IntArray
from ...dtypes import signed as signed_dtype
from .adder_graph import GRAPH_SOURCES, AdderGraph
from .adder_trees import adder_tree, weighted_sum
from .dot_product import DotProduct, magnitude, random_grid, random_input
from .kernel import WeightCode, signed_sum, weight_dtype
from .unrolled import unrolled_graph

# Values of W_FORM. A code u of n bits on the odd grid stands for 2 u - (2^n - 1).
ODD, TWOS_COMPLEMENT, TERNARY = 0, 1, 2


# Terms of a plane that are added without a register between.
MOST_TERMS_AT_ONCE = 8


class Signed(DotProduct):
    """Integer x integer, the weights as planes of bits that stand for -1 and +1.

    A weight on the odd grid -(2^n - 1), ..., -1, +1, ..., 2^n - 1 is ``sum_b 2^b s_b`` with the
    signs ``s_b`` of its planes: each plane is a sum of added and subtracted inputs. A weight in
    two's complement is ``(sum_b 2^b s_b - 1) / 2``, and the sum of all inputs that this subtracts
    serves every neuron. Weights -1, 0, 1 and those of two bits take a term of their own.
    """

    name = "signed"
    sources = ("adder_tree", "carried_sum", "lanes", "weighted_sum", *GRAPH_SOURCES)

    def code(self, weights: IntArray) -> WeightCode:
        """As few planes as the grid of the weights takes, at most 16."""
        dtype = weight_dtype(self, weights)
        if (weights & 1).all():
            return WeightCode(bits=int(np.abs(weights).max()).bit_length(), form=ODD)
        if np.isin(weights, (-1, 0, 1)).all():
            return WeightCode(bits=2, form=TERNARY)
        bits = dtype.bits + (dtype.encoding is Encoding.UNSIGNED)
        return WeightCode(bits=bits, form=TWOS_COMPLEMENT)

    def sum_dtype(self, dtype: DataType, code: WeightCode, simd: int) -> DataType:
        """Signed, of the widest products."""
        return signed_sum(simd, magnitude(dtype) * greatest_weight(code))

    def cycles(self, code: WeightCode, simd: int) -> int:
        """One for the sums of each plane, one to add them, one inside of them where they are large.

        So no more than four additions are in a row up to 256 terms.
        """
        return 1 + (_planes(code) > 1) + (_cut(_terms(code, simd)) >= 0)

    def graph(self, dtype: DataType, weights: IntArray) -> AdderGraph | None:
        """Return the sums that neurons share, of the signed digits of constant weights."""
        return unrolled_graph(dtype, weights)

    def to_codes(self, weights: IntArray, code: WeightCode) -> NDArray[np.uint64]:
        """Odd grid: ``(w + 2^n - 1) / 2``. Else two's complement."""
        return grid_codes(weights, code)

    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """BIPOLAR, unsigned or signed inputs; bipolar, ternary or wider weights."""
        dtype = random_input(rng)
        if rng.random() < 1 / 2:
            members = ((-1, 1), (-1, 0, 1), (1, 0))[rng.integers(0, 3)]
            return dtype, rng.choice(np.array(members, np.int64), shape)
        return dtype, random_grid(rng, shape, int(rng.choice([3, 5, 15])))

    def cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int = 1) -> Cost:
        """One LUT a bit for each term, a tree for each plane, and one of planes.

        Planes take pairs of lanes, whose sums and differences all neurons share.
        """
        planes = _planes(code)
        is_paired = _is_paired(code)
        lane_bits = dtype.bits + (dtype.encoding is not Encoding.SIGNED)
        terms = _terms(code, simd)
        pairs = simd - terms
        term_bits = lane_bits + (1 if pairs or (not is_paired and code.form != TERNARY) else 0)
        shared = cost.adder(lane_bits + 1).times(2 * pairs)
        if dtype == BIPOLAR and is_paired:
            # A term is -2, 0 or 2 and a function of two inputs and two weights.
            term_bits, shared = 2, Cost()
        shared += cost.register((terms + pairs) * term_bits)
        tree_bits = term_bits + (terms - 1).bit_length()
        plane = Cost(lut=terms * term_bits) + adder_tree(terms, term_bits, _cut(terms))
        neuron = plane.times(planes)
        sum_bits = self.sum_dtype(dtype, code, simd).bits
        if planes > 1:
            neuron += cost.register(planes * (tree_bits + 1)) + weighted_sum(planes, tree_bits)
            if code.form == TWOS_COMPLEMENT:
                neuron += cost.adder(tree_bits + planes + 1)
                shared += adder_tree(terms, term_bits, _cut(terms)) + cost.adder(tree_bits + 1)
                shared += cost.register(tree_bits + 1)
        has_one = code.form != TWOS_COMPLEMENT or planes == 1
        return shared + (neuron + cost.register(sum_bits + has_one)).times(pe)


def _planes(code: WeightCode) -> int:
    """Return the planes of bits that are summed apart."""
    if code.form == TERNARY or (code.form == TWOS_COMPLEMENT and code.bits == 2):
        return 1
    return code.bits


def _is_paired(code: WeightCode) -> bool:
    """Return whether a term is the sum or the difference of two lanes."""
    return _planes(code) > 1 or code.form == ODD


def _terms(code: WeightCode, simd: int) -> int:
    """Return the terms of a plane of ``simd`` lanes."""
    return simd - simd // 2 if _is_paired(code) else simd


def _cut(terms: int) -> int:
    """Return how many additions of a tree are behind a register, -1 for none."""
    return (terms - 1).bit_length() // 2 if terms > MOST_TERMS_AT_ONCE else -1


def greatest_weight(code: WeightCode) -> int:
    """Return the greatest absolute value of a weight on a grid."""
    if code.form == TERNARY:
        return 1
    return (1 << code.bits) - 1 if code.form == ODD else 1 << (code.bits - 1)


def grid_codes(weights: IntArray, code: WeightCode) -> NDArray[np.uint64]:
    """Return ``(w + 2^n - 1) / 2`` on the odd grid, else two's complement."""
    if code.form == ODD:
        return ((weights + (1 << code.bits) - 1) >> 1).astype(np.uint64)
    return signed_dtype(code.bits).to_codes(weights)
