"""Stage ``depthwise``: one small dot product per channel of a window, with optional thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import IntArray
from ..errors import DatatypeError, GraphError
from ..graph import StreamType
from ..module import Module
from ..schedule import Pipe, Schedule, Thread, table
from .checks import check_fold
from .kernels import KERNELS
from .layer import SOURCES, Layer
from .thresholds import Thresholds


@dataclass(frozen=True, kw_only=True, eq=False)
class Depthwise(Layer):
    """Depthwise convolution of a window stream, ``pe`` channels of one tap a cycle.

    Each channel has ``multiplier`` neurons, which see it alone.

    A window comes in the order (tap, channel), so every fold of ``pe`` channels has an accumulator.
    The beats of the last tap yield the results. See ``Layer`` for the fields that every layer has.

    Attributes:
        weights: Integers, shape ``(channels * multiplier, taps)``, those of channel 0 first.
        multiplier: Neurons of a channel.
        leading: Dimensions before the window, ``(OH, OW)``.
        pe: Channels per cycle; divides the channels.

    Raises:
        FoldingError: ``pe`` does not divide the channels.
        DatatypeError: The kernel does not take these inputs or weights, or has plane scales.
        GraphError: Unknown kernel, thresholds for another number of neurons, or a multiplier that
            does not divide the neurons.
    """

    kind: ClassVar[str] = "depthwise"
    axes: ClassVar[tuple[str, str]] = ("channels", "taps")

    multiplier: int = 1

    def _check_folds(self) -> None:
        if self.multiplier < 1 or self.neurons % self.multiplier:
            raise GraphError(
                f"{self.name}: multiplier={self.multiplier} must divide {self.neurons} neurons"
            )
        if self.arithmetic.has_plane_scales:
            raise DatatypeError(
                f"kernel {self.kernel} weighs the planes of one neuron after the other, "
                "but a depthwise layer sums all channels at once"
            )
        check_fold(self, "pe", "channels", self.channels)
        super()._check_folds()

    @property
    def channels(self) -> int:
        """Channels of the window."""
        return self.neurons // self.multiplier

    @property
    def lanes(self) -> int:
        """Neurons per cycle."""
        return self.pe * self.multiplier

    @property
    def taps(self) -> int:
        """Elements of a channel in a window."""
        return self.synapses

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """Channels."""
        return {"pe": self.channels}

    @property
    def input_types(self) -> tuple[StreamType, ...]:
        """Windows in the order (tap, channel), ``pe`` lanes."""
        shape = (*self.leading, self.taps * self.channels)
        return (StreamType(dtype=self.input_dtype, shape=shape, lanes=self.pe),)

    @property
    def output_types(self) -> tuple[StreamType, ...]:
        """Accumulators or results of each neuron, those of ``pe`` channels a beat."""
        shape = (*self.leading, self.neurons)
        return (StreamType(dtype=self.output_dtype, shape=shape, lanes=self.lanes),)

    def accumulators(self, x: IntArray) -> IntArray:
        """Return the integers before the thresholds, ``(images, *leading, neurons)``."""
        windows = x.reshape(*x.shape[:-1], self.taps, self.channels)
        sums = [
            self.arithmetic.accumulate(windows[..., channel], weights)
            for channel, weights in enumerate(np.split(self.weights, self.channels))
        ]
        return np.concatenate(sums, axis=-1)

    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return accumulators, through the thresholds where there are some."""
        (x,) = inputs
        sums = self.accumulators(x)
        return (self.thresholds.execute(sums) if self.thresholds else sums,)

    def schedule(self) -> Schedule:
        """A beat in every cycle, a beat out with each one of the last tap."""
        operations = self.taps * self.neuron_folds
        thread = Thread(
            consumes={"s_axis": table(operations, slice(None))},
            produces={"m_axis": table(operations, slice(-self.neuron_folds, None))},
        )
        pipe = Pipe(latency=self.latency, capacity=self.capacity)
        return Schedule(threads=(thread,), pipes={"m_axis": pipe})

    @property
    def capacity(self) -> int:
        """Beats of the output buffer that keep the rate: as many as may be on their way."""
        window = self.taps * self.neuron_folds
        images, rest = divmod(self.latency + 1, window)
        return images * self.neuron_folds + min(rest, self.neuron_folds)

    @classmethod
    def random(cls, name: str, rng: np.random.Generator) -> Depthwise:
        """Up to 9 taps, 4 folds and 3 neurons a channel, with or without thresholds."""
        pe, multiplier = int(rng.integers(1, 5)), int(rng.choice([1, 1, 2, 3]))
        channels, taps = pe * int(rng.integers(1, 5)), int(rng.integers(1, 10))
        shape = (channels * multiplier, taps)
        names = sorted(name for name, one in KERNELS.items() if not one.has_plane_scales)
        kernel = str(rng.choice(names))
        input_dtype, weights = KERNELS[kernel].random(shape, rng)
        stage = cls(
            name=name,
            inputs=(f"{name}_x0",),
            outputs=(f"{name}_y0",),
            weights=weights,
            input_dtype=input_dtype,
            kernel=kernel,
            multiplier=multiplier,
            leading=((), (2, 3))[rng.integers(0, 2)],
            pe=pe,
        )
        if rng.random() < 1 / 3:
            return stage
        samples = stage.accumulators(input_dtype.random((16, channels * taps), rng))
        return stage.with_(thresholds=Thresholds.random(samples, rng))

    def stimulus(self, images: int, rng: np.random.Generator) -> tuple[IntArray, ...]:
        """Every second image drives all channels to their greatest or least accumulators."""
        (x,) = super().stimulus(images, rng)
        first = self.weights[:: self.multiplier].T
        least, greatest = self.arithmetic.extremes(self.input_dtype, first)
        for image in range(0, images, 2):
            x[image] = (greatest if image % 4 else least).reshape(-1)
        return (x,)

    def locate(self, parameter: str, word: int, bit: int) -> str:
        """Return the channel and tap of a bit of WEIGHTS_FILE, or the level of LEVELS_FILE."""
        if parameter == "LEVELS_FILE":
            return self.locate_level(word, bit)
        tap, fold = divmod(word, self.neuron_folds)
        lane, _ = self.locate_weight(bit, 1)
        return f"channel {fold * self.lanes + lane}, weight {tap}"

    def cost(self) -> Cost:
        """Control, weight memory, kernels, accumulators, thresholds, output buffer."""
        folds, words = self.neuron_folds, self.taps * self.neuron_folds
        total = cost.counter(self.taps) + cost.counter(folds)
        if folds.bit_count() > 1:
            total += cost.counter(words)
        cycles = 2 + self.dot_cycles
        address = (folds - 1).bit_length()
        total += cost.register(self.input_types[0].width_bits + 2 * cycles + cycles * address)
        total += Cost(lut=6, ff=cycles + 1)
        total += self.products_cost(words, 1, dots=self.pe)
        bits = self.lanes * self.accumulator_dtype.bits
        if self.taps == 1:
            total += cost.register(bits)
        elif self.sum_dtype(1).bits == 1 and self.accumulator_dtype.bits < cost.CHAIN_MIN_BITS:
            # An increment, which takes the LUT that starts a sum from 0.
            total += Cost(lut=bits + self.lanes, ff=bits)
        else:
            total += cost.carried_sum(self.accumulator_dtype.bits).times(self.lanes)
            total += Cost(lut=bits, ff=bits)
        if self.taps > 1:
            total += cost.lut_ram(folds, bits) if folds > 1 else cost.register(bits)
        return total + self.end_cost(self.capacity)

    def module(self) -> Module:
        """``depthwise.sv``; weight word ``tap * neuron_folds + fold``."""
        words = np.ascontiguousarray(self.weight_codes.T).reshape(-1, self.lanes)
        return Module(
            name="depthwise",
            parameters={
                "TAPS": self.taps,
                "CHANNELS": self.channels,
                "MULTIPLIER": self.multiplier,
                "CAPACITY": self.capacity,
                **self.parameters(len(words), 1),
            },
            memories={"WEIGHTS_FILE": self.weight_memory(words, 1), **self.level_memory()},
            sources=SOURCES,
        )
