"""Cheap FIFOs that keep a rate: bounds from below, a dive along cuts, a descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .levels import Level
from .model import FifoModel
from .slots import UNBOUNDED, Fifos, Verdict

Choice = tuple[int, ...]
"""A level of each slot, by number."""


class Search:
    """The choices of a model.

    Attributes:
        model: Says whether a choice keeps the rate.
        levels: FIFOs to choose from, by slot, in ascending depth.
        bounds: By slot, a level below which no choice keeps the rate, whatever the other FIFOs.
    """

    def __init__(self, model: FifoModel, levels: Sequence[Sequence[Level]]) -> None:
        self.model = model
        self.levels = levels
        self.bounds: list[int] = self._bounds()

    def chosen(self, choice: Sequence[int]) -> list[Level]:
        """Return the levels of a choice."""
        return [levels[number] for levels, number in zip(self.levels, choice, strict=True)]

    def fifos(self, choice: Sequence[int]) -> Fifos:
        """Return the FIFOs of a choice."""
        chosen = self.chosen(choice)
        return Fifos(
            tuple(level.depth for level in chosen), tuple(level.latency for level in chosen)
        )

    def check(self, choice: Sequence[int]) -> Verdict:
        """Return whether a choice keeps the rate."""
        return self.model.check(self.fifos(choice))

    def is_kept_with(self, fifos: Mapping[int, tuple[int, int]]) -> bool:
        """Return whether FIFOs in some slots keep the rate with no limit at all in the others.

        If not, no choice in which these are as deep or less, and as late or more, keeps it.

        Args:
            fifos: Depth and latency by slot.
        """
        return self.model.is_kept(self.only(fifos))

    def only(self, fifos: Mapping[int, tuple[int, int]]) -> Fifos:
        """Return FIFOs in some slots, by depth and latency, with no limit in the others."""
        depths, latencies = [UNBOUNDED] * len(self.levels), [0] * len(self.levels)
        for slot, (depth, latency) in fifos.items():
            depths[slot], latencies[slot] = depth, latency
        return Fifos(tuple(depths), tuple(latencies))

    def price(self, choice: Sequence[int]) -> int:
        """Return the price of a choice."""
        return sum(level.price for level in self.chosen(choice))

    def _bounds(self) -> list[int]:
        """Return the first level of each slot that keeps the rate, whatever the other FIFOs.

        Slots that are waited for on no cycle of waits that is too long do without a FIFO together,
        and so each by itself; the others are tried one by one.
        """
        free = set(range(len(self.levels)))
        while not (verdict := self.model.check(self.only(dict.fromkeys(free, (0, 0))))).is_kept:
            assert verdict.full & free
            free -= verdict.full
        bounds = [0] * len(self.levels)
        for slot in set(range(len(self.levels))) - free:
            if not self.is_kept_with({slot: (0, 0)}):
                bounds[slot] = self.first_kept(slot, 0, {})
        return bounds

    def first_kept(self, slot: int, fails: int, others: Mapping[int, tuple[int, int]]) -> int:
        """Return the first level of ``slot`` above ``fails`` that keeps the rate with ``others``.

        Slots that are not among the others have no limit. Between two depths of the same latency
        the rate cannot fall, and a later FIFO is taken only where none that is earlier will do.

        Returns:
            The level; the number of levels if there is none.
        """
        levels = self.levels[slot]

        def is_kept(number: int) -> bool:
            level = levels[number]
            return self.is_kept_with({**others, slot: (level.depth, level.latency)})

        begin = fails + 1
        while begin < len(levels):
            end = begin
            while end + 1 < len(levels) and levels[end + 1].latency == levels[begin].latency:
                end += 1
            if is_kept(end):
                low, high = begin - 1, end
                while high - low > 1:
                    middle = (low + high) // 2
                    if is_kept(middle):
                        high = middle
                    else:
                        low = middle
                return high
            begin = end + 1
        return len(levels)

    def dive(self, start: Sequence[int] | None = None) -> Choice:
        """Return a choice that keeps the rate, grown from ``start`` or the bounds along cuts.

        As long as a cycle of waits is too long, one of the FIFOs on it grows: of those that are
        enough for the cycle by themselves the one for which that costs least.
        """
        choice = list(self.bounds if start is None else start)
        while not (verdict := self.check(choice)).is_kept:
            here = {slot: self._fifo(slot, choice[slot]) for slot in verdict.full}
            grown: list[tuple[int, int, int]] = []
            for slot in sorted(verdict.full):
                level = self.first_kept(slot, choice[slot], here)
                if level < len(self.levels[slot]):
                    grown.append((self._step(slot, choice[slot], level), slot, level))
            if not grown:
                # None is enough by itself: the cheapest grows by one level.
                grown = [
                    (self._step(slot, choice[slot], choice[slot] + 1), slot, choice[slot] + 1)
                    for slot in sorted(verdict.full)
                    if choice[slot] + 1 < len(self.levels[slot])
                ]
            _, slot, level = min(grown)
            choice[slot] = level
        return tuple(choice)

    def _fifo(self, slot: int, number: int) -> tuple[int, int]:
        level = self.levels[slot][number]
        return level.depth, level.latency

    def _step(self, slot: int, before: int, after: int) -> int:
        return self.levels[slot][after].price - self.levels[slot][before].price

    def descend(self, choice: Choice) -> Choice:
        """Return a choice that still keeps the rate, each FIFO as cheap as the others allow.

        The dearest goes first.
        """
        best = list(choice)
        for slot in sorted(range(len(best)), key=lambda s: -self.levels[s][choice[s]].price):
            levels = self.levels[slot]
            cheaper = [
                number
                for number in range(self.bounds[slot], len(levels))
                if levels[number].price < levels[best[slot]].price
            ]
            for number in sorted(cheaper, key=lambda n: levels[n].price):
                trial = [*best[:slot], number, *best[slot + 1 :]]
                if self.model.is_kept(self.fifos(trial)):
                    best = trial
                    break
        return tuple(best)
