"""Faults of every module, each of which the conformance suite must see."""

from __future__ import annotations

from . import kernels, layers, streams, windows
from .directed import directed
from .mutant import Mutant

__all__ = ["MUTANTS", "Mutant", "directed"]

MUTANTS = (*streams.MUTANTS, *windows.MUTANTS, *layers.MUTANTS, *kernels.MUTANTS)
