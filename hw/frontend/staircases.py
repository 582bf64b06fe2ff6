"""From an island and its quantizer to integer thresholds, by evaluation alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dtypes import BIPOLAR, IntArray
from ..stages.thresholds import Thresholds
from .functions import ALL
from .islands import Island
from .quantizers import Quantizer

# Values evaluated at a time when a table is made: 32 MB of float64.
TABLE_ELEMENTS = 1 << 22


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


@dataclass(frozen=True, eq=False)
class Transitions:
    """How the result of one channel changes from the least to the greatest integer.

    Attributes:
        start: Steps of the quantizer reached by the least integer.
        levels: Integer at which each change by one step happens, ascending.
        is_rising: Direction of each.
    """

    start: int
    levels: IntArray
    is_rising: NDArray[np.bool_]

    @property
    def is_monotone(self) -> bool:
        """Whether all changes go one way."""
        return bool(self.is_rising.all()) or not self.is_rising.any()

    @property
    def offset(self) -> int:
        """What has to be added to the steps taken: a falling one counts before its level."""
        return self.start - int((~self.is_rising).sum())


def find_staircase(island: Island, quantizer: Quantizer) -> Staircase:
    """Return the thresholds of ``quantizer`` on the integers of ``island``.

    1. If every function is monotone, each step is bisected. IEEE arithmetic keeps the order, so
       this is the same as evaluating everywhere; a library's tanh or exp may break it by a unit in
       the last place of float64, and a margin near 0 shows where that could matter.
    2. Otherwise every integer of the range is evaluated, some channels at a time. A channel that
       rises and falls gets steps of both directions.
    3. Steps that all channels always or never take are left out.
    """
    direction = island.direction
    if direction is not None:
        levels = _bisect(island, quantizer, direction >= 0)
        margins, is_differing = _float32_margins(island, quantizer, _sides(island, levels))
        thresholds = _trimmed(island, quantizer, levels, direction >= 0)
    else:
        found = _tabulate(island, quantizer)
        margins, is_differing = _float32_margins(island, quantizer, _rows(island))
        if all(channel.is_monotone for channel in found):
            thresholds = _trimmed(island, quantizer, *_directed(island, quantizer, found))
        elif quantizer.dtype == BIPOLAR:
            thresholds = _of_bits(island, quantizer, found)
        else:
            thresholds = _mixed(island, quantizer, found)
    return Staircase(
        thresholds=thresholds,
        method="table" if direction is None else "bisection",
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


def _tabulate(island: Island, quantizer: Quantizer) -> list[Transitions]:
    """Return the transitions of each channel, from every integer."""
    members = island.members
    chunk = max(1, TABLE_ELEMENTS // len(members))
    found = []
    for first in range(0, island.channels, chunk):
        part = slice(first, min(first + chunk, island.channels))
        values = island.evaluate(members[:, None], part)
        counts = quantizer.count(np.broadcast_to(values, (len(members), part.stop - first)), part)
        for channel in counts.T:
            change = np.diff(channel)
            sizes = np.abs(change)
            found.append(
                Transitions(
                    start=int(channel[0]),
                    levels=np.repeat(members[1:], sizes),
                    is_rising=np.repeat(change > 0, sizes),
                )
            )
    return found


def _directed(
    island: Island, quantizer: Quantizer, found: Sequence[Transitions]
) -> tuple[IntArray, NDArray[np.bool_]]:
    """Return ascending levels ``(channels, steps)`` and directions of monotone channels.

    Steps that are taken by no integer, or by all, are there as well.
    """
    levels = np.full((len(found), quantizer.steps), island.high + 1)
    is_rising = np.array([bool(channel.is_rising.all()) for channel in found])
    for row, rises, channel in zip(levels, is_rising, found, strict=True):
        first = channel.start if rises else quantizer.steps - channel.start
        row[:first] = island.low
        row[first : first + len(channel.levels)] = channel.levels
    return levels, is_rising


def _mixed(island: Island, quantizer: Quantizer, found: Sequence[Transitions]) -> Thresholds:
    """Return thresholds of channels that rise and fall, with as few steps as possible.

    A channel whose offset is beyond the common base has steps that add one everywhere: falling ones
    at a level that nothing reaches. As sums count modulo the codes of the result, the base may be
    the offset of any channel.
    """
    codes = 1 << quantizer.dtype.bits
    sizes = np.array([len(channel.levels) for channel in found])
    offsets = np.array([channel.offset for channel in found]) + quantizer.base
    bases = np.unique(offsets)
    needed = sizes + (offsets - bases[:, None]) % codes
    base = int(bases[needed.max(axis=1).argmin()])
    added = (offsets - base) % codes
    steps = int((sizes + added).max())
    levels = np.full((len(found), steps), island.high + 1)
    is_rising = np.ones(levels.shape, np.bool_)
    for row, rises, channel, more in zip(levels, is_rising, found, added, strict=True):
        size = len(channel.levels)
        row[:size], rises[:size] = channel.levels, channel.is_rising
        rises[size : size + more] = False
    return Thresholds(levels=levels, is_rising=is_rising, base=base, dtype=quantizer.dtype)


def _of_bits(island: Island, quantizer: Quantizer, found: Sequence[Transitions]) -> Thresholds:
    """Return thresholds of bits that change several times, of which only the parity counts.

    A bit that begins as 1 has an odd number of falling steps. One direction for all steps is enough
    where their number is odd, or all channels begin alike.
    """
    steps = max(len(channel.levels) for channel in found)
    levels = np.full((len(found), steps), island.high + 1)
    for row, channel in zip(levels, found, strict=True):
        row[: len(channel.levels)] = channel.levels
    starts = np.array([channel.start for channel in found])
    base, is_rising = 0, starts == 0
    if (starts == starts[0]).all():
        base, is_rising = int(starts[0]), np.ones(len(found), np.bool_)
    elif steps % 2 == 0:
        is_rising = np.ones(levels.shape, np.bool_)
        is_rising[:, 0] = starts == 0
    return Thresholds(levels=levels, is_rising=is_rising, base=base, dtype=BIPOLAR)


def _sides(island: Island, levels: IntArray) -> Iterator[IntArray]:
    """Yield the integers on both sides of the levels of each step, shape ``(2, channels)``."""
    for column in levels.T:
        sides = np.clip(np.stack([column - 1, column]), island.low, island.high)
        yield np.where(sides >= 0, 1, -1) if island.dtype == BIPOLAR else sides


def _rows(island: Island) -> Iterator[IntArray]:
    """Yield all integers, some at a time, shape ``(n, 1)``."""
    rows = max(1, TABLE_ELEMENTS // (8 * island.channels))
    members = island.members
    for first in range(0, len(members), rows):
        yield members[first : first + rows, None]


def _float32_margins(
    island: Island, quantizer: Quantizer, places: Iterator[IntArray]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the least margin of each channel at some integers, and whether float32 differs."""
    margins = np.full(island.channels, np.inf)
    is_differing = np.zeros(island.channels, np.bool_)
    for x in places:
        shape = (len(x), island.channels)
        values = island.evaluate_in_float32(x)
        exact, single = np.broadcast_to(values.exact, shape), np.broadcast_to(values.single, shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(values.error == 0, np.inf, quantizer.distance(exact) / values.error)
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
