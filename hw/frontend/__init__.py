"""From a QONNX file to a dataflow of integers, by integer islands.

Every tensor that is a scale times an integer is an *integer point*. Float work between the
accumulator of a layer and the next quantizer is an *island*: it depends on one integer per channel,
so it is evaluated, not transformed, and becomes integer thresholds.

To add an operator, write one handler (see ``elementwise.py``) and add it to its ``HANDLERS`` table.
"""

from __future__ import annotations

from .report import FrontendReport, LayerNote
from .walker import load, load_with_report

__all__ = ["FrontendReport", "LayerNote", "load", "load_with_report"]
