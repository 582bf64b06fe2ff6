"""Synthesis: RTL to bitstream, and the netlist back into simulation."""

from __future__ import annotations

from .ecp5 import FitResult, SynthResult, Utilization, fit, synthesize
from .netlist import BoardModel, netlist_model, rtl_model

__all__ = [
    "BoardModel",
    "FitResult",
    "SynthResult",
    "Utilization",
    "fit",
    "netlist_model",
    "rtl_model",
    "synthesize",
]
