"""From an island and its quantizer to integer thresholds, by evaluation alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dtypes import BIPOLAR, IntArray
from ..stages.thresholds import Thresholds
from .islands import ALL, Island
from .quantizers import Quantizer

# Values evaluated at a time when a table is made: 32 MB of float64.
TABLE_ELEMENTS = 1 << 22


class NotAStaircaseError(Exception):
    """A channel rises and falls over the range of its accumulator.

    Attributes:
        channel: The first such channel.
        turn: Accumulator at which it turns.
    """

    def __init__(self, channel: int, turn: int) -> None:
        super().__init__(f"channel {channel} turns at {turn}")
        self.channel = channel
        self.turn = turn


@dataclass(frozen=True, kw_only=True, eq=False)
class Staircase:
    """Thresholds and how sure float32 is about them.

    Attributes:
        thresholds: Exact in float64.
        method: "bisection" or "table".
        margins: Per channel, distance to the nearest switching point in float32 roundings.
        is_differing: Per channel, whether float32 switches at another integer.
    """

    thresholds: Thresholds
    method: str
    margins: NDArray[np.float64]
    is_differing: NDArray[np.bool_]


def find_staircase(island: Island, quantizer: Quantizer) -> Staircase:
    """Return the thresholds of ``quantizer`` on the integers of ``island``.

    1. If every function is monotone, each step is bisected. IEEE arithmetic keeps the order, so
       this is the same as evaluating everywhere; a library's tanh or exp may break it by a unit in
       the last place of float64, and a margin near 0 shows where that could matter.
    2. Otherwise every integer of the range is evaluated, some channels at a time.
    3. Steps that all channels always or never take are left out.

    Raises:
        NotAStaircaseError: A channel rises and falls.
    """
    direction = island.direction
    method = "table" if direction is None else "bisection"
    if direction is None:
        levels, is_rising = _tabulate(island, quantizer)
    else:
        is_rising = direction >= 0
        levels = _bisect(island, quantizer, is_rising)
    margins, is_differing = _float32_margins(island, quantizer, levels)
    return Staircase(
        thresholds=_trimmed(island, quantizer, levels, is_rising),
        method=method,
        margins=margins,
        is_differing=is_differing,
    )


def _bisect(island: Island, quantizer: Quantizer, is_rising: NDArray[np.bool_]) -> IntArray:
    """Return ascending levels ``(channels, steps)`` of channels that are monotone.

    Step j of a rising channel is first reached at its level; of a falling one, last before it.
    """
    shape = (quantizer.steps, island.channels)
    before = np.full(shape, island.low - 1)
    after = np.full(shape, island.high + 1)
    while (after - before > 1).any():
        # Where before + 1 == after the middle is `before`, possibly low - 1: nothing changes there.
        middle = (before + after) >> 1
        is_open = after - before > 1
        is_reached = quantizer.reaches(island.evaluate(middle))
        is_after = is_reached == is_rising
        after = np.where(is_open & is_after, middle, after)
        before = np.where(is_open & ~is_after, middle, before)
    return np.sort(after.T, axis=1)


def _tabulate(island: Island, quantizer: Quantizer) -> tuple[IntArray, NDArray[np.bool_]]:
    """Return ascending levels ``(channels, steps)`` and directions from every integer."""
    members = np.arange(island.low, island.high + 1)[:, None]
    chunk = max(1, TABLE_ELEMENTS // len(members))
    levels = np.empty((island.channels, quantizer.steps), np.int64)
    is_rising = np.ones(island.channels, np.bool_)
    for start in range(0, island.channels, chunk):
        part = slice(start, min(start + chunk, island.channels))
        values = island.evaluate(members, part)
        counts = quantizer.count(np.broadcast_to(values, (len(members), part.stop - start)), part)
        change = np.diff(counts, axis=0)
        falls: NDArray[np.bool_] = np.any(change < 0, axis=0)
        rises: NDArray[np.bool_] = np.any(change > 0, axis=0)
        if (falls & rises).any():
            channel = int(np.argmax(falls & rises))
            moves = np.flatnonzero(change[:, channel])
            turns = np.sign(change[moves, channel]) != np.sign(change[moves[0], channel])
            turn = island.low + 1 + int(moves[np.argmax(turns)])
            raise NotAStaircaseError(start + channel, turn)
        is_rising[part] = ~falls
        reached = _integers_above(counts, quantizer.steps)
        levels[part] = np.where(falls[:, None], island.low + reached, island.high + 1 - reached)
    return np.sort(levels, axis=1), is_rising


def _integers_above(counts: IntArray, steps: int) -> IntArray:
    """Return how many rows of ``(n, channels)`` exceed each of 0 to steps - 1, per channel."""
    channels = counts.shape[1]
    offset = counts + np.arange(channels) * (steps + 1)
    histogram = np.bincount(offset.ravel(), minlength=channels * (steps + 1))
    at_most = histogram.reshape(channels, steps + 1).cumsum(axis=1)[:, :steps]
    return np.asarray(len(counts) - at_most, np.int64)


def _float32_margins(
    island: Island, quantizer: Quantizer, levels: IntArray
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return per channel the margin on both sides of every level, and whether float32 differs."""
    margins = np.full(island.channels, np.inf)
    is_differing = np.zeros(island.channels, np.bool_)
    for column in levels.T:
        sides = np.clip(np.stack([column - 1, column]), island.low, island.high)
        if island.dtype == BIPOLAR:
            sides = np.where(sides >= 0, 1, -1)
        exact, single, error = island.evaluate_in_float32(sides)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(error == 0, np.inf, quantizer.distance(exact) / error)
        margins = np.minimum(margins, ratio.min(axis=0))
        differs = quantizer.count(single, ALL) != quantizer.count(exact, ALL)
        is_differing |= differs.any(axis=0)
    return margins, is_differing


def _trimmed(
    island: Island, quantizer: Quantizer, levels: IntArray, is_rising: NDArray[np.bool_]
) -> Thresholds:
    """Return thresholds without the steps that every channel always or never takes."""
    base, steps = quantizer.base, quantizer.steps
    if quantizer.dtype != BIPOLAR:
        below, above = levels <= island.low, levels > island.high
        always = int(np.where(is_rising, below.sum(axis=1), above.sum(axis=1)).min())
        never = int(np.where(is_rising, above.sum(axis=1), below.sum(axis=1)).min())
        # One step stays, also where all channels are constant.
        always = min(always, steps - 1)
        never = min(never, steps - 1 - always)
        rising, falling = levels[:, always : steps - never], levels[:, never : steps - always]
        levels, base = np.where(is_rising[:, None], rising, falling), base + always
    return Thresholds(levels=levels, is_rising=is_rising, base=base, dtype=quantizer.dtype)
