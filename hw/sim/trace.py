"""What a simulation finds: the cycle of every beat, or how far the beats came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError

Cycles = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Cycles of a simulation.

    Attributes:
        cycles: Per stream, the cycle in which each of its beats was transferred.
        total_cycles: Cycles until the last transfer, inclusive.
    """

    cycles: Mapping[str, Cycles]
    total_cycles: int


class StalledError(SimulationError):
    """Not all beats came through: a deadlock, or the cycle limit.

    Attributes:
        trace: The beats that were transferred.
    """

    def __init__(self, message: str, trace: Trace) -> None:
        super().__init__(message)
        self.trace = trace


def incomplete_streams(beats: Mapping[str, int], moved: Mapping[str, int]) -> str:
    """Return the streams that miss beats, and how many of how many came through."""
    return "incomplete streams: " + ", ".join(
        f"{name} ({moved[name]} of {count} beats)"
        for name, count in beats.items()
        if moved[name] < count
    )
