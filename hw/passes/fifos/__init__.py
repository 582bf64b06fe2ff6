"""FIFO sizing: the least FIFOs with which the slowest stage never waits."""

from __future__ import annotations

from .levels import Measure
from .sizing import Effort, FifoSizing, SizedFifo, size_fifos

__all__ = ["Effort", "FifoSizing", "Measure", "SizedFifo", "size_fifos"]
