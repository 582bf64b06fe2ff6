"""What layers with weights share: products by a kernel, sums, optional thresholds."""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .. import cost
from ..cost import Cost
from ..dtypes import DataType, Encoding, IntArray, smallest_for, unsigned
from ..errors import GraphError
from ..graph import Stage
from ..module import MemoryImage
from ..packing import Bytes, pack_words
from .checks import check_ends
from .kernels import DOT_SOURCES, KERNELS, AdderGraph, Kernel, WeightCode
from .thresholds import Thresholds

# Modules of every layer besides its own.
SOURCES = (
    *("carried_sum", "counter", "credit_buffer", "delay", "neuron_end", "rom", "staircase"),
    *DOT_SOURCES,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer(Stage):
    """A stage with constant weights, ``pe`` neurons a cycle.

    Attributes:
        weights: Integers, shape ``(neurons, synapses)``.
        input_dtype: Datatype of a synapse.
        kernel: Name of the arithmetic, a key of ``KERNELS``.
        thresholds: Staircase on the accumulators, or None to yield the accumulators.
        leading: Dimensions before the channels, one vector each.
        pe: Neurons per cycle; divides the neurons.

    Raises:
        FoldingError: A fold does not divide its dimension.
        DatatypeError: The kernel does not take these inputs or weights.
        GraphError: Unknown kernel, or thresholds for another number of neurons.
    """

    axes: ClassVar[tuple[str, str]] = ("neurons", "synapses")
    # Cached properties that depend on weights, inputs and kernel alone.
    shared: ClassVar[tuple[str, ...]] = ("accumulator_range", "weight_bits")

    weights: IntArray
    input_dtype: DataType
    kernel: str
    thresholds: Thresholds | None = None
    leading: tuple[int, ...] = ()
    pe: int = 1

    def __post_init__(self) -> None:
        weights = np.array(self.weights, np.int64, order="C")
        if weights.ndim != 2 or not weights.size:
            axes = ", ".join(self.axes)
            raise GraphError(f"{self.name}: weights must be ({axes}), got shape {weights.shape}")
        weights.setflags(write=False)
        object.__setattr__(self, "weights", weights)
        if self.kernel not in KERNELS:
            raise GraphError(f"{self.name}: kernel {self.kernel!r} is none of {sorted(KERNELS)}")
        self.arithmetic.check_input(self.input_dtype)
        self.weight_code  # noqa: B018 (checks the weights)
        self._check_folds()

    def _check_folds(self) -> None:
        """Check all that does not depend on single weights."""
        check_ends(self)
        channels = self.neurons * self.borders
        if self.thresholds is not None and self.thresholds.channels != channels:
            times = f" and the border has {self.borders} classes" if self.borders > 1 else ""
            raise GraphError(
                f"{self.name}: thresholds for {self.thresholds.channels} channels, "
                f"but {self.axes[0]}={self.neurons}{times}"
            )

    @property
    def neurons(self) -> int:
        """Rows of the weights."""
        return int(self.weights.shape[0])

    @property
    def synapses(self) -> int:
        """Columns of the weights."""
        return int(self.weights.shape[1])

    @property
    def lanes(self) -> int:
        """Neurons per cycle."""
        return self.pe

    @property
    def neuron_folds(self) -> int:
        """Beats out per vector."""
        return self.neurons // self.lanes

    @property
    def products(self) -> int:
        """Products of a neuron in a cycle."""
        return 1

    @property
    def is_unrolled(self) -> bool:
        """Whether all weights are in use in every cycle: constants, in no memory."""
        return False

    @property
    def graph(self) -> AdderGraph | None:
        """Adder graph of an unrolled layer, or None where its kernel has none."""
        return self._graph if self.is_unrolled else None

    @cached_property
    def _graph(self) -> AdderGraph | None:
        return self.arithmetic.graph(self.input_dtype, self.weights)

    @property
    def borders(self) -> int:
        """Classes of positions with thresholds of their own."""
        return 1

    @property
    def arithmetic(self) -> Kernel:
        """The kernel object."""
        return KERNELS[self.kernel]

    @cached_property
    def weight_code(self) -> WeightCode:
        """How a weight is stored; raises where the kernel does not take the weights."""
        return self.arithmetic.code(self.weights)

    @cached_property
    def weight_codes(self) -> NDArray[np.uint64]:
        """Bit patterns of the weights, same shape."""
        return self.arithmetic.to_codes(self.weights, self.weight_code)

    @cached_property
    def weight_bits(self) -> int:
        """Bits of a stored weight that differ from its others in some weight: 1 for 0 and 1."""
        codes = np.unique(self.weight_codes)
        columns = {
            tuple(codes >> np.uint64(bit) & np.uint64(1)) for bit in range(self.weight_code.bits)
        }
        return sum(len(set(column)) > 1 for column in columns)

    @cached_property
    def accumulator_range(self) -> tuple[int, int]:
        """Least and greatest accumulator."""
        return self.arithmetic.accumulator_range(self.input_dtype, self.weights)

    @property
    def accumulator_dtype(self) -> DataType:
        """Narrowest datatype that holds every accumulator."""
        return smallest_for(*self.accumulator_range)

    @property
    def output_dtype(self) -> DataType:
        """Datatype of results, or of accumulators where there are no thresholds."""
        return self.thresholds.dtype if self.thresholds else self.accumulator_dtype

    def with_(self, **changes: Any) -> Self:
        """Return a copy with some fields changed.

        Weights and inputs that stay are not checked again, and what was computed from them stays.
        """
        if not changes.keys() <= {"inputs", "outputs", "thresholds", "leading", "simd", "pe"}:
            return super().with_(**changes)
        for name in self.shared:
            getattr(self, name)  # computed here, it serves all copies
        changed = copy(self)
        for name, value in changes.items():
            object.__setattr__(changed, name, value)
        changed._check_folds()
        return changed

    @abstractmethod
    def accumulators(self, x: IntArray) -> IntArray:
        """Return the integers before the thresholds, ``(images, *leading, neurons)``."""

    def sum_dtype(self, simd: int) -> DataType:
        """Return the datatype of the sum of ``simd`` products, at most as wide as accumulators."""
        dtype = self.arithmetic.sum_dtype(self.input_dtype, self.weight_code, simd)
        return DataType(dtype.encoding, min(dtype.bits, self.summed_dtype.bits))

    @property
    def summed_dtype(self) -> DataType:
        """Datatype of what is accumulated: accumulators, or the sums of their planes."""
        return self.accumulator_dtype

    @property
    def dot_cycles(self) -> int:
        """Cycles from the weights to the sum of products."""
        return self.arithmetic.cycles(self.weight_code, self.products)

    @property
    def latency(self) -> int:
        """Cycles from the operation that ends a sum to its beat.

        Weight memory, its output register, the sums of products, accumulator, output buffer.
        """
        return 4 + self.dot_cycles

    def parameters(self, words: int, simd: int) -> dict[str, int | str]:
        """Return the parameters of weights, kernel, accumulators and thresholds.

        Args:
            words: Of the weight memory.
            simd: Synapses of a neuron in a word.
        """
        width = self.lanes * simd * self.weight_code.bits
        sums = self.sum_dtype(simd)
        parameters: dict[str, int | str] = {
            "KERNEL": self.kernel,
            "PE": self.pe,
            "X_BITS": self.input_dtype.bits,
            "X_SIGNED": int(self.input_dtype.encoding is Encoding.SIGNED),
            "X_BIPOLAR": int(self.input_dtype.encoding is Encoding.BIPOLAR),
            "W_BITS": self.weight_code.bits,
            "W_FORM": self.weight_code.form,
            "W_LOW": self.weight_code.low,
            "W_HIGH": self.weight_code.high,
            "SUM_BITS": sums.bits,
            "SUM_SIGNED": int(sums.encoding is Encoding.SIGNED),
            "WEIGHTS_BLOCK": int(cost.is_block_rom(words, width)),
            "WEIGHTS_SLICE": cost.rom_slice(words, width),
            "DOT_CYCLES": self.dot_cycles,
            "ACC_BITS": self.accumulator_dtype.bits,
            "ACC_SIGNED": int(self.accumulator_dtype.encoding is Encoding.SIGNED),
            "OUT_BITS": self.output_dtype.bits,
        }
        if self.thresholds is not None:
            parameters |= self.thresholds.parameters(*self.accumulator_range, self.lanes)
        return parameters

    def weight_memory(self, words: NDArray[np.uint64], simd: int) -> MemoryImage:
        """Return the weight memory.

        Args:
            words: ``weight_codes`` in the order of the memory, shape ``(words, lanes * simd)``.
            simd: Synapses of a neuron in a word.
        """
        stored = self.arithmetic.to_memory(words.reshape(len(words), -1, simd))
        bits = self.weight_code.bits
        width = words.shape[1] * bits

        def packed(codes: NDArray[np.uint64]) -> Bytes:
            return pack_words(codes.reshape(words.shape).astype(np.int64), unsigned(bits))

        return MemoryImage(
            words=packed(stored),
            width_bits=width,
            slice_bits=cost.rom_slice(len(words), width),
            twin_words={family: packed(words) for family in self.arithmetic.plain_families},
        )

    def level_memory(self) -> dict[str, MemoryImage]:
        """Return the level memory where there are thresholds."""
        if self.thresholds is None:
            return {}
        return {"LEVELS_FILE": self.thresholds.memory(*self.accumulator_range, self.lanes)}

    def locate_weight(self, bit: int, simd: int) -> tuple[int, int]:
        """Return lane of the neurons and lane of the synapses that a bit of a weight word is of."""
        return divmod(bit // self.weight_code.bits, simd)

    def locate_level(self, word: int, bit: int) -> str:
        """Return what a bit of LEVELS_FILE stands for."""
        assert self.thresholds is not None
        return self.thresholds.locate(*self.accumulator_range, self.lanes, word, bit)

    def products_cost(self, words: int, simd: int, *, dots: int = 1) -> Cost:
        """Return the cost of the weight memory with its registers, and of the products.

        Args:
            words: Of the weight memory.
            simd: Products of each sum.
            dots: Vectors that are multiplied side by side, each with as many of the neurons.
        """
        if self.graph is not None:
            return self.graph.cost
        width = self.lanes * simd * self.weight_code.bits
        stored = self.lanes * simd * self.weight_bits
        if cost.is_block_rom(words, width):
            total = cost.memory(words, width) + cost.register(stored)
        else:
            total = cost.rom(words, stored) + cost.register(cost.distinct_bits(words, stored))
        of = self.arithmetic.unrolled_cost if self.is_unrolled else self.arithmetic.cost
        kernel = of(self.input_dtype, self.weight_code, simd, self.lanes // dots)
        if simd == 1 and self.weight_bits < self.weight_code.bits:
            # A product by 0 or 1 is a register that 0 resets, and leaves no 1 to add.
            kernel = Cost(ff=kernel.ff - self.lanes // dots)
        return total + kernel.times(dots)

    def end_cost(self, capacity: int) -> Cost:
        """Return the cost of ``neuron_end.sv`` with an output buffer of ``capacity`` beats."""
        total = cost.credit_buffer(capacity, self.lanes * self.output_dtype.bits)
        if self.thresholds is None:
            return total
        words = self.neuron_folds * self.borders
        return total + self.thresholds.cost(*self.accumulator_range, self.lanes, words)
