"""The least depth that is enough, found along the line of what shallower FIFOs take."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from .slots import Verdict

PATIENCE = 2  # looks along the line before a halving: to find the least, and to see that it is


def least_depth(
    low: int,
    high: int,
    interval: int,
    verdict_of: Callable[[int], Verdict],
    first: int | None = None,
) -> int:
    """Return the least depth that keeps ``interval``.

    A cycle of waits through the FIFO is shorter by as much with each beat, so two depths that are
    too small mostly tell which one is enough. Where the line misleads, the range is halved.

    Args:
        low: A depth that does not keep it.
        high: A larger one that does.
        interval: Cycles of an image.
        verdict_of: Tells whether a depth between them keeps it, and what it takes otherwise.
        first: Depth to try first, by default the middle.
    """
    lost: list[tuple[int, Fraction]] = []
    guess, poor = first, 0
    while high - low > 1:
        size = high - low
        if guess is None or poor == PATIENCE:
            guess, poor = (low + high) // 2, 0
        depth = min(max(guess, low + 1), high - 1)
        verdict = verdict_of(depth)
        if verdict.is_kept:
            high = depth
        else:
            low = depth
            if verdict.interval is not None:
                lost = [*lost[-1:], (depth, verdict.interval)]
        guess = _on_line(lost, interval)
        poor = poor + 1 if 2 * (high - low) > size else 0
    return high


def _on_line(lost: list[tuple[int, Fraction]], interval: int) -> int | None:
    """Return the depth at which the line through two that are too small reaches ``interval``."""
    if len(lost) < 2:
        return None
    (depth, long), (deeper, shorter) = lost
    if shorter >= long:
        return None
    return deeper + math.ceil((shorter - interval) * (deeper - depth) / (long - shorter))
