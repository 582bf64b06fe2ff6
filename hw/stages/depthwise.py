"""Stage ``depthwise``: one small dot product per channel of a window, with optional thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import DataType, Encoding, IntArray, smallest_for
from ..errors import FoldingError, GraphError
from ..graph import Stage, StreamType
from ..module import MemoryImage, Module
from ..packing import pack_words
from ..schedule import Pipe, Schedule, Thread, table
from .kernels import KERNELS, Kernel
from .thresholds import Thresholds

# Weight memory, its output register, the product, the accumulator, the output buffer.
LATENCY = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Depthwise(Stage):
    """Depthwise convolution of a window stream, ``pe`` channels of one tap a cycle.

    A window comes in the order (tap, channel), so every fold of ``pe`` channels has an accumulator.
    The beats of the last tap yield the results.

    Attributes:
        weights: Integers, shape ``(channels, taps)``.
        input_dtype: Datatype of an element.
        kernel: Name of the arithmetic, a key of ``KERNELS``.
        thresholds: Staircase on the accumulators, or None to yield the accumulators.
        leading: Dimensions before the window, ``(OH, OW)``.
        pe: Channels per cycle; divides the channels.

    Raises:
        FoldingError: ``pe`` does not divide the channels.
        DatatypeError: The kernel does not take these inputs or weights.
        GraphError: Unknown kernel, or thresholds for another number of channels.
    """

    kind: ClassVar[str] = "depthwise"

    weights: IntArray
    input_dtype: DataType
    kernel: str
    thresholds: Thresholds | None = None
    leading: tuple[int, ...] = ()
    pe: int = 1

    def __post_init__(self) -> None:
        weights = np.array(self.weights, np.int64, order="C")
        if weights.ndim != 2 or not weights.size:
            raise GraphError(
                f"{self.name}: weights must be (channels, taps), got shape {weights.shape}"
            )
        weights.setflags(write=False)
        object.__setattr__(self, "weights", weights)
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            raise GraphError(f"{self.name}: a depthwise has one input and one output")
        if self.kernel not in KERNELS:
            raise GraphError(f"{self.name}: kernel {self.kernel!r} is none of {sorted(KERNELS)}")
        self.arithmetic.check_input(self.input_dtype)
        self.arithmetic.weight_dtype(weights)
        if self.pe < 1 or self.channels % self.pe:
            raise FoldingError(f"{self.name}: pe={self.pe} must divide channels={self.channels}")
        if self.thresholds is not None and self.thresholds.channels != self.channels:
            raise GraphError(
                f"{self.name}: thresholds for {self.thresholds.channels} channels, "
                f"but there are {self.channels}"
            )

    @property
    def channels(self) -> int:
        """Channels of the window and of the result."""
        return int(self.weights.shape[0])

    @property
    def taps(self) -> int:
        """Elements of a channel in a window."""
        return int(self.weights.shape[1])

    @property
    def folds(self) -> int:
        """Beats of a tap."""
        return self.channels // self.pe

    @property
    def arithmetic(self) -> Kernel:
        """The kernel object."""
        return KERNELS[self.kernel]

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
        """Windows in the order (tap, channel), ``pe`` lanes."""
        shape = (*self.leading, self.taps * self.channels)
        return (StreamType(dtype=self.input_dtype, shape=shape, lanes=self.pe),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """Accumulators or results of each channel, ``pe`` lanes."""
        dtype = self.thresholds.dtype if self.thresholds else self.accumulator_dtype
        return (StreamType(dtype=dtype, shape=(*self.leading, self.channels), lanes=self.pe),)

    def accumulators(self, x: IntArray) -> IntArray:
        """Return the integers before the thresholds, ``(images, *leading, channels)``."""
        windows = x.reshape(*x.shape[:-1], self.taps, self.channels)
        sums = [
            self.arithmetic.accumulate(windows[..., c], self.weights[c : c + 1])
            for c in range(self.channels)
        ]
        return np.concatenate(sums, axis=-1)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return accumulators, through the thresholds where there are some."""
        (x,) = inputs
        sums = self.accumulators(x)
        return (self.thresholds.execute(sums) if self.thresholds else sums,)

    def schedule(self) -> Schedule:
        """A beat in every cycle, a beat out with each one of the last tap."""
        operations = self.taps * self.folds
        thread = Thread(
            consumes={"s_axis": table(operations, slice(None))},
            produces={"m_axis": table(operations, slice(-self.folds, None))},
        )
        return Schedule(
            threads=(thread,), pipes={"m_axis": Pipe(latency=LATENCY, capacity=self._capacity)}
        )

    @property
    def _capacity(self) -> int:
        """Beats of the output buffer that keep the rate: as many as may be on their way."""
        window = self.taps * self.folds
        images, rest = divmod(LATENCY + 1, window)
        return images * self.folds + min(rest, self.folds)

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Depthwise:
        """Up to 9 taps and 4 folds, either kernel, with or without thresholds."""
        pe = int(rng.integers(1, 5))
        shape = (pe * int(rng.integers(1, 5)), int(rng.integers(1, 10)))
        kernel = str(rng.choice(sorted(KERNELS)))
        input_dtype, weights = KERNELS[kernel].random(shape, rng)
        stage = cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=(f"{name}_y0",),
            weights=weights,
            input_dtype=input_dtype,
            kernel=kernel,
            leading=((), (2, 3))[rng.integers(0, 2)],
            pe=pe,
        )
        if rng.random() < 1 / 3:
            return stage
        samples = stage.accumulators(input_dtype.random((16, shape[0] * shape[1]), rng))
        return stage.with_(thresholds=Thresholds.random(samples, rng))

    def stimulus(self, images: int, rng: np.random.Generator) -> tuple[IntArray, ...]:
        """Every second image drives all channels to their greatest or least accumulators."""
        (x,) = super().stimulus(images, rng)
        low, high = self.input_dtype.min, self.input_dtype.max
        greatest = np.where(self.weights.T > 0, high, low).reshape(-1)
        for image in range(0, images, 2):
            x[image] = greatest if image % 4 else low + high - greatest
        return (x,)

    def locate(self, parameter: str, word: int, bit: int) -> str:
        """Return the channel and tap of a bit of WEIGHTS_FILE, or the level of LEVELS_FILE."""
        if parameter == "LEVELS_FILE" and self.thresholds is not None:
            return self.thresholds.locate(*self.accumulator_range, self.pe, word, bit)
        tap, fold = divmod(word, self.folds)
        lane = bit // self.arithmetic.weight_dtype(self.weights).bits
        return f"channel {fold * self.pe + lane}, weight {tap}"

    def cost(self) -> Cost:
        """Weight memory, kernels, accumulators, thresholds, output buffer."""
        weight_dtype = self.arithmetic.weight_dtype(self.weights)
        weight_bits = self.pe * weight_dtype.bits
        accumulator_bits = self.accumulator_dtype.bits
        total = cost.memory(self.taps * self.folds, weight_bits)
        total += cost.register(2 * self.input_types[0].width_bits + weight_bits)
        for _ in range(self.pe):
            total += self.arithmetic.cost(self.input_dtype, weight_dtype, 1)
            total += cost.adder(accumulator_bits) + cost.register(2 * accumulator_bits)
        if self.folds > 1:
            total += cost.lut_ram(self.folds, self.pe * accumulator_bits)
        if self.thresholds is not None:
            for _ in range(self.pe * self.thresholds.steps):
                total += cost.adder(accumulator_bits)
            levels, width = self.thresholds.image(*self.accumulator_range, self.pe)
            total += cost.memory(len(levels), width)
        return total + cost.lut_ram(self._capacity, self.output_types[0].width_bits)

    def module(self) -> Module:
        """``depthwise.sv``; weight word ``tap * folds + fold``."""
        weight_dtype = self.arithmetic.weight_dtype(self.weights)
        words = np.ascontiguousarray(self.weights.T).reshape(-1, self.pe)
        memories = {
            "WEIGHTS_FILE": MemoryImage(
                words=pack_words(words, weight_dtype), width_bits=self.pe * weight_dtype.bits
            )
        }
        parameters: dict[str, int | str] = {
            "KERNEL": self.kernel,
            "TAPS": self.taps,
            "CHANNELS": self.channels,
            "PE": self.pe,
            "X_BITS": self.input_dtype.bits,
            "X_SIGNED": int(self.input_dtype.encoding is Encoding.SIGNED),
            "X_BIPOLAR": int(self.input_dtype.encoding is Encoding.BIPOLAR),
            "W_BITS": weight_dtype.bits,
            "ACC_BITS": self.accumulator_dtype.bits,
            "ACC_SIGNED": int(self.accumulator_dtype.encoding is Encoding.SIGNED),
            "CAPACITY": self._capacity,
            "OUT_BITS": self.output_types[0].dtype.bits,
        }
        if self.thresholds is not None:
            levels, width = self.thresholds.image(*self.accumulator_range, self.pe)
            memories["LEVELS_FILE"] = MemoryImage(words=levels, width_bits=width)
            parameters |= {
                "STEPS": self.thresholds.steps,
                "LEVEL_BITS": self.thresholds.level_dtype(*self.accumulator_range).bits,
                "BASE": self.thresholds.base,
            }
        sources = ("dot_xnor", "dot_signed", "popcount", "staircase", "credit_buffer")
        return Module(name="depthwise", parameters=parameters, memories=memories, sources=sources)
