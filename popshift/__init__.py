"""popshift: multiplier-free neural networks from PyTorch to a proven FPGA bitstream.

The three rooms load on first use, so that ``popshift.hw`` works without torch:

``popshift.models``  PyTorch + Brevitas networks, training, export to QONNX
``popshift.hw``      QONNX to integers, reference, simulator, SystemVerilog
``popshift.flows``   builds, verification, synthesis, command line
"""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"
__all__ = ["__version__", "flows", "hw", "models"]

_ROOMS = ("flows", "hw", "models")


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
