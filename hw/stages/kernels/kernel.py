"""What a kernel is: the arithmetic of a layer's products, how it stores weights, what it costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...cost import Cost
from ...dtypes import DataType, IntArray, signed, smallest_for
from ...errors import DatatypeError
from .adder_graph import AdderGraph

MAX_WEIGHT_BITS = 16


class Computes(Enum):
    """What the accumulators of a kernel are; kernels of one kind can stand in for each other."""

    POPCOUNT = "the popcount of equal bits"
    DOT = "the dot product"
    DISTANCE = "minus the sum of distances |x - w|"


@dataclass(frozen=True, kw_only=True)
class WeightCode:
    """How the weights of a layer are stored: the parameters of ``dot.sv`` of the same names.

    Attributes:
        bits: ``W_BITS``, of one weight.
        form: ``W_FORM``, which of the encodings of the kernel.
        low: ``W_LOW``, the least exponent of 2 among weights that are powers of two; 1 where plane
            scales are twice what they weigh; else 0.
        high: ``W_HIGH``, the greatest exponent, or the bits of a plane scale; else 0.
    """

    bits: int
    form: int = 0
    low: int = 0
    high: int = 0


class Kernel(ABC):
    """Arithmetic of a layer: an integer accumulator from inputs and weights.

    Attributes:
        name: Name in Python, SystemVerilog (``dot_<name>.sv``), YAML and reports.
        sources: Modules that ``dot_<name>.sv`` instantiates.
        computes: What its accumulators are.
        plain_families: Families of FPGAs whose twins take codes from a memory as they are, and not
            as ``to_memory`` has them.
        has_plane_scales: Whether the planes of a neuron are accumulated apart and weighed then.
    """

    name: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    computes: ClassVar[Computes] = Computes.DOT
    plain_families: ClassVar[tuple[str, ...]] = ()
    has_plane_scales: ClassVar[bool] = False

    @abstractmethod
    def code(self, weights: IntArray) -> WeightCode:
        """Return how these weights are stored, in as few bits as the kernel can.

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

    def extremes(self, dtype: DataType, weights: IntArray) -> tuple[IntArray, IntArray]:
        """Return inputs of the shape of ``weights`` that make their products least and greatest."""
        least = np.where(weights > 0, dtype.min, dtype.max)
        return least, dtype.min + dtype.max - least

    @abstractmethod
    def sum_dtype(self, dtype: DataType, code: WeightCode, simd: int) -> DataType:
        """Return the datatype of the sum of ``simd`` products, as ``dot_<name>.sv`` yields it.

        Modulo the accumulator's range where that is narrower. The 1 that may be left to add does
        not count.
        """

    def cycles(self, code: WeightCode, simd: int) -> int:
        """Return the cycles from the weights in a memory to the sum of ``simd`` products."""
        return 1

    def unrolled_cycles(self, code: WeightCode, simd: int, pe: int) -> int:
        """Return the cycles where all weights are constants, and there is no graph."""
        return self.cycles(code, simd)

    def graph(self, dtype: DataType, weights: IntArray) -> AdderGraph | None:
        """Return what an unrolled layer has instead of ``dot_<name>.sv``, or None."""
        return None

    @abstractmethod
    def to_codes(self, weights: IntArray, code: WeightCode) -> NDArray[np.uint64]:
        """Return the bit patterns of whole rows of weights as they are stored, same shape."""

    def to_memory(self, codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return bit patterns as a memory holds them.

        Args:
            codes: Of the weights of the sums in which they are added, shape ``(..., simd)``.
        """
        return codes

    @abstractmethod
    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """Return a random input datatype and weights ``(MH, MW)`` that the kernel takes."""

    @abstractmethod
    def cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int = 1) -> Cost:
        """Return the cost of the ``simd`` products of ``pe`` neurons and their sums."""

    def unrolled_cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int) -> Cost:
        """Return the cost where all weights are constants, and there is no graph."""
        return self.cost(dtype, code, simd, pe)


def weight_dtype(kernel: Kernel, weights: IntArray) -> DataType:
    """Return the narrowest datatype of integer weights.

    Raises:
        DatatypeError: They take more than ``MAX_WEIGHT_BITS``.
    """
    dtype = smallest_for(int(weights.min()), int(weights.max()))
    if dtype.bits > MAX_WEIGHT_BITS:
        widest = int(weights.reshape(-1)[np.abs(weights).argmax()])
        raise DatatypeError(
            f"kernel {kernel.name} takes weights of at most {MAX_WEIGHT_BITS} bits, got {widest}; "
            "quantize the layer to fewer bits"
        )
    return dtype


def signed_sum(terms: int, magnitude: int) -> DataType:
    """Return the datatype of a sum of ``terms`` integers from ``-magnitude`` to ``magnitude``."""
    return signed((terms * magnitude).bit_length() + 1)
