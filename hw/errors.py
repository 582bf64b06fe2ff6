"""What a user of ``popshift.hw`` can get wrong, one exception each."""

from __future__ import annotations


class PopshiftError(Exception):
    """A mistake the user can mend; the message says where, which rule, which value, what to do."""


class DatatypeError(PopshiftError, ValueError):
    """A value or a name is outside the integer datatype it was given for."""


class FoldingError(PopshiftError, ValueError):
    """PE or SIMD does not divide its dimension, or no folding reaches the asked rate."""


class GraphError(PopshiftError, ValueError):
    """A dataflow is inconsistent, or a stored one is damaged."""


class ModelFileError(PopshiftError, ValueError):
    """An ONNX file is missing, truncated or not ONNX."""


class UnsupportedOpError(PopshiftError, ValueError):
    """A node of the QONNX graph has no exact integer form; the message says what to change."""


class SimulationError(PopshiftError, RuntimeError):
    """A simulation did not end: deadlock or cycle limit; the message names the waiting streams."""
