"""From QONNX to integers, cycles and SystemVerilog; runs without torch.

``load`` and ``Accelerator`` are what a user starts with. They load on first use, because the
readers and compilers behind them take seconds that a command-line help does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .accelerator import Accelerator, load

__all__ = ["Accelerator", "load"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import accelerator  # noqa: PLC0415

        return getattr(accelerator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
