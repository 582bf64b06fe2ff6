"""Behind the accumulators of planes: each sum is weighed by its plane scale and added."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .. import cost
from ..cost import Cost
from ..dtypes import IntArray, unsigned
from ..module import MemoryImage, vector
from ..packing import pack_words


@dataclass(frozen=True, kw_only=True, eq=False)
class ScaledPlanes:
    """``scaled_planes.sv``: ``sum_i scale_i d_i`` of each neuron, by additions of a digit a cycle.

    A stage takes a digit of all scales of a neuron a cycle, the lowest first, for as many cycles as
    there are between two neuron folds, and leaves the others to the next stage. Where the scales
    are constants, their digits are the signed ones of which the fewest are not 0.

    Attributes:
        scales: Integers from 0, shape ``(neurons, planes)``.
        scale_bits: Bits of the greatest.
        pe: Neurons per cycle.
        interval: Cycles between two neuron folds.
        is_constant: Whether the scales are constants, in no memory.
        sum_bits: Of the sum of a plane.
    """

    scales: IntArray
    scale_bits: int
    pe: int
    interval: int
    is_constant: bool
    sum_bits: int

    @property
    def planes(self) -> int:
        """Of a neuron."""
        return int(self.scales.shape[1])

    @cached_property
    def _numbers(self) -> tuple[IntArray, IntArray]:
        """Numbers whose bits are the digits that are added and subtracted."""
        if not self.is_constant:
            return self.scales, np.zeros_like(self.scales)
        # Non-adjacent form (Reitwiesner, "Binary arithmetic", 1960).
        tripled = 3 * self.scales
        return (tripled & ~self.scales) >> 1, (self.scales & ~tripled) >> 1

    @cached_property
    def _count(self) -> int:
        """Digits of a scale."""
        most = int(self._numbers[0].max()) if self.is_constant else 0
        return max(most.bit_length(), self.scale_bits)

    @property
    def stages(self) -> int:
        """Stages, each of ``steps`` digits."""
        return math.ceil(self._count / self.interval)

    @property
    def steps(self) -> int:
        """Cycles of a stage."""
        return math.ceil(self._count / self.stages)

    @property
    def cycles(self) -> int:
        """Cycles from the sums of planes to the accumulator."""
        return self.stages * self.steps

    @property
    def words(self) -> int:
        """Words of the memory of digits."""
        return len(self.scales) // self.pe * self.steps

    @property
    def word_bits(self) -> int:
        """Bits of such a word: a digit of each plane in each stage."""
        return self.stages * self.pe * self.planes

    def _words(self, numbers: IntArray) -> IntArray:
        """Return digits in the order of the memory, ``(words, word_bits)``."""
        digits = numbers[..., None] >> np.arange(self.cycles) & 1
        shape = (-1, self.pe, self.planes, self.stages, self.steps)
        return digits.reshape(shape).transpose(0, 4, 3, 1, 2).reshape(self.words, self.word_bits)

    def parameters(self) -> dict[str, int | str]:
        """Return the parameters of ``matvec.sv``."""
        parameters: dict[str, int | str] = {
            "PLANE_BITS": self.sum_bits,
            "SCALE_STAGES": self.stages,
            "SCALE_STEPS": self.steps,
        }
        if self.is_constant:
            for name, numbers in zip(("ADDED", "SUBTRACTED"), self._numbers, strict=True):
                parameters[f"SCALES_{name}"] = vector(self._words(numbers)[0].tolist(), 1)
            return parameters
        return parameters | {
            "SCALES_BLOCK": int(cost.is_block_rom(self.words, self.word_bits)),
            "SCALES_SLICE": cost.rom_slice(self.words, self.word_bits),
        }

    def memory(self) -> dict[str, MemoryImage]:
        """Return the memory of digits where there is one."""
        if self.is_constant:
            return {}
        image = MemoryImage(
            words=pack_words(self._words(self.scales), unsigned(1)),
            width_bits=self.word_bits,
            slice_bits=cost.rom_slice(self.words, self.word_bits),
        )
        return {"SCALES_FILE": image}

    def locate(self, word: int, bit: int) -> str:
        """Return the neuron, plane and digit of a bit of SCALES_FILE."""
        fold, step = divmod(word, self.steps)
        stage, rest = divmod(bit, self.pe * self.planes)
        neuron, plane = divmod(rest, self.planes)
        digit = stage * self.steps + step
        return f"channel {fold * self.pe + neuron}, scale of plane {plane}, digit {digit}"

    def cost(self) -> Cost:
        """A LUT a bit for a digit of a memory, an adder for each plane, what is kept."""
        total_bits = self.sum_bits + (self.planes - 1).bit_length()
        adder = cost.adder(total_bits + 1)
        total = cost.register(self.cycles)
        kept = self.pe * self.planes * self.sum_bits
        if self.is_constant:
            used = sum(int(np.bitwise_count(one).sum()) for one in self._numbers)
            total += adder.times(used) + cost.register((self.stages - 1) * kept)
        else:
            masked = Cost(lut=self.sum_bits) + adder
            total += masked.times(self.pe * self.planes * self.stages)
            total += cost.register((self.stages - 1) * kept)
            total += cost.memory(self.words, self.word_bits)
            total += cost.counter(self.steps) + cost.counter(self.words)
            waits = self.steps * self.stages * (self.stages - 1) // 2
            total += cost.register(waits * self.pe * self.planes)
        for stage in range(self.stages):
            neuron = cost.register(total_bits + (stage + 1) * self.steps)
            if self.steps > 1:
                neuron += cost.register(total_bits + self.steps - 1)
                neuron += Cost(lut=total_bits if stage else 0)
            total += neuron.times(self.pe)
        return total
