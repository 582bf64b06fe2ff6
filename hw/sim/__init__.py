"""Cycles of a dataflow, exactly."""

from __future__ import annotations

from collections.abc import Mapping

from ..graph import Dataflow
from .patterns import Pattern
from .timing import Simulation, TimingModel
from .trace import StalledError, Trace

__all__ = ["Simulation", "StalledError", "TimingModel", "Trace", "simulate"]


def simulate(
    dataflow: Dataflow,
    *,
    images: int,
    gaps: Mapping[str, Pattern] | None = None,
    ready: Mapping[str, Pattern] | None = None,
    max_cycles: int = 1 << 40,
) -> Simulation:
    """Return the cycle of every beat on every stream; see ``clock.simulate``."""
    return TimingModel(dataflow).simulate(
        images=images, gaps=gaps, ready=ready, max_cycles=max_cycles
    )
