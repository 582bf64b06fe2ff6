"""Operators that ONNX lacks, as one node each in an exported file.

A node of the domain ``popshift.ops`` is written by :func:`emit`; :func:`add_definitions` puts the
meaning of every such node into the file, as a model-local function of standard operators, so that
any ONNX runtime executes it. ``docs/ops.md`` describes the operators.
"""

from __future__ import annotations

from .definition import DOMAIN, OPSET, VERSION, Definition, add_definitions, without_own_ops
from .node import Attributes, emit
from .quantizers import QONNX
from .registry import DEFINITIONS

__all__ = [
    "DEFINITIONS",
    "DOMAIN",
    "OPSET",
    "QONNX",
    "VERSION",
    "Attributes",
    "Definition",
    "add_definitions",
    "emit",
    "without_own_ops",
]
