"""The cheapest FIFOs on the grid, with the proof that there are none cheaper.

A choice that does not keep the rate is excluded together with all that fail for the same reason: a
*cut* says that some FIFO must be deeper than here, or another one less late. Each cut is first made
as wide as it goes. The cheapest choice that satisfies all cuts, a 0/1 program, is a lower bound;
when it keeps the rate, it is the optimum. The method is that of combinatorial Benders cuts [1]_.

References:
    .. [1] Codato, Fischetti, "Combinatorial Benders' Cuts for Mixed-Integer Linear Programming",
       Operations Research 54(4), 2006.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .search import Choice, Search
from .slots import UNBOUNDED, Verdict

_REPAIR_EVERY = 8  # cuts between two attempts to mend the candidate


@dataclass(frozen=True)
class Cut:
    """What every choice that keeps the rate does in at least one slot.

    Attributes:
        deeper: By slot, exceed a level.
        earlier: By slot, stay below a level.
    """

    deeper: tuple[tuple[int, int], ...]
    earlier: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What is known about the cheapest choice.

    Attributes:
        choice: The cheapest choice found.
        lower_bound: No choice is cheaper, in half LUTs.
        cuts: How many were needed.
    """

    choice: Choice
    lower_bound: int
    cuts: int


def cheapest(
    search: Search,
    choice: Choice,
    *,
    seconds: float,
    progress: Callable[[int, int], None] = lambda bound, price: None,
) -> Proof:
    """Return the cheapest choice, or the best one and a bound when the time is over.

    Args:
        search: The choices.
        choice: One that keeps the rate.
        seconds: CPU time to spend.
        progress: Called with the bound and the price of the best choice, in half LUTs.
    """
    cuts: dict[Cut, None] = {}
    deadline = time.process_time() + seconds
    best, rounds = choice, 0
    while True:
        left = deadline - time.process_time()
        candidate, bound = _master(search, list(cuts), max(left, 1.0))
        progress(bound, search.price(best))
        if bound >= search.price(best) or left <= 0:
            return Proof(choice=best, lower_bound=bound, cuts=len(cuts))
        verdict = search.check(candidate)
        if verdict.is_kept:
            if search.price(candidate) < search.price(best):
                best = candidate
            if search.price(candidate) <= bound:
                continue
            return Proof(choice=best, lower_bound=bound, cuts=len(cuts))
        cuts.update(dict.fromkeys(_cuts(search, candidate, verdict)))
        rounds += 1
        if rounds % _REPAIR_EVERY == 0:
            mended = search.descend(search.dive(candidate))
            best = min(best, mended, key=search.price)


def _cuts(search: Search, choice: Choice, verdict: Verdict) -> list[Cut]:
    """Return cuts that exclude ``choice``, made wide in the one order of slots and in the other."""

    def step(slot: int) -> int:
        levels, number = search.levels[slot], choice[slot]
        return levels[min(number + 1, len(levels) - 1)].price - levels[number].price

    order = sorted(verdict.full, key=step)
    return [_widened(search, choice, slots, verdict) for slots in (order, order[::-1])]


def _widened(search: Search, choice: Choice, slots: Sequence[int], verdict: Verdict) -> Cut:
    """Return the cut of a verdict with as few slots and as deep levels as still fail.

    Args:
        search: The choices.
        choice: What failed.
        slots: Those that may be deeper, in the order in which they are made so.
        verdict: Why.
    """
    at = {slot: choice[slot] for slot in slots}
    late = {slot: search.levels[slot][choice[slot]].latency for slot in verdict.late}

    def fails() -> bool:
        fifos = {slot: (UNBOUNDED, latency) for slot, latency in late.items()}
        for slot, number in at.items():
            fifos[slot] = (search.levels[slot][number].depth, late.get(slot, 0))
        return not search.is_kept_with(fifos)

    for slot in sorted(verdict.late):
        latency = late.pop(slot)
        if not fails():
            late[slot] = latency
    for slot in slots:
        number = at.pop(slot)
        if fails():
            continue
        # It fails at `low` and not at `high`.
        low, high = number, len(search.levels[slot])
        while high - low > 1:
            at[slot] = (low + high) // 2
            if fails():
                low = at[slot]
            else:
                high = at[slot]
        at[slot] = low
    earlier = []
    for slot, latency in late.items():
        first = next(n for n, level in enumerate(search.levels[slot]) if level.latency >= latency)
        earlier.append((slot, first))
    return Cut(tuple(sorted(at.items())), tuple(sorted(earlier)))


