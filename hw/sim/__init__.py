"""Cycles of a dataflow, exactly."""

from .clock import Trace, simulate

__all__ = ["Trace", "simulate"]
