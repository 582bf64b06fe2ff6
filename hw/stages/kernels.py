"""Kernels of layers: the arithmetic of their products and what it costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .. import cost
from ..cost import Cost
from ..dtypes import BIPOLAR, DataType, IntArray, signed, smallest_for, unsigned
from ..errors import DatatypeError

# Lanes above which a popcount has a register inside, and a second one.
CUT_ABOVE = (8, 72)
# In front of which columns, a bit each, for none, one and two of them; as in ``dot_xnor.sv``.
_CUTS = (0, 0b100, 0b1010)


class Kernel(ABC):
    """Arithmetic of a layer: an integer accumulator from inputs and weights.

    Attributes:
        name: Name in Python, SystemVerilog (``dot_<name>.sv``), YAML and reports.
        sources: Modules that ``dot_<name>.sv`` instantiates.
    """

    name: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]

    @abstractmethod
    def weight_dtype(self, weights: IntArray) -> DataType:
        """Return the encoding of a stored weight.

        Raises:
            DatatypeError: The kernel does not take these weights.
        """

    @abstractmethod
    def check_input(self, dtype: DataType) -> None:
        """Raise ``DatatypeError`` when the kernel does not take inputs of ``dtype``."""

    @abstractmethod
    def accumulate(self, x: IntArray, weights: IntArray) -> IntArray:
        """Return accumulators ``(..., MH)`` of inputs ``(..., MW)`` and weights ``(MH, MW)``."""

    @abstractmethod
    def accumulator_range(self, dtype: DataType, weights: IntArray) -> tuple[int, int]:
        """Return the least and greatest accumulator, from the actual weights."""

    @abstractmethod
    def sum_dtype(self, dtype: DataType, weight_dtype: DataType, simd: int) -> DataType:
        """Return the datatype of the sum of ``simd`` products, as ``dot_<name>.sv`` yields it.

        Modulo the accumulator's range where that is narrower. The 1 that may be left to add does
        not count.
        """

    def cycles(self, simd: int) -> int:
        """Return the cycles from the weights to the sum of ``simd`` products."""
        return 1

    def to_codes(self, weights: IntArray, dtype: DataType) -> NDArray[np.uint64]:
        """Return the bit patterns of weights as they are stored.

        Args:
            weights: In the sums in which they are added, shape ``(..., simd)``.
            dtype: Encoding of a stored weight.
        """
        return dtype.to_codes(weights)

    @abstractmethod
    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """Return a random input datatype and weights ``(MH, MW)`` that the kernel takes."""

    @abstractmethod
    def cost(self, dtype: DataType, weight_dtype: DataType, simd: int, pe: int = 1) -> Cost:
        """Return the cost of the ``simd`` products of ``pe`` neurons and their sums."""


class Xnor(Kernel):
    """Bipolar x bipolar: the accumulator is the popcount P of equal bits, 0 to MW.

    The bipolar dot product is ``2 P - MW`` (arXiv:1602.02830, arXiv:1603.05279).
    """

    name = "xnor"
    sources = ("column", "compressor", "delay")

    def weight_dtype(self, weights: IntArray) -> DataType:
        """BIPOLAR."""
        BIPOLAR.check(weights, "xnor weights")
        return BIPOLAR

    def check_input(self, dtype: DataType) -> None:
        """Only BIPOLAR."""
        if dtype != BIPOLAR:
            raise DatatypeError(f"kernel xnor takes BIPOLAR inputs, got {dtype.name}; use signed")

    def accumulate(self, x: IntArray, weights: IntArray) -> IntArray:
        """Return popcounts of equal elements."""
        doubled: IntArray = _exact_product(x, weights) + weights.shape[1]
        return doubled >> 1

    def accumulator_range(self, dtype: DataType, weights: IntArray) -> tuple[int, int]:
        """Every popcount from 0 to MW is reached."""
        return 0, int(weights.shape[1])

    def sum_dtype(self, dtype: DataType, weight_dtype: DataType, simd: int) -> DataType:
        """Popcounts 0 to ``simd``."""
        return smallest_for(0, simd)

    def cycles(self, simd: int) -> int:
        """One cycle, and one for each register between the full adders.

        With at most two registers no more than seven LUTs are in a row up to 144 lanes.
        """
        return 1 + sum(simd > lanes for lanes in CUT_ABOVE)

    def to_codes(self, weights: IntArray, dtype: DataType) -> NDArray[np.uint64]:
        """Return sums modulo 2 of the weights of groups of nine and of three, see the module."""
        codes = dtype.to_codes(weights)
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

    def cost(self, dtype: DataType, weight_dtype: DataType, simd: int, pe: int = 1) -> Cost:
        """Ten LUTs for nine lanes, three for three, then full adders; all share ten and two."""
        nines, threes = simd // 9, simd % 9 // 3
        rest = simd % 3
        groups = Cost(lut=10 * nines + 3 * threes + rest)
        counts = (nines + threes + rest, 2 * nines + threes, nines)
        cuts = _CUTS[self.cycles(simd) - 1]
        neuron = groups + cost.compressor(*counts, simd.bit_length(), cuts)
        neuron += cost.register(simd.bit_length())
        shared = Cost(lut=10 * nines + 2 * threes, ff=simd + 2 * nines)
        return shared + neuron.times(pe)


class Signed(Kernel):
    """Integer x {-1, 0, +1}: the accumulator is the sum of added, skipped or subtracted inputs."""

    name = "signed"
    sources = ("adder_tree", "carried_sum")

    def weight_dtype(self, weights: IntArray) -> DataType:
        """BIPOLAR if no weight is 0, else INT2."""
        if np.isin(weights, (-1, 1)).all():
            return BIPOLAR
        if not np.isin(weights, (-1, 0, 1)).all():
            wrong = int(weights[~np.isin(weights, (-1, 0, 1))][0])
            raise DatatypeError(f"kernel signed takes weights -1, 0, 1, got {wrong}")
        return signed(2)

    def check_input(self, dtype: DataType) -> None:
        """Every integer datatype."""

    def accumulate(self, x: IntArray, weights: IntArray) -> IntArray:
        """Return dot products."""
        return _exact_product(x, weights)

    def accumulator_range(self, dtype: DataType, weights: IntArray) -> tuple[int, int]:
        """Return the sum of each weight's extreme, over the worst row on either side."""
        extremes = np.stack([weights * dtype.min, weights * dtype.max])
        low = extremes.min(axis=0).sum(axis=1).min()
        high = extremes.max(axis=0).sum(axis=1).max()
        return int(low), int(high)

    def sum_dtype(self, dtype: DataType, weight_dtype: DataType, simd: int) -> DataType:
        """A bit for the sign, and those that ``simd`` inputs take."""
        return signed(dtype.bits + 1 + (simd - 1).bit_length())

    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """BIPOLAR, unsigned or signed inputs; bipolar or ternary weights."""
        bits = int(rng.integers(1, 9))
        dtype = (BIPOLAR, unsigned(bits), signed(bits))[rng.integers(0, 3)]
        members = ((-1, 1), (-1, 0, 1), (1, 0))[rng.integers(0, 3)]
        return dtype, rng.choice(np.array(members, np.int64), shape)

    def cost(self, dtype: DataType, weight_dtype: DataType, simd: int, pe: int = 1) -> Cost:
        """One LUT a bit for each term, full adders down to two terms, an adder.

        Bipolar weights take pairs of lanes, whose sums and differences all neurons share.
        """
        pairs = simd // 2 if weight_dtype == BIPOLAR else 0
        terms = simd - pairs
        term_bits = dtype.bits + (2 if pairs else 1)
        shared = cost.adder(dtype.bits + 1).times(2 * pairs)
        if dtype == BIPOLAR:
            # A term is -2, 0 or 2 and a function of two inputs and two weights.
            term_bits, shared = 2, Cost()
        shared += cost.register((terms + pairs) * term_bits)
        sum_bits = self.sum_dtype(dtype, weight_dtype, simd).bits
        neuron = Cost(lut=terms * term_bits) + _adder_tree(terms, term_bits)
        return shared + (neuron + cost.register(sum_bits + 1)).times(pe)


