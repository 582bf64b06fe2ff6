"""Stage ``matvec``: matrix-vector product with an exchangeable kernel and optional thresholds."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import DataType, Encoding, IntArray, smallest_for
from ..errors import FoldingError, GraphError
from ..graph import Stage, StreamType
from ..module import MemoryImage, Module
from ..packing import pack_words
from ..schedule import Pipe, Schedule, Thread, table
from .border import Border, random_border
from .kernels import KERNELS, Kernel
from .thresholds import Thresholds

# Weight memory, its output register, the sum of products, the accumulator, the output buffer.
LATENCY = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class MatVec(Stage):
    """Matrix-vector product, folded over ``simd`` synapses and ``pe`` neurons a cycle.

    Neuron fold ``nf`` holds neurons ``nf * pe`` to ``nf * pe + pe - 1``, synapse fold ``sf`` alike.
    The vector is read while the first neuron fold is computed and replayed for the others; each
    neuron fold takes ``MW / simd`` cycles and yields one beat of ``pe`` neurons.

    Attributes:
        weights: Integers, shape ``(MH, MW)``: neurons, synapses.
        input_dtype: Datatype of a synapse.
        kernel: Name of the arithmetic, a key of ``KERNELS``.
        thresholds: Staircase on the accumulators, or None to yield the accumulators.
        border: Classes of positions with thresholds of their own, or None. ``leading`` is then
            (rows, columns), and ``thresholds`` has MH channels for each class, class 0 first.
        leading: Dimensions before the channels, one vector each.
        simd: Synapses per cycle; divides MW.
        pe: Neurons per cycle; divides MH.

    Raises:
        FoldingError: ``simd`` or ``pe`` does not divide its dimension.
        DatatypeError: The kernel does not take these inputs or weights.
        GraphError: Unknown kernel, thresholds for another number of neurons, or a border without
            thresholds or for another shape.
    """

    kind: ClassVar[str] = "matvec"

    weights: IntArray
    input_dtype: DataType
    kernel: str
    thresholds: Thresholds | None = None
    border: Border | None = None
    leading: tuple[int, ...] = ()
    simd: int = 1
    pe: int = 1

    def __post_init__(self) -> None:
        weights = np.array(self.weights, np.int64, order="C")
        if weights.ndim != 2 or not weights.size:
            raise GraphError(f"{self.name}: weights must be (MH, MW), got shape {weights.shape}")
        weights.setflags(write=False)
        object.__setattr__(self, "weights", weights)
        if self.kernel not in KERNELS:
            raise GraphError(f"{self.name}: kernel {self.kernel!r} is none of {sorted(KERNELS)}")
        self.arithmetic.check_input(self.input_dtype)
        self.weight_dtype  # noqa: B018 (checks the weights)
        self._check_folds()

    def _check_folds(self) -> None:
        """Check all that does not depend on single weights."""
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            raise GraphError(f"{self.name}: a matvec has one input and one output")
        for field, fold, label, size in (
            ("simd", self.simd, "MW", self.synapses),
            ("pe", self.pe, "MH", self.neurons),
        ):
            if fold < 1 or size % fold:
                raise FoldingError(f"{self.name}: {field}={fold} must divide {label}={size}")
        self._check_border()
        if self.thresholds is not None and self.thresholds.channels != self.neurons * self.borders:
            times = f" and the border has {self.borders} classes" if self.border else ""
            raise GraphError(
                f"{self.name}: thresholds for {self.thresholds.channels} channels, "
                f"but MH={self.neurons}{times}"
            )

    def _check_border(self) -> None:
        if self.border is None:
            return
        if self.thresholds is None:
            raise GraphError(f"{self.name}: a border needs thresholds")
        if self.border.map.shape != self.leading:
            raise GraphError(
                f"{self.name}: the border is for {self.border.map.shape} positions, "
                f"but leading={self.leading}"
            )

    @property
    def neurons(self) -> int:
        """Rows of the matrix, MH in FINN."""
        return int(self.weights.shape[0])

    @property
    def synapses(self) -> int:
        """Columns of the matrix, MW in FINN."""
        return int(self.weights.shape[1])

    @property
    def borders(self) -> int:
        """Classes of positions with thresholds of their own."""
        return self.border.classes if self.border else 1

    @property
    def arithmetic(self) -> Kernel:
        """The kernel object."""
        return KERNELS[self.kernel]

    @property
    def neuron_folds(self) -> int:
        """Beats out per vector."""
        return self.neurons // self.pe

    @property
    def synapse_folds(self) -> int:
        """Beats in per vector."""
        return self.synapses // self.simd

    @cached_property
    def weight_dtype(self) -> DataType:
        """Encoding of a stored weight; raises where the kernel does not take the weights."""
        return self.arithmetic.weight_dtype(self.weights)

    @cached_property
    def accumulator_range(self) -> tuple[int, int]:
        """Least and greatest accumulator."""
        return self.arithmetic.accumulator_range(self.input_dtype, self.weights)

    @property
    def accumulator_dtype(self) -> DataType:
        """Narrowest datatype that holds every accumulator."""
        return smallest_for(*self.accumulator_range)

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """Vectors of MW synapses, ``simd`` lanes."""
        shape = (*self.leading, self.synapses)
        return (StreamType(dtype=self.input_dtype, shape=shape, lanes=self.simd),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """Vectors of MH accumulators or results, ``pe`` lanes."""
        dtype = self.thresholds.dtype if self.thresholds else self.accumulator_dtype
        return (StreamType(dtype=dtype, shape=(*self.leading, self.neurons), lanes=self.pe),)

    def with_(self, **changes: Any) -> Self:
        """Return a copy with some fields changed.

        Weights and inputs that stay are not checked again, and what was computed from them stays.
        """
        if not changes.keys() <= {"inputs", "outputs", "thresholds", "leading", "simd", "pe"}:
            return super().with_(**changes)
        self.accumulator_range  # noqa: B018 (computed here, it serves all copies)
        changed = copy(self)
        for name, value in changes.items():
            object.__setattr__(changed, name, value)
        changed._check_folds()
        return changed

    def accumulators(self, x: IntArray) -> IntArray:
        """Return the integers before the thresholds, ``(images, *leading, MH)``."""
        return self.arithmetic.accumulate(x, self.weights)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return accumulators, through the thresholds where there are some."""
        (x,) = inputs
        sums = self.accumulators(x)
        if self.thresholds is None:
            return (sums,)
        if self.border is None:
            return (self.thresholds.execute(sums),)
        return (self.border.execute(self.thresholds, sums),)

    def schedule(self) -> Schedule:
        """``neuron_folds x synapse_folds`` operations; see the class for which beats they move."""
        operations = self.neuron_folds * self.synapse_folds
        last_of_fold = slice(self.synapse_folds - 1, None, self.synapse_folds)
        thread = Thread(
            consumes={"s_axis": table(operations, slice(0, self.synapse_folds))},
            produces={"m_axis": table(operations, last_of_fold)},
        )
        return Schedule(
            threads=(thread,), pipes={"m_axis": Pipe(latency=LATENCY, capacity=self._capacity)}
        )

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> MatVec:
        """Up to 5 x 6 folds, either kernel, with or without thresholds and borders."""
        simd, pe = int(rng.integers(1, 10)), int(rng.integers(1, 5))
        shape = (pe * int(rng.integers(1, 7)), simd * int(rng.integers(1, 6)))
        kernel = str(rng.choice(sorted(KERNELS)))
        input_dtype, weights = KERNELS[kernel].random(shape, rng)
        stage = cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=(f"{name}_y0",),
            weights=weights,
            input_dtype=input_dtype,
            kernel=kernel,
            leading=((), (3,))[rng.integers(0, 2)],
            simd=simd,
            pe=pe,
        )
        if rng.random() < 1 / 3:
            return stage
        samples = stage.accumulators(input_dtype.random((16, stage.synapses), rng))
        if rng.random() < 2 / 3:
            return stage.with_(thresholds=Thresholds.random(samples, rng))
        border = random_border(rng)
        return stage.with_(
            thresholds=Thresholds.random(np.tile(samples, border.classes), rng),
            border=border,
            leading=border.map.shape,
        )

    def stimulus(self, images: int, rng: np.random.Generator) -> tuple[IntArray, ...]:
        """Every second image drives one neuron to its greatest or least accumulator."""
        (x,) = super().stimulus(images, rng)
        low, high = self.input_dtype.min, self.input_dtype.max
        for image in range(0, images, 2):
            row = self.weights[rng.integers(0, self.neurons)]
            greatest = np.where(row > 0, high, low)
            x[image] = greatest if image % 4 else low + high - greatest
        return (x,)

    @property
    def _sum_bits(self) -> int:
        """Bits of the sum of one cycle's products."""
        if self.kernel == "xnor":
            return self.simd.bit_length()
        return min(
            self.input_dtype.bits + 1 + (self.simd - 1).bit_length(), self.accumulator_dtype.bits
        )

    @property
    def _capacity(self) -> int:
        """Beats of the output buffer that keep the rate of one beat per neuron fold."""
        return math.ceil((LATENCY + 1) / self.synapse_folds)

    def locate(self, parameter: str, word: int, bit: int) -> str:
        """Return the neuron and synapse of a bit of WEIGHTS_FILE, or the level of LEVELS_FILE."""
        if parameter == "LEVELS_FILE" and self.thresholds is not None:
            border, fold = divmod(word, self.neuron_folds)
            found = self.thresholds.locate(*self.accumulator_range, self.pe, fold, bit)
            return found if self.border is None else f"{found}, border class {border}"
        if parameter in ("ROWS_FILE", "COLUMNS_FILE"):
            return f"border class of {'row' if parameter == 'ROWS_FILE' else 'column'} {word}"
        neuron_fold, synapse_fold = divmod(word, self.synapse_folds)
        lane = bit // self.weight_dtype.bits
        neuron = neuron_fold * self.pe + lane // self.simd
        synapse = synapse_fold * self.simd + lane % self.simd
        return f"channel {neuron}, weight {synapse}"

    def cost(self) -> Cost:
        """Control, vector, weight memory, kernels, accumulators, thresholds, output buffer."""
        weight_bits = self.pe * self.simd * self.weight_dtype.bits
        words = self.neuron_folds * self.synapse_folds
        total = self._control_cost() + self._vector_cost() + cost.memory(words, weight_bits)
        is_block = cost.is_block_rom(words, weight_bits)
        total += cost.register(weight_bits if is_block else cost.distinct_bits(words, weight_bits))
        total += self.arithmetic.cost(self.input_dtype, self.weight_dtype, self.simd, self.pe)
        if self.synapse_folds > 1:
            bits = self.accumulator_dtype.bits
            # A LUT a bit before the adder, which starts a sum from 0.
            accumulator = cost.adder(bits) + Cost(lut=bits, ff=bits)
        else:
            accumulator = cost.register(self._sum_bits)
        total += accumulator.times(self.pe)
        if self.thresholds is not None:
            total += self._thresholds_cost(self.thresholds)
        return total + cost.credit_buffer(self._capacity, self.output_types[0].width_bits)

    def _control_cost(self) -> Cost:
        """Counters of folds and words, four valid bits, what fires and what becomes valid."""
        total = cost.counter(self.synapse_folds) + cost.counter(self.neuron_folds)
        if self.synapse_folds > 1:
            total += cost.register(6)  # first and last, three cycles each
        is_power = self.synapse_folds.bit_count() == 1
        if self.neuron_folds > 1 and not is_power:
            total += cost.counter(self.neuron_folds * self.synapse_folds)
        return total + Cost(lut=6, ff=4)

    def _vector_cost(self) -> Cost:
        """Two registers, and the memory that replays the vector."""
        beat_bits = self.simd * self.input_dtype.bits
        total = cost.register(2 * beat_bits)
        if self.neuron_folds > 1:
            total += cost.lut_ram(self.synapse_folds, beat_bits) + Cost(lut=beat_bits)
        return total

    def _thresholds_cost(self, thresholds: Thresholds) -> Cost:
        """Level memory, staircases, the address of the levels on its way there, borders."""
        low, high = self.accumulator_range
        level_bits = thresholds.level_dtype(low, high).bits
        words = self.neuron_folds * self.borders
        word_bits = thresholds.word_bits(low, high, self.pe)
        is_block = cost.is_block_rom(words, word_bits)
        # A register behind the memory, as for the weights.
        total = cost.memory(words, word_bits)
        total += cost.register(word_bits if is_block else cost.distinct_bits(words, word_bits))
        total += thresholds.cost(level_bits, words).times(self.pe)
        address = (words - 1).bit_length()
        total += cost.register(2 * address)
        if self.border is not None:
            for positions in self.border.map.shape:
                total += cost.memory(positions, address) + cost.counter(positions)
                total += cost.adder(address)
        return total

    def module(self) -> Module:
        """``matvec.sv``; weight word ``nf * synapse_folds + sf``, lane ``pe_index * simd + s``."""
        blocks = self.weights.reshape(self.neuron_folds, self.pe, self.synapse_folds, self.simd)
        words = blocks.transpose(0, 2, 1, 3).reshape(-1, self.pe * self.simd)
        weight_bits = self.pe * self.simd * self.weight_dtype.bits
        memories = {
            "WEIGHTS_FILE": MemoryImage(
                words=pack_words(words, self.weight_dtype),
                width_bits=weight_bits,
            )
        }
        parameters: dict[str, int | str] = {
            "KERNEL": self.kernel,
            "MW": self.synapses,
            "MH": self.neurons,
            "SIMD": self.simd,
            "PE": self.pe,
            "X_BITS": self.input_dtype.bits,
            "X_SIGNED": int(self.input_dtype.encoding is Encoding.SIGNED),
            "X_BIPOLAR": int(self.input_dtype.encoding is Encoding.BIPOLAR),
            "W_BITS": self.weight_dtype.bits,
            "ACC_BITS": self.accumulator_dtype.bits,
            "ACC_SIGNED": int(self.accumulator_dtype.encoding is Encoding.SIGNED),
            "CAPACITY": self._capacity,
            "WEIGHTS_BLOCK": int(cost.is_block_rom(len(words), weight_bits)),
            "OUT_BITS": self.output_types[0].dtype.bits,
        }
        if self.thresholds is not None:
            levels, width = self.thresholds.image(*self.accumulator_range, self.pe)
            memories["LEVELS_FILE"] = MemoryImage(words=levels, width_bits=width)
            parameters |= {
                "STEPS": self.thresholds.steps,
                "LEVEL_BITS": self.thresholds.level_dtype(*self.accumulator_range).bits,
                "BASE": self.thresholds.base,
                "LEVELS_BLOCK": int(cost.is_block_rom(len(levels), width)),
            }
        if self.border is not None:
            rows, columns = self.border.map.shape
            parameters |= {"BORDERS": self.borders, "OUT_HEIGHT": rows, "OUT_WIDTH": columns}
            memories["ROWS_FILE"] = self._level_offsets(
                self.border.rows, self.border.column_classes * self.neuron_folds
            )
            memories["COLUMNS_FILE"] = self._level_offsets(self.border.columns, self.neuron_folds)
        sources = ("dot_xnor", "dot_signed", "popcount", "staircase", "credit_buffer")
        return Module(name="matvec", parameters=parameters, memories=memories, sources=sources)

    def _level_offsets(self, classes: tuple[int, ...], words: int) -> MemoryImage:
        """Return ``words`` times each class, in the bits of an address of the level memory."""
        dtype = smallest_for(0, self.borders * self.neuron_folds - 1)
        offsets = words * np.array(classes, np.int64)[:, None]
        return MemoryImage(words=pack_words(offsets, dtype), width_bits=dtype.bits)
