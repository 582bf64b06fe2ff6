"""FIFO sizing as a whole: target, grid, search, proof, trimming, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ...cost import Cost
from ...errors import SimulationError
from ...graph import Dataflow
from .least import least_depth
from .levels import Level, Measure, grid, level
from .model import FifoModel
from .proof import cheapest
from .search import Search
from .slots import Fifos, Verdict

Effort = Literal["throughput", "minimal"]
"""``throughput``: cheap FIFOs, quickly. ``minimal``: the cheapest, with the proof."""

Progress = Callable[[str], None]
PROOF_SECONDS = 300.0
MAX_SLOWDOWN = 64  # beyond that a budget is too small


@dataclass(frozen=True, kw_only=True)
class SizedFifo:
    """A FIFO, and what it is for.

    Attributes:
        stream: Logical stream.
        depth: Beats; 0 for none.
        width_bits: Bits of a beat.
        cost: Estimated resources.
        least_depth: No depth below this one keeps the interval, whatever the other FIFOs.
        interval_with_one_less: Cycles of an image with one beat less; None for a deadlock, or where
            there is no FIFO.
    """

    stream: str
    depth: int
    width_bits: int
    cost: Cost
    least_depth: int
    interval_with_one_less: int | None


@dataclass(frozen=True, kw_only=True)
class FifoSizing:
    """FIFOs that keep an interval.

    Attributes:
        interval_cycles: Cycles of an image, back to back.
        interval_without_limit: The same with FIFOs of any size.
        fifos: One for each logical stream between two stages.
        measure: What was minimised.
        total: Price of all, in LUTs or bits.
        grid_total: The same before the depths were trimmed from the grid (0, 1, 2, 4, 8, ... beats)
            to what is needed.
        lower_bound: No FIFOs of the grid that keep the interval cost less, in LUTs or bits.
        is_minimal: Whether those of the grid cost no more than the bound.
        checks: FIFOs that were evaluated to find these.
    """

    interval_cycles: int
    interval_without_limit: int
    fifos: tuple[SizedFifo, ...]
    measure: Measure
    total: float
    grid_total: float
    lower_bound: float
    is_minimal: bool
    checks: int

    @property
    def depths(self) -> dict[str, int]:
        """Beats of the FIFO of each stream, 0 for none, for ``connect``."""
        return {fifo.stream: fifo.depth for fifo in self.fifos}

    @property
    def cost(self) -> Cost:
        """Estimated resources of all FIFOs."""
        return sum((fifo.cost for fifo in self.fifos), Cost())

    @property
    def bits(self) -> int:
        """Bits stored in all FIFOs."""
        return sum(fifo.depth * fifo.width_bits for fifo in self.fifos)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "interval_cycles": self.interval_cycles,
            "interval_without_limit": self.interval_without_limit,
            "measure": self.measure,
            "total": self.total,
            "grid_total": self.grid_total,
            "lower_bound": self.lower_bound,
            "is_minimal": self.is_minimal,
            "bits": self.bits,
            "depths": self.depths,
            "fifos": [
                {
                    "stream": fifo.stream,
                    "depth": fifo.depth,
                    "width_bits": fifo.width_bits,
                    "lut": fifo.cost.lut,
                    "ff": fifo.cost.ff,
                    "bram": fifo.cost.bram,
                    "least_depth": fifo.least_depth,
                    "interval_with_one_less": fifo.interval_with_one_less,
                }
                for fifo in self.fifos
            ],
        }

    def __str__(self) -> str:
        """Return a table, one FIFO a line."""
        lines = [
            f"{'stream':<24}{'depth':>7}{'least':>7}{'bits':>8}{'lut':>7}{'ff':>6}{'bram':>6}"
            f"{'one beat less':>18}"
        ]
        for fifo in self.fifos:
            loss = "-"
            if fifo.depth:
                less = fifo.interval_with_one_less
                loss = "deadlock" if less is None else f"{less - self.interval_cycles:+,} cycles"
            lines.append(
                f"{fifo.stream:<24}{fifo.depth:>7}{fifo.least_depth:>7}"
                f"{fifo.depth * fifo.width_bits:>8}{fifo.cost.lut:>7}{fifo.cost.ff:>6}"
                f"{fifo.cost.bram:>6}{loss:>18}"
            )
        unit = "LUT equivalents" if self.measure == "luts" else "bits"
        bound = "the least" if self.is_minimal else f"at least {self.lower_bound:,.1f} are needed"
        lines.append(
            f"one image in {self.interval_cycles:,} cycles; {self.total:,.1f} {unit}; on the grid "
            f"of powers of two {self.grid_total:,.1f}, {bound}"
        )
        return "\n".join(lines)


def size_fifos(
    dataflow: Dataflow,
    *,
    interval: int | None = None,
    effort: Effort = "throughput",
    measure: Measure = "luts",
    budget: float | None = None,
    seconds: float = PROOF_SECONDS,
    progress: Progress = lambda what: None,
) -> FifoSizing:
    """Return cheap FIFOs that keep a rate, images back to back and a sink that never waits.

    1. Lower bounds: the least FIFO of each stream with all others without limit.
    2. A dive along cycles of waits that are too long, and a descent; see ``search``.
    3. With ``effort="minimal"``, cuts until the optimum on the grid is proven; see ``proof``.
    4. Each depth is trimmed to what is needed where that is cheaper.

    Args:
        dataflow: Folded; FIFOs that it has do not matter.
        interval: Cycles of an image to keep; by default that of the slowest stage, or what else
            limits the rate whatever the FIFOs.
        effort: How long to search.
        measure: What to minimise.
        budget: LUTs or bits that the FIFOs may cost; where they do not suffice for the interval,
            the shortest one for which they do is kept instead.
        seconds: CPU time for the proof; after that the best bound is reported.
        progress: Told what goes on.

    Raises:
        SimulationError: No FIFOs keep the interval, or there is a deadlock within the budget.
    """
    progress("timing model")
    model = FifoModel(dataflow, interval)
    if budget is not None:
        _fit(model, measure, budget, progress)
    search = _search(model, measure, progress)
    choice = search.descend(search.dive())
    bound = sum(
        min(candidate.price for candidate in levels[first:])
        for levels, first in zip(search.levels, search.bounds, strict=True)
    )
    if effort == "minimal" and bound < search.price(choice):
        proof = cheapest(
            search,
            choice,
            seconds=seconds,
            progress=lambda low, high: progress(
                f"proof: {_shown(low, measure):,.1f} to {_shown(high, measure):,.1f}"
            ),
        )
        choice, bound = proof.choice, proof.lower_bound
    progress("trimming")
    sized = _Sized(model, search, measure, search.chosen(choice))
    sized.trim()
    progress("cost of a beat less")
    total = sum(chosen.price for chosen in sized.levels)
    return FifoSizing(
        interval_cycles=model.interval,
        interval_without_limit=model.unlimited_interval,
        fifos=sized.report(),
        measure=measure,
        total=_shown(total, measure),
        grid_total=_shown(search.price(choice), measure),
        lower_bound=_shown(bound, measure),
        is_minimal=search.price(choice) <= bound,
        checks=model.checks,
    )


def _shown(price: int, measure: Measure) -> float:
    """Return a price in LUTs or bits."""
    return price / 2 if measure == "luts" else float(price)


def _search(model: FifoModel, measure: Measure, progress: Progress) -> Search:
    progress(f"FIFOs for one image in {model.interval:,} cycles")
    return Search(model, [grid(place.type, measure) for place in model.places])


def _fit(model: FifoModel, measure: Measure, budget: float, progress: Progress) -> None:
    """Set the shortest interval whose FIFOs are within a budget.

    Raises:
        SimulationError: There is none.
    """

    def is_within(interval: int) -> bool:
        model.set_interval(interval)
        search = _search(model, measure, progress)
        return _shown(search.price(search.descend(search.dive())), measure) <= budget

    least = model.interval
    if is_within(least):
        return
    low, high = least, 2 * least
    while not is_within(high):
        low, high = high, 2 * high
        if high > MAX_SLOWDOWN * least:
            unit = "LUTs" if measure == "luts" else "bits"
            raise SimulationError(
                f"{model.name}: {budget:,g} {unit} for FIFOs are not enough: even at one image in "
                f"{low:,} cycles it would stop in a deadlock or need more"
            )
    while high - low > 1:
        middle = (low + high) // 2
        if is_within(middle):
            high = middle
        else:
            low = middle
    model.set_interval(high)


class _Sized:
    """A choice of any depth in each slot."""

    def __init__(
        self, model: FifoModel, search: Search, measure: Measure, levels: list[Level]
    ) -> None:
        self.model = model
        self.search = search
        self.measure = measure
        self.levels = levels
        # By bits of a beat and depth: many streams carry the same beats.
        self._known: dict[tuple[int, int], Level] = {}
        self.least = [self._least_depth(slot) for slot in range(len(levels))]

    def _fifos(self, slot: int, chosen: Level) -> Fifos:
        levels = [*self.levels[:slot], chosen, *self.levels[slot + 1 :]]
        return Fifos(tuple(one.depth for one in levels), tuple(one.latency for one in levels))

    def _verdict(self, slot: int, depth: int) -> Verdict:
        return self.model.check(self._fifos(slot, self._of_depth(slot, depth)))

    def _of_depth(self, slot: int, depth: int) -> Level:
        kind = self.model.places[slot].type
        key = kind.width_bits, depth
        if key not in self._known:
            self._known[key] = level(kind, depth, self.measure)
        return self._known[key]

    def trim(self) -> None:
        """Take beats from each FIFO that it can do without where that makes it cheaper."""
        for slot in sorted(range(len(self.levels)), key=lambda s: -self.levels[s].price):
            chosen = self.levels[slot]
            # Often what is needed with all other FIFOs without limit is enough.
            needed = least_depth(
                self.least[slot] - 1,
                chosen.depth,
                self.model.interval,
                partial(self._verdict, slot),
                self.least[slot],
            )
            enough = [self._of_depth(slot, depth) for depth in range(needed, chosen.depth)]
            for trimmed in sorted(enough, key=lambda one: one.price):
                if trimmed.price >= chosen.price:
                    break
                if self.model.is_kept(self._fifos(slot, trimmed)):
                    self.levels[slot] = trimmed
                    break

    def report(self) -> tuple[SizedFifo, ...]:
        """Return each FIFO with its bound and with what a beat less would do."""
        fifos = []
        for slot, (place, chosen) in enumerate(zip(self.model.places, self.levels, strict=True)):
            less = None
            if chosen.depth:
                smaller = self._of_depth(slot, chosen.depth - 1)
                less = self.model.least_interval(self._fifos(slot, smaller))
            fifos.append(
                SizedFifo(
                    stream=place.stream,
                    depth=chosen.depth,
                    width_bits=place.type.width_bits,
                    cost=chosen.cost,
                    least_depth=self.least[slot],
                    interval_with_one_less=less,
                )
            )
        return tuple(fifos)

    def _least_depth(self, slot: int) -> int:
        """Return the least depth that keeps the interval with all other FIFOs without limit."""
        bound = self.search.bounds[slot]
        if bound == 0:
            return 0
        levels = self.search.levels[slot]

        def verdict_of(depth: int) -> Verdict:
            middle = self._of_depth(slot, depth)
            return self.model.check(self.search.only({slot: (middle.depth, middle.latency)}))

        low, high = levels[bound - 1].depth, levels[bound].depth
        return least_depth(low, high, self.model.interval, verdict_of)
