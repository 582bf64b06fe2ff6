"""How the vector ``a`` of a tile ends: as accumulators or as thresholds, in planes or integers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..dtypes import BIPOLAR, IntArray
from ..stages import Border, Thresholds
from .builder import Builder, Tile
from .index import Index
from .lanes import element_bits, in_lanes, in_words, tile_lanes
from .layout import Form, Layout, Limits, Position, View

# Levels up to which the planes are made from a mask for each level, instead of from their count.
_MOST_MASKS = 15


def layout_for(thresholds: Thresholds | None, wanted: Layout) -> Layout:
    """Return the layout in which an ending can leave the results, the wanted one if possible.

    Of results that turn only the low bits count: they leave in planes.
    """
    if thresholds is None or thresholds.is_monotone or wanted.form is Form.PLANES:
        return wanted
    return Layout(Form.PLANES)


class Ending:
    """What a stage emits for the vector ``a`` of tile ``t``, to be put at ``y``.

    Lanes past the last channel end as 0 bits, because the next layer would count them.
    """

    def __init__(
        self,
        thresholds: Thresholds | None,
        target: View,
        builder: Builder,
        *,
        bits: int,
        limits: Limits,
        scale: int = 1,
        bias: IntArray | int = 0,
        border: Border | None = None,
    ) -> None:
        """Store the constants.

        Args:
            thresholds: Staircases on the integers ``scale * a + bias``; None leaves the integers.
            target: Where the results go.
            builder: Kernel to add to.
            bits: Bits of a lane of ``a``.
            limits: Least and greatest integer; one more also fits into a lane.
            scale: 1 or 2.
            bias: Per channel or the same for all.
            border: Classes of positions with thresholds of their own.
        """
        self._target, self._builder = target, builder
        self._scale, self._thresholds, self._border = scale, thresholds, border
        self._before = self._bits = bits
        if thresholds is None:
            biases = np.broadcast_to(bias, self._channels)
            self._bias = self._constant(biases) if biases.any() else None
            return
        if not self._is_masks:
            self._bits = max(bits, element_bits(thresholds.dtype))
        if border is not None:
            self._map = builder.constant(border.map)
        # A row for each class of positions.
        levels = thresholds.levels.reshape(-1, self._channels, thresholds.steps)
        levels = np.clip(levels, limits[0], limits[1] + 1)
        # scale * a + bias >= level  <=>  a >= ceil((level - bias) / scale)
        levels = -((np.reshape(bias, (-1, 1)) - levels) // scale)
        never = (1 << (self._bits - 1)) - 1
        self._levels = self._constant(levels.transpose(0, 2, 1), never)
        falls = ~thresholds.is_rising.reshape(-1, self._channels, thresholds.directions)
        if self._is_masks:
            self._falls = builder.constant(in_words(falls[..., 0].astype(np.int64)))
            return
        # A bit leaves as -1 or +1 where it does not leave in planes.
        unit, base = (2, -1) if self._is_bipolar else (1, thresholds.base)
        fallen = falls.sum(axis=2) * (thresholds.steps // thresholds.directions)
        self._start = self._constant(base + unit * fallen)
        self._deltas = self._constant(np.where(falls, -unit, unit).transpose(0, 2, 1))

    @property
    def _channels(self) -> int:
        """Channels of a vector."""
        return self._target.type.shape[-1]

    @property
    def _is_planes(self) -> bool:
        return self._target.slot.layout.form is Form.PLANES

    @property
    def _is_masks(self) -> bool:
        """Whether the planes are made from the masks of the lanes that reach each level."""
        t = self._thresholds
        if t is None or not t.is_monotone:
            return False
        return t.steps <= _MOST_MASKS and self._is_planes

    @property
    def _is_bipolar(self) -> bool:
        """Whether the count 0 or 1 leaves as the integer -1 or +1."""
        return self._target.type.dtype == BIPOLAR and not self._is_planes

    def _constant(self, values: IntArray, fill: int = 0) -> Index:
        """Store values per channel in the lanes of all tiles."""
        return self._builder.constant(in_lanes(values, fill), self._bits)

    def emit(self, tile: Tile, position: Position) -> None:
        """Emit the ending of a tile at a position."""
        slot, emit, t = self._target.slot, self._builder.emit, self._thresholds
        kind = Index()
        if self._border is not None:
            place = self._map + position.row * len(self._border.columns) + position.column
            emit(f"z = word(s, {place})")
            kind = Index.of("z")
        row, y = sum(tile_lanes(self._channels)), Index.of("y")
        if t is not None and self._is_masks:
            self._emit_masks(t, tile, kind, row)
            return
        if self._bits > self._before:
            emit(f"a = wide(a, {self._bits})")
        if t is not None:
            self._emit_count(t, tile, kind, row)
        else:
            if self._scale == 2:
                emit("a = double(a)")
            if self._bias is not None:
                emit(f"a = plus(a, s, {self._bias + tile.first})")
        if not self._is_planes:
            emit(f"store(s, {y + tile.first}, {slot.unit_bits}, a)")
            return
        if t is None and self._target.type.dtype == BIPOLAR:  # -1 and +1 differ in their signs
            emit(f"put(s, {y + tile.number}, ~plane(a, 1) & {tile.mask})")
            return
        mask = "" if t is not None or tile.is_full else f" & {tile.mask}"
        for bit in range(slot.planes):
            emit(f"put(s, {y + bit * slot.plane + tile.number}, plane(a, {bit}){mask})")

    def _emit_masks(self, thresholds: Thresholds, tile: Tile, kind: Index, row: int) -> None:
        """Emit the planes of the results from the masks ``b<j>`` of the levels reached."""
        slot, emit = self._target.slot, self._builder.emit
        for j in range(thresholds.steps):
            level = self._levels + (kind * thresholds.steps + j) * row + tile.first
            emit(f"b{j} = reach(a, s, {level})")
        emit(f"f = word(s, {self._falls + kind * slot.pixel + tile.number})")
        for bit in range(slot.planes):
            rising, falling = _flips(thresholds, bit)
            text = _exclusive_or(rising, tile)
            if rising != falling:
                text += f" ^ ({_exclusive_or(rising ^ falling, tile)}) & f"
            if not tile.is_full:
                text = f"({text}) & {tile.mask}"
            place = Index.of("y") + bit * slot.plane + tile.number
            emit(f"put(s, {place}, {text})")

    def _emit_count(self, thresholds: Thresholds, tile: Tile, kind: Index, row: int) -> None:
        """Emit the result below every level, and what each level reached adds to it."""
        emit, steps, directions = self._builder.emit, thresholds.steps, thresholds.directions
        start = self._start + kind * row + tile.first
        emit(f"q = load(s, {start}, {self._bits}, {tile.lanes})")
        with self._builder.loop("j", steps) as step:
            level = self._levels + (kind * steps + step) * row + tile.first
            turn = step if directions > 1 else Index()
            delta = self._deltas + (kind * directions + turn) * row + tile.first
            emit(f"q = step(q, a, s, {level}, {delta})")
        emit("a = q")


def _flips(thresholds: Thresholds, bit: int) -> tuple[frozenset[int], frozenset[int]]:
    """Return what flips a bit of the results' codes, in rising and in falling channels.

    Levels are reached one after the other, so a bit of the code is the exclusive or of the masks of
    those levels at which it flips. -1 stands for a bit that is set before the first level.
    """
    if thresholds.dtype == BIPOLAR:
        codes = np.arange(2, dtype=np.uint64)
    else:
        values = thresholds.base + np.arange(thresholds.steps + 1)
        codes = thresholds.dtype.to_codes(values)
    bits = (codes >> np.uint64(bit) & np.uint64(1)).tolist()

    def flips(bits: list[int]) -> frozenset[int]:
        return frozenset(j - 1 for j, pair in enumerate(pairwise([0, *bits])) if pair[0] != pair[1])

    return flips(bits), flips(bits[::-1])


def _exclusive_or(flips: frozenset[int], tile: Tile) -> str:
    """Return the text of the exclusive or of masks."""
    texts = [f"{tile.mask}" if j < 0 else f"b{j}" for j in sorted(flips)]
    return " ^ ".join(texts) or "0"
