"""The integers that a tensor consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Values ``step * n`` with an integer ``n`` from ``low`` to ``high``.

    Attributes:
        step: Distance of two values, > 0.
        low: Least integer.
        high: Largest integer.
    """

    step: float
    low: int
    high: int

    @property
    def magnitude(self) -> int:
        """The largest ``|n|``."""
        return max(-self.low, self.high)
