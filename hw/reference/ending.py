"""How the vector ``a`` of a tile ends: as accumulators or as thresholds, in planes or integers."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from ..dtypes import BIPOLAR, IntArray, unsigned
from ..stages import Thresholds
from .builder import Builder, Form, Slot, tile_lanes
from .vector import WORD_BITS

_NEVER = np.iinfo(np.int64).max


def tile_groups(channels: int) -> list[tuple[int, int, int]]:
    """Return number of the first tile, count and lanes of each run of equal tiles.

    >>> tile_groups(148)
    [(0, 2, 64), (2, 1, 32)]
    """
    groups, first = [], 0
    for lanes, run in groupby(tile_lanes(channels)):
        count = len(list(run))
        groups.append((first, count, lanes))
        first += count
    return groups


def in_lanes(values: IntArray, fill: int = 0) -> IntArray:
    """Return ``values`` padded to the lanes of all tiles along the last axis."""
    channels = values.shape[-1]
    result = np.full((*values.shape[:-1], sum(tile_lanes(channels))), fill, np.int64)
    result[..., :channels] = values
    return result


class Ending:
    """What a stage emits for the vector ``a`` of tile ``t`` and image ``i``.

    Lanes past the last channel end as 0 bits, because the next layer would count them.
    """

    def __init__(
        self,
        thresholds: Thresholds | None,
        target: Slot,
        builder: Builder,
        *,
        scale: int = 1,
        bias: IntArray | int = 0,
        limits: tuple[int, int] | None = None,
    ) -> None:
        """Store the constants.

        Args:
            thresholds: Staircases on the integers ``scale * a + bias``; None leaves the integers.
            target: Where the results go.
            builder: Kernel to add to.
            scale: 1 or 2.
            bias: Per channel or the same for all.
            limits: Least and greatest integer, where they are known.
        """
        self._target, self._builder, self._scale = target, builder, scale
        self._thresholds = thresholds
        if thresholds is None:
            self._bias = builder.constant(in_lanes(np.broadcast_to(bias, target.channels)))
            return
        levels = thresholds.levels.T
        if limits is not None:
            levels = np.clip(levels, limits[0], limits[1] + 1)
        # scale * a + bias >= level  <=>  a >= ceil((level - bias) / scale)
        levels = in_lanes(-((bias - levels) // scale), fill=_NEVER)
        self._row = levels.shape[-1]
        self._levels = builder.constant(levels)
        falls = ~thresholds.is_rising
        if self._is_one_bit:
            bits = np.zeros(target.words * WORD_BITS, np.bool_)
            bits[: len(falls)] = falls
            self._falls = builder.constant(np.packbits(bits, bitorder="little").view(np.int64))
            return
        # A falling channel yields base + steps - count = (count ^ -1) + base + steps + 1, with
        # steps and count doubled where a count of 0 or 1 leaves as -1 or +1.
        base = -1 if self._is_bipolar else thresholds.base
        steps = thresholds.steps * (2 if self._is_bipolar else 1)
        self._falls = builder.constant(in_lanes(-falls.astype(np.int64)))
        self._base = builder.constant(in_lanes(base + np.where(falls, steps + 1, 0)))

    @property
    def _is_one_bit(self) -> bool:
        """Whether the comparison itself is the code of the result."""
        t = self._thresholds
        is_code = t is not None and t.steps == 1 and t.dtype in {BIPOLAR, unsigned(1)}
        return is_code and self._target.form is Form.PLANES

    @property
    def _is_bipolar(self) -> bool:
        """Whether the count 0 or 1 leaves as the integer -1 or +1."""
        return self._target.type.dtype == BIPOLAR and self._target.form is Form.INTS

    def emit(self, lanes: int) -> None:
        """Emit the ending of a tile of so many lanes."""
        target, emit = self._target, self._builder.emit
        emit(2, f"y = S + {target.base} + i * {target.stride}", f"c = t * {WORD_BITS}")
        if self._is_one_bit:
            bits = f"reach(a, s, {self._levels} + c) ^ word(s, {self._falls} + t)"
            emit(2, f"put(s, y + t, {bits})")
            return
        if self._thresholds is None:
            if self._scale == 2:
                emit(2, "a = double(a)")
            emit(2, f"a = plus(a, s, {self._bias} + c)")
        else:
            self._emit_count(self._thresholds.steps, lanes)
        if target.form is Form.INTS:
            emit(2, "store(s, y + c, a)")
            return
        for bit in range(target.type.dtype.bits):
            emit(2, f"put(s, y + {bit * target.words} + t, plane(a, {bit}))")

    def _emit_count(self, steps: int, lanes: int) -> None:
        """Emit the count of levels reached and its value."""
        emit = self._builder.emit
        emit(2, f"q = zero({lanes})", f"for j in range({steps}):")
        emit(3, f"q = step(q, a, s, {self._levels} + j * {self._row} + c)")
        if self._is_bipolar:
            emit(2, "q = double(q)")
        emit(2, f"a = plus(flip(q, s, {self._falls} + c), s, {self._base} + c)")
