"""Stage ``matvec``: matrix-vector product with an exchangeable kernel and optional thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import DataType, IntArray, smallest_for, unsigned
from ..errors import GraphError
from ..graph import StreamType
from ..module import Module
from ..packing import pack_words
from ..schedule import Buffer, Pipe, Schedule, Thread, table
from .border import Border, random_border
from .checks import check_fold
from .kernels import KERNELS, Coded
from .layer import SOURCES, Layer
from .matvec_cost import matvec_cost
from .scaled_planes import ScaledPlanes
from .thresholds import Thresholds

# A beat of a kept vector is there in the cycle after it was written.
WRITE_LATENCY = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class MatVec(Layer):
    """Matrix-vector product, folded over ``simd`` synapses and ``pe`` neurons a cycle.

    With groups, a vector is one part after the other, and each part is multiplied by the weights of
    its own neurons, group by group.

    Neuron fold ``nf`` holds neurons ``nf * pe`` to ``nf * pe + pe - 1``, synapse fold ``sf`` alike.
    Each neuron fold takes ``MW / simd`` cycles and yields one beat of ``pe`` neurons. Several of a
    group read the vector from a buffer, which takes the next one meanwhile. See ``Layer`` for the
    fields that every layer has.

    Attributes:
        weights: Integers, shape ``(MH, MW)``: neurons of all groups, synapses of one neuron.
        groups: Groups of neurons, each of which sees MW elements of the vector of its own.
        border: Classes of positions with thresholds of their own, or None. ``leading`` is then
            (rows, columns), and ``thresholds`` has MH channels for each class, class 0 first.
        simd: Synapses per cycle; divides MW.
        pe: Neurons per cycle; divides the neurons of a group.

    Raises:
        FoldingError: ``simd`` or ``pe`` does not divide its dimension.
        DatatypeError: The kernel does not take these inputs or weights.
        GraphError: Unknown kernel, thresholds for another number of neurons, or a border without
            thresholds or for another shape.
    """

    kind: ClassVar[str] = "matvec"
    axes: ClassVar[tuple[str, str]] = ("MH", "MW")
    shared: ClassVar[tuple[str, ...]] = (*Layer.shared, "_plane_scales", "_plane_dtype")

    groups: int = 1
    border: Border | None = None
    simd: int = 1

    def _check_folds(self) -> None:
        check_fold(self, "simd", "MW", self.synapses)
        if self.groups < 1 or self.neurons % self.groups:
            raise GraphError(f"{self.name}: groups={self.groups} must divide MH={self.neurons}")
        of = "MH" if self.groups == 1 else "MH / groups"
        check_fold(self, "pe", of, self.neurons // self.groups)
        if self.border is not None and self.thresholds is None:
            raise GraphError(f"{self.name}: a border needs thresholds")
        if self.border is not None and self.border.map.shape != self.leading:
            raise GraphError(
                f"{self.name}: the border is for {self.border.map.shape} positions, "
                f"but leading={self.leading}"
            )
        super()._check_folds()

    @property
    def borders(self) -> int:
        """Classes of positions with thresholds of their own."""
        return self.border.classes if self.border else 1

    @property
    def synapse_folds(self) -> int:
        """Beats in per vector."""
        return self.synapses // self.simd

    @property
    def is_unrolled(self) -> bool:
        """Whether all weights are in use in every cycle: constants, in no memory."""
        return self.simd == self.synapses and self.pe == self.neurons

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """Neurons of a group and synapses."""
        return {"pe": self.neurons // self.groups, "simd": self.synapses}

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """Vectors of MW synapses for each group, ``simd`` lanes."""
        shape = (*self.leading, self.groups * self.synapses)
        return (StreamType(dtype=self.input_dtype, shape=shape, lanes=self.simd),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """Vectors of MH accumulators or results, ``pe`` lanes."""
        shape = (*self.leading, self.neurons)
        return (StreamType(dtype=self.output_dtype, shape=shape, lanes=self.pe),)

    def accumulators(self, x: IntArray) -> IntArray:
        """Return the integers before the thresholds, ``(images, *leading, MH)``."""
        parts = np.split(x, self.groups, axis=-1)
        weights = np.split(self.weights, self.groups)
        sums = map(self.arithmetic.accumulate, parts, weights)
        return np.concatenate(list(sums), axis=-1)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return accumulators, through the thresholds where there are some."""
        (x,) = inputs
        sums = self.accumulators(x)
        if self.thresholds is None:
            return (sums,)
        if self.border is None:
            return (self.thresholds.execute(sums),)
        return (self.border.execute(self.thresholds, sums),)

    @property
    def is_vector_block(self) -> bool:
        """Whether the vectors that several neuron folds read are in block RAM."""
        width = self.simd * self.input_dtype.bits
        return self.neuron_folds > self.groups and cost.is_block_ram(self.kept_words, width)

    @property
    def kept_words(self) -> int:
        """Words of the memory of two vectors, each of a power of two."""
        return 2 << (self.synapse_folds - 1).bit_length()

    @property
    def products(self) -> int:
        """Products of a neuron in a cycle."""
        return self.simd

    @property
    def dot_cycles(self) -> int:
        """Cycles from the weights to the sum of products."""
        if self.graph is not None:
            # The first register is there when the weights of a memory come.
            return self.graph.registers - 1
        if self.is_unrolled:
            return self.arithmetic.unrolled_cycles(self.weight_code, self.simd, self.pe)
        return super().dot_cycles

    @property
    def latency(self) -> int:
        """Cycles from the operation that ends a sum to its beat.

        One more for vectors in blocks, and those that plane scales take.
        """
        scaled = self.scaled_planes
        return super().latency + self.is_vector_block + (scaled.cycles if scaled else 0)

    @cached_property
    def _plane_scales(self) -> IntArray | None:
        arithmetic = self.arithmetic
        if not isinstance(arithmetic, Coded):
            return None
        return arithmetic.scales(self.weights, self.weight_code)

    @cached_property
    def _plane_dtype(self) -> DataType | None:
        arithmetic = self.arithmetic
        if not isinstance(arithmetic, Coded):
            return None
        low, high = arithmetic.accumulator_range(self.input_dtype, arithmetic.signs(self.weights))
        return smallest_for(min(low, -1), high)

    @property
    def summed_dtype(self) -> DataType:
        """Datatype of what is accumulated: accumulators, or the sums of their planes, signed."""
        return self._plane_dtype or self.accumulator_dtype

    @property
    def scaled_planes(self) -> ScaledPlanes | None:
        """What weighs the sums of planes, or None where accumulators are summed at once."""
        if self._plane_scales is None:
            return None
        return ScaledPlanes(
            scales=self._plane_scales,
            scale_bits=self.weight_code.high,
            pe=self.pe,
            interval=self.synapse_folds,
            is_constant=self.is_unrolled,
            sum_bits=self.summed_dtype.bits,
        )

    def schedule(self) -> Schedule:
        """An operation for each neuron and synapse fold of a group, each fold yields a beat.

        A single neuron fold takes a beat of the vector in each operation. For several, a thread
        writes up to two vectors into a buffer, which the first fold of operations reads as they
        come, and the last one frees.
        """
        folds, words = self.neuron_folds // self.groups, self.synapse_folds
        yields = {"m_axis": table(folds * words, slice(words - 1, None, words))}
        reading = {"s_axis": table(words, slice(None))}
        pipes = {"m_axis": Pipe(latency=self.latency, capacity=self.capacity)}
        if folds == 1:
            return Schedule(threads=(Thread(consumes=reading, produces=yields),), pipes=pipes)
        needs = np.full(folds * words, words, np.int32)
        needs[:words] = np.arange(1, words + 1)
        releases = np.zeros(folds * words, np.int32)
        releases[-1] = words
        buffer = Buffer(
            writer=0,
            reader=1,
            capacity=2 * words,
            latency=WRITE_LATENCY,
            needs=needs,
            releases=releases,
        )
        return Schedule(
            threads=(
                Thread(consumes=reading, produces={}),
                Thread(consumes={}, produces=yields),
            ),
            pipes=pipes,
            buffers=(buffer,),
        )

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> MatVec:
        """Any kernel, see :meth:`random_with`."""
        return cls.random_with(str(rng.choice(sorted(KERNELS))), name, rng)

    @classmethod
    def random_with(cls, kernel: str, name: str, rng: np.random.Generator) -> MatVec:
        """Return up to 5 x 9 folds, groups, thresholds and borders or none; simd up to 40."""
        simd = int(rng.integers(1, 10) if rng.random() < 3 / 4 else rng.integers(10, 41))
        pe = int(rng.integers(1, 4))
        groups = int(rng.choice([1, 1, 2, 3]))
        folds = int(rng.integers(1, 7 if groups == 1 else 4))
        shape = (groups * pe * folds, simd * int(rng.integers(1, 6)))
        return cls._random(kernel, name, shape, rng, groups=groups, simd=simd, pe=pe)

    @classmethod
    def random_unrolled(cls, kernel: str, name: str, rng: np.random.Generator) -> MatVec:
        """Return a layer of which all weights are constants, up to 16 neurons of 24 synapses."""
        shape = (int(rng.integers(1, 17)), int(rng.integers(1, 25)))
        return cls._random(kernel, name, shape, rng, groups=1, simd=shape[1], pe=shape[0])

    @classmethod
    def _random(
        cls,
        kernel: str,
        name: str,
        shape: tuple[int, int],
        rng: np.random.Generator,
        *,
        groups: int,
        simd: int,
        pe: int,
    ) -> MatVec:
        """Return a layer of random weights, thresholds and borders or none."""
        input_dtype, weights = KERNELS[kernel].random(shape, rng)
        stage = cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=(f"{name}_y0",),
            weights=weights,
            input_dtype=input_dtype,
            kernel=kernel,
            groups=groups,
            leading=((), (3,))[rng.integers(0, 2)],
            simd=simd,
            pe=pe,
        )
        if rng.random() < 1 / 3:
            return stage
        inputs = input_dtype.random((16, stage.groups * stage.synapses), rng)
        samples = stage.accumulators(inputs)
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
        for image in range(0, images, 2):
            row = self.weights[rng.integers(0, self.neurons)]
            least, greatest = self.arithmetic.extremes(self.input_dtype, row)
            x[image] = np.tile(greatest if image % 4 else least, self.groups)
        return (x,)

    @property
    def capacity(self) -> int:
        """Beats of the output buffer that keep the rate of one beat per neuron fold."""
        return math.ceil((self.latency + 1) / self.synapse_folds)

    def locate(self, parameter: str, word: int, bit: int) -> str:
        """Return the neuron and synapse of a bit of WEIGHTS_FILE, or what another memory holds."""
        if parameter == "SCALES_FILE":
            assert self.scaled_planes is not None
            return self.scaled_planes.locate(word, bit)
        if parameter == "LEVELS_FILE":
            border, fold = divmod(word, self.neuron_folds)
            found = self.locate_level(fold, bit)
            return found if self.border is None else f"{found}, border class {border}"
        if parameter in ("ROWS_FILE", "COLUMNS_FILE"):
            return f"border class of {'row' if parameter == 'ROWS_FILE' else 'column'} {word}"
        neuron_fold, synapse_fold = divmod(word, self.synapse_folds)
        neuron, synapse = self.locate_weight(bit, self.simd)
        return (
            f"channel {neuron_fold * self.pe + neuron}, weight {synapse_fold * self.simd + synapse}"
        )

    def cost(self) -> Cost:
        """See :func:`matvec_cost`."""
        return matvec_cost(self)

    def module(self) -> Module:
        """``matvec.sv``; weight word ``nf * synapse_folds + sf``, lane ``pe_index * simd + s``."""
        shape = (self.neuron_folds, self.pe, self.synapse_folds, self.simd)
        blocks = self.weight_codes.reshape(shape)
        words = blocks.transpose(0, 2, 1, 3).reshape(-1, self.pe * self.simd)
        memories = self.level_memory()
        parameters: dict[str, int | str] = {
            "MW": self.synapses,
            "MH": self.neurons,
            "GROUPS": self.groups,
            "SIMD": self.simd,
            "CAPACITY": self.capacity,
            "VECTOR_BLOCK": int(self.is_vector_block),
            **self.parameters(len(words), self.simd),
        }
        if self.scaled_planes is not None:
            parameters |= self.scaled_planes.parameters()
            memories |= self.scaled_planes.memory()
        if isinstance(self.arithmetic, Coded):
            form = self.arithmetic.form(self.input_dtype, self.weight_code, self.simd, self.pe)
            parameters["W_FORM"] = form
        if self.graph is not None:
            parameters |= {"UNROLLED": 1, **self.graph.parameters()}
        elif self.is_unrolled:
            bits = self.weight_code.bits
            constants = pack_words(words.astype(np.int64), unsigned(bits))
            parameters |= {
                "UNROLLED": 1,
                "WEIGHTS": int.from_bytes(constants.tobytes(), "little"),
            }
        else:
            memories = {"WEIGHTS_FILE": self.weight_memory(words, self.simd), **memories}
        if self.border is not None:
            parameters |= self.border.parameters()
            memories |= self.border.memories(self.neuron_folds)
        sources = ("border", "ram", "replay", "scaled_planes", *SOURCES)
        return Module(name="matvec", parameters=parameters, memories=memories, sources=sources)