def _master(search: Search, cuts: Sequence[Cut], seconds: float) -> tuple[Choice, int]:
    """Return the cheapest choice that satisfies all cuts, and a bound on its price.

    A 0/1 variable per slot and level that a cut names says whether the choice reaches that level;
    between two such levels the cheapest one is taken.
    """
    named: dict[int, set[int]] = {}
    for cut in cuts:
        for slot, number in cut.deeper:
            named.setdefault(slot, set()).add(number + 1)
        for slot, number in cut.earlier:
            named.setdefault(slot, set()).add(number)
    segments = []
    variables: dict[tuple[int, int], int] = {}
    costs: list[int] = []
    fixed = 0
    for slot, levels in enumerate(search.levels):
        bound = search.bounds[slot]
        starts = [bound, *sorted(n for n in named.get(slot, ()) if bound < n < len(levels))]
        ends = [*starts[1:], len(levels)]
        best = [
            min(range(start, end), key=lambda n: levels[n].price)
            for start, end in zip(starts, ends, strict=True)
        ]
        segments.append((starts, best))
        prices = [levels[number].price for number in best]
        fixed += prices[0]
        for start, step in zip(starts[1:], np.diff(prices), strict=True):
            variables[slot, start] = len(costs)
            costs.append(int(step))
    if not costs:
        return tuple(best[0] for _, best in segments), fixed
    rows: list[dict[int, int]] = []
    least: list[int] = []
    for slot, (starts, _) in enumerate(segments):
        for lower, upper in pairwise(starts[1:]):
            rows.append({variables[slot, lower]: 1, variables[slot, upper]: -1})
            least.append(0)
    for cut in cuts:
        if any(number < search.bounds[slot] for slot, number in cut.deeper):
            continue
        deeper = [variables[slot, n + 1] for slot, n in cut.deeper if (slot, n + 1) in variables]
        earlier = [variables[slot, n] for slot, n in cut.earlier if (slot, n) in variables]
        rows.append(dict.fromkeys(deeper, 1) | dict.fromkeys(earlier, -1))
        least.append(1 - len(earlier))
    values, bound = _solve(costs, rows, least, seconds)
    choice = []
    for slot, (starts, best) in enumerate(segments):
        reached = sum(values[variables[slot, start]] for start in starts[1:])
        choice.append(best[reached])
    return tuple(choice), fixed + bound


def _solve(
    costs: Sequence[int], rows: Sequence[dict[int, int]], least: Sequence[int], seconds: float
) -> tuple[list[int], int]:
    """Return the 0/1 values of least cost with ``rows @ values >= least``, and a bound on it."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 (slow to load)
    from scipy.sparse import coo_array  # noqa: PLC0415

    at = [
        (number, column, factor)
        for number, row in enumerate(rows)
        for column, factor in row.items()
    ]
    row_at, column_at, factors = zip(*at, strict=True)
    matrix = coo_array((factors, (row_at, column_at)), shape=(len(rows), len(costs))).tocsr()
    result = milp(
        costs,
        constraints=LinearConstraint(matrix, least, np.inf),
        integrality=np.ones(len(costs), np.int64),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0, "time_limit": seconds},
    )
    assert result.x is not None, result.message
    bound = result.mip_dual_bound if result.mip_dual_bound is not None else result.fun
    return [round(value) for value in result.x], math.ceil(bound - 1e-6)
