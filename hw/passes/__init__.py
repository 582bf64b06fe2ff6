"""Passes: from a dataflow to a dataflow that computes the same integers."""

from __future__ import annotations

from .connect import connect, logical_stages
from .fifos import Effort, FifoSizing, Measure, SizedFifo, size_fifos
from .fold import apply_folding, fold
from .folding_report import FasterFolding, FoldingReport, StageFolding, folding_report
from .kernels import choose_kernel

__all__ = [
    "Effort",
    "FasterFolding",
    "FifoSizing",
    "FoldingReport",
    "Measure",
    "SizedFifo",
    "StageFolding",
    "apply_folding",
    "choose_kernel",
    "connect",
    "fold",
    "folding_report",
    "logical_stages",
    "size_fifos",
]
