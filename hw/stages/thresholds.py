"""Integer thresholds per channel: what is left of scale, bias, BatchNorm and quantizer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .. import cost
from ..cost import Cost
from ..dtypes import BIPOLAR, DataType, IntArray, smallest_for
from ..errors import GraphError
from ..module import MemoryImage
from ..packing import Bytes, pack_words


@dataclass(frozen=True, kw_only=True, eq=False)
class Thresholds:
    """Per channel, a staircase from an integer to an integer.

    A rising step adds ``x >= levels[c, j]``, a falling one ``x < levels[c, j]``, both to ``base``.
    The low bits of the sum are the code of the result: a BIPOLAR result is +1 where the sum is odd,
    so with n levels it changes its sign n times.

    BatchNorm with positive gamma rises, with negative gamma falls; gamma = 0 or a dead channel is a
    level outside the range of ``x``. A function that is not monotone has steps of both directions.

    Attributes:
        levels: Ascending along the last axis, shape ``(channels, steps)``.
        is_rising: Direction of each channel, shape ``(channels,)``, or of each of its steps,
            ``(channels, steps)``, where they differ.
        base: What the steps are added to.
        dtype: Datatype of the result; where channels have one direction, it holds every sum or is
            BIPOLAR.

    Raises:
        GraphError: Shapes differ, levels descend, or the result leaves ``dtype``.
    """

    levels: IntArray
    is_rising: NDArray[np.bool_]
    base: int = 0
    dtype: DataType = BIPOLAR

    def __post_init__(self) -> None:
        levels = np.array(self.levels, np.int64, order="C")
        rising = np.array(self.is_rising, np.bool_)
        is_fitting = rising.shape in (levels.shape[:1], levels.shape)
        if levels.ndim != 2 or levels.shape[1] < 1 or not is_fitting:
            raise GraphError(
                f"thresholds: levels {levels.shape} must be (channels, steps) and "
                f"is_rising {rising.shape} (channels,) or the same"
            )
        if (np.diff(levels, axis=1) < 0).any():
            channel = int(np.argwhere(np.diff(levels, axis=1) < 0)[0, 0])
            raise GraphError(
                f"thresholds: levels of channel {channel} must ascend: {levels[channel]}"
            )
        if rising.ndim == 2 and (rising == rising[:, :1]).all():
            rising = rising[:, 0].copy()
        for array in (levels, rising):
            array.setflags(write=False)
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "is_rising", rising)
        low, high = self.base, self.base + self.steps
        is_inside = self.dtype.min <= low and high <= self.dtype.max
        if not is_inside and self.directions == 1 and self.dtype != BIPOLAR:
            raise GraphError(f"thresholds: results {low} to {high} are not in {self.dtype.name}")

    @classmethod
    def random(cls, samples: IntArray, rng: np.random.Generator) -> Thresholds:
        """Return random staircases whose levels are met exactly, always reached or never reached.

        Args:
            samples: Integers that will be compared, shape ``(n, channels)``.
            rng: Source of randomness.
        """
        steps = int(rng.choice([1, 1, 1, 2, 3, 7]))
        channels = samples.shape[1]
        shape = (channels, steps)
        picks = rng.integers(0, len(samples), shape)
        levels = samples[picks, np.arange(channels)[:, None]] + rng.integers(0, 2, shape)
        extreme = rng.random(channels) < 1 / 8
        levels[extreme] = np.where(rng.random() < 1 / 2, samples.min() - 9, samples.max() + 9)
        rising = np.asarray(rng.integers(0, 2, channels), np.bool_)
        if rng.random() < 1 / 3:
            rising = np.asarray(rng.integers(0, 2, shape), np.bool_)
        base = int(rng.integers(-2, 3))
        dtype = smallest_for(base, base + steps)
        if rng.random() < (2 / 3 if steps == 1 else 1 / 5):
            dtype = BIPOLAR
        return cls(levels=np.sort(levels, axis=1), is_rising=rising, base=base, dtype=dtype)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.levels.shape[0])

    @property
    def steps(self) -> int:
        """Number of levels of a channel."""
        return int(self.levels.shape[1])

    @property
    def directions(self) -> int:
        """Directions of a channel: one for all its steps, or one for each."""
        return 1 if self.is_rising.ndim == 1 else self.steps

    @property
    def is_monotone(self) -> bool:
        """Whether every channel goes one way: it has one direction, and a bit changes once."""
        return self.directions == 1 and (self.dtype != BIPOLAR or (self.steps, self.base) == (1, 0))

    @cached_property
    def results(self) -> tuple[int, int]:
        """Least and greatest result, at any integer."""
        if self.directions == 1:
            ends = (self.base, self.base + self.steps)
            return (-1, 1) if self.dtype == BIPOLAR else ends
        at_levels = self.execute(self.levels.T)
        first = self.execute(self.levels[:, 0] - 1)
        return int(min(first.min(), at_levels.min())), int(max(first.max(), at_levels.max()))

    def part(self, index: int, parts: int) -> Thresholds:
        """Return those of an equal part of the channels."""
        size = self.channels // parts
        channels = slice(index * size, (index + 1) * size)
        return replace(self, levels=self.levels[channels], is_rising=self.is_rising[channels])

    def execute(self, x: IntArray) -> IntArray:
        """Return the results for integers ``(..., channels)``, same shape."""
        total = np.full(x.shape, self.base, np.int64)
        for j in range(self.steps):
            is_rising = self.is_rising if self.directions == 1 else self.is_rising[:, j]
            total += (x >= self.levels[:, j]) == is_rising
        mask = np.uint64((1 << self.dtype.bits) - 1)
        return self.dtype.from_codes(total.view(np.uint64) & mask)

    def level_dtype(self, low: int, high: int) -> DataType:
        """Return the datatype of stored levels when ``x`` is in ``low`` to ``high``.

        A level below ``low`` acts as ``low`` (always reached), one above ``high`` as ``high + 1``
        (never reached), so one more value than ``x`` has is enough.
        """
        return smallest_for(low, high + 1)

    def locate(self, low: int, high: int, pe: int, word: int, bit: int) -> str:
        """Return what a bit of :meth:`image` stands for."""
        level_bits = self.level_dtype(low, high).bits
        lane, rest = divmod(bit, self.steps * level_bits)
        if lane >= pe:
            lane, step = divmod(bit - pe * self.steps * level_bits, self.directions)
            of = "" if self.directions == 1 else f" of threshold {step}"
            return f"channel {word * pe + lane}, direction{of}"
        return f"channel {word * pe + lane}, threshold {rest // level_bits}"

    def word_bits(self, low: int, high: int, pe: int) -> int:
        """Return the width of a word of :meth:`image`."""
        return pe * (self.steps * self.level_dtype(low, high).bits + self.directions)

    def cost(self, low: int, high: int, pe: int, words: int) -> Cost:
        """Return the cost of levels and comparisons of ``pe`` lanes, as ``neuron_end.sv`` has them.

        Args:
            low: Least integer that is compared.
            high: Greatest one.
            pe: Lanes.
            words: Words of the level memory; a single one is constants, two bits of which fit into
                a LUT, of two the bits of a short one depend on one.
        """
        width = self.word_bits(low, high, pe)
        is_block = cost.is_block_rom(words, width)
        if is_block:
            total = cost.memory(words, width) + cost.register(width)
        else:
            stored = self._stored_bits(low, high, pe)
            total = Cost(lut=cost.rom_luts(words, stored), ff=2 * stored)
        level_bits = self.level_dtype(low, high).bits
        if words > 2 or (words == 2 and level_bits >= cost.CHAIN_MIN_BITS):
            comparator = cost.comparator(level_bits)
        else:
            comparator = Cost(lut=math.ceil(level_bits * words / (words + 1)))
        counted = 2 * (self.steps - self.steps.bit_count())
        if self.dtype.bits == 1:
            counted = math.ceil((self.steps - 1) / 3)  # modulo 2
        lane = comparator.times(self.steps) + Cost(lut=counted)
        if words == 1:
            # A function of the integer, which a few LUTs may hold as a table.
            table = cost.rom_luts(1 << smallest_for(low, high).bits, self.dtype.bits)
            lane = Cost(lut=min(lane.lut, table))
        return total + lane.times(pe)

    def _stored_bits(self, low: int, high: int, pe: int) -> int:
        """Return how many bits of a level memory differ from all others in some word."""
        count = self.channels // pe
        if count > 30:  # then two equal ones are unlikely
            return self.word_bits(low, high, pe)
        words, width = self.image(low, high, pe)
        bits = np.unpackbits(words, axis=-1, count=width, bitorder="little")
        columns = np.unique((1 << np.arange(count)) @ bits.astype(np.int64))
        return int(((columns > 0) & (columns < (1 << count) - 1)).sum())

    def parameters(self, low: int, high: int, pe: int) -> dict[str, int | str]:
        """Return the parameters of ``neuron_end.sv`` for integers ``low`` to ``high``."""
        words, width = self.channels // pe, self.word_bits(low, high, pe)
        return {
            "STEPS": self.steps,
            "DIRECTIONS": self.directions,
            "LEVEL_BITS": self.level_dtype(low, high).bits,
            "BASE": self.base,
            "LEVELS_BLOCK": int(cost.is_block_rom(words, width)),
            "LEVELS_SLICE": cost.rom_slice(words, width),
        }

    def memory(self, low: int, high: int, pe: int) -> MemoryImage:
        """Return the level memory of ``neuron_end.sv``, see :meth:`image`."""
        words, width = self.image(low, high, pe)
        return MemoryImage(
            words=words, width_bits=width, slice_bits=cost.rom_slice(len(words), width)
        )

    def image(self, low: int, high: int, pe: int) -> tuple[Bytes, int]:
        """Return memory words and their width in bits, one word per fold of ``pe`` channels.

        From the low bits: the levels of lane 0 (level 0 first), of lane 1, ..., then the directions
        of lane 0, of lane 1, ..., 1 for rising.
        """
        dtype = self.level_dtype(low, high)
        words = self.channels // pe
        codes = dtype.to_codes(np.clip(self.levels, low, high + 1))
        shifts = np.arange(dtype.bits, dtype=np.uint64)
        level_bits = ((codes[:, :, None] >> shifts) & np.uint64(1)).reshape(words, -1)
        bits = np.concatenate([level_bits, self.is_rising.reshape(words, -1)], axis=1)
        return pack_words(bits.astype(np.int64), smallest_for(0, 1)), int(bits.shape[1])
