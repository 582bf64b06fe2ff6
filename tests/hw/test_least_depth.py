"""The least depth of a FIFO: found exactly whatever shallower ones take, with few looks on a line."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popshift.hw.passes.fifos.least import least_depth
from popshift.hw.passes.fifos.slots import Verdict

INTERVAL = 1000


def _found(
    low: int, high: int, cycles_of: Callable[[int], int | None], first: int | None = None
) -> tuple[int, list[int]]:
    """Return the depth that is found, and those that were asked for.

    Args:
        low: See ``least_depth``.
        high: See ``least_depth``.
        cycles_of: Cycles of an image with a depth, None for a deadlock.
        first: See ``least_depth``.
    """
    asked: list[int] = []

    def verdict_of(depth: int) -> Verdict:
        asked.append(depth)
        cycles = cycles_of(depth)
        if cycles is not None and cycles <= INTERVAL:
            return Verdict(is_kept=True, interval=Fraction(INTERVAL))
        return Verdict(is_kept=False, interval=None if cycles is None else Fraction(cycles))

    return least_depth(low, high, INTERVAL, verdict_of, first), asked


@given(
    low=st.integers(-1, 50),
    falls=st.lists(st.integers(0, 400), min_size=1, max_size=80),
    deadlocks=st.integers(0, 20),
    first=st.none() | st.integers(-5, 150),
)
def test_least_depth_is_the_first_that_keeps_the_interval(
    low: int, falls: list[int], deadlocks: int, first: int | None
) -> None:
    high = low + len(falls)
    cycles = [INTERVAL]
    for fall in falls[1:]:
        cycles.append(cycles[-1] + fall)
    cycles.reverse()

    def cycles_of(depth: int) -> int | None:
        return None if depth <= low + deadlocks and depth < high else cycles[depth - low - 1]

    found, asked = _found(low, high, cycles_of, first)
    kept = [
        depth
        for depth in range(low + 1, high + 1)
        if (taken := cycles_of(depth)) is not None and taken <= INTERVAL
    ]
    assert found == kept[0]
    assert len(asked) == len(set(asked))
    assert all(low < depth < high for depth in asked)


@pytest.mark.parametrize(
    ("least", "looks"), [(700, 7), (1013, 6), (2600, 5), (4094, 4), (4095, 4), (4096, 3)]
)
def test_few_looks_are_enough_where_each_beat_saves_as_many_cycles(least: int, looks: int) -> None:
    found, asked = _found(0, 4096, lambda depth: INTERVAL + 60 * (least - depth) - 30)
    assert found == least
    assert len(asked) <= looks


def test_a_line_that_always_misleads_costs_at_most_three_looks_a_halving() -> None:
    # The last beats save nearly all, so the line ends beyond the depth that is known to be enough.
    least = 30_000
    found, asked = _found(
        0, 1 << 16, lambda depth: INTERVAL if depth >= least else INTERVAL + 1_000_000 - depth
    )
    assert found == least
    assert len(asked) <= 3 * 16