def _adder_tree(terms: int, width_bits: int) -> Cost:
    """Return the cost of ``adder_tree.sv``: chains of one bit more than their sums."""
    if terms == 1:
        return Cost()
    low = (terms + 1) // 2
    total = _adder_tree(low, width_bits) + _adder_tree(terms - low, width_bits)
    return total + cost.adder(width_bits + (terms - 1).bit_length() + 1)


def _sums(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return of each three bits ``(..., 3, groups)`` all, the first two, the first and the third.

    They are added modulo 2.
    """
    first, second, third = np.moveaxis(bits, -2, 0)
    return np.stack([first ^ second ^ third, first ^ second, first ^ third], axis=-2)


def _exact_product(x: IntArray, weights: IntArray) -> IntArray:
    """Return ``x @ weights.T`` by floating-point BLAS where 53 bits hold every partial sum."""
    bound = int(np.abs(x).max(initial=0)) * int(np.abs(weights).sum(axis=1).max(initial=0))
    if bound >= 1 << 53:
        return np.asarray(x @ weights.T, np.int64)
    return (x.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64)


KERNELS = MappingProxyType({kernel.name: kernel for kernel in (Xnor(), Signed())})

# All modules behind ``dot.sv``, which chooses one of the kernels by its name.
DOT_SOURCES = (
    "dot",
    *sorted({name for k in KERNELS.values() for name in (f"dot_{k.name}", *k.sources)}),
)
