"""Kernels of layers: the arithmetic of their products and what it costs, one file each."""

from __future__ import annotations

from types import MappingProxyType

from .adder import Adder
from .adder_graph import AdderGraph
from .coded import Coded
from .kernel import Computes, Kernel, WeightCode
from .planes import Planes
from .shift import Shift
from .signed import Signed
from .xnor import Xnor

__all__ = ["DOT_SOURCES", "KERNELS", "AdderGraph", "Coded", "Computes", "Kernel", "WeightCode"]

_KERNELS: tuple[Kernel, ...] = (Adder(), Coded(), Planes(), Shift(), Signed(), Xnor())

KERNELS = MappingProxyType({kernel.name: kernel for kernel in _KERNELS})

# All modules behind ``dot.sv``, which chooses one of the kernels by its name.
DOT_SOURCES = (
    "dot",
    *sorted({name for k in _KERNELS for name in (f"dot_{k.name}", *k.sources)}),
)
