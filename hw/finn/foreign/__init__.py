"""Reads a graph of FINN's own ops, as its steps leave it, into a dataflow. Needs no FINN.

Each op of FINN that a stage expresses becomes that stage with FINN's folding; FIFOs and width
converters are put in by :func:`connect` as everywhere else. Ops without a stage are refused, all of
them by name. What follows the last integers, constant factors and terms, is host metadata.

Bits need a word. FINN calls the operands of an XNOR layer BINARY and reads their 0 as -1; here such
a stream is BIPOLAR, from the layer back to the thresholds that make it. The bits are the same.
"""

from __future__ import annotations

from .walk import Imported, read_finn

__all__ = ["Imported", "read_finn"]
