"""From stages to kernel text: what each stage adds to its segment.

A stage whose class is not in ``LOWERINGS``, or whose ``supports`` says no, runs by
``Stage.execute``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from ...graph import Stage
from ...stages import (
    Add,
    Argmax,
    Concat,
    Depthwise,
    Fifo,
    Fork,
    MatVec,
    Pool,
    Split,
    Threshold,
    Width,
    Window,
)
from .add import LowerAdd
from .argmax import LowerArgmax
from .channels import LowerConcat, LowerSplit
from .depthwise import LowerDepthwise
from .fork import LowerFork
from .lowering import Lowering
from .matvec import LowerMatVec
from .pool import LowerPool
from .stream import LowerStream
from .threshold import LowerThreshold
from .window import LowerWindow

__all__ = ["LOWERINGS", "Lowering", "is_lowered"]

LOWERINGS: MappingProxyType[type[Stage], Lowering[Any]] = MappingProxyType(
    {
        Add: LowerAdd(),
        Argmax: LowerArgmax(),
        Concat: LowerConcat(),
        Depthwise: LowerDepthwise(),
        Fifo: LowerStream(),
        Fork: LowerFork(),
        MatVec: LowerMatVec(),
        Pool: LowerPool(),
        Split: LowerSplit(),
        Threshold: LowerThreshold(),
        Width: LowerStream(),
        Window: LowerWindow(),
    }
)


def is_lowered(stage: Stage) -> bool:
    """Return whether a kernel can hold the stage."""
    lowering = LOWERINGS.get(type(stage))
    return lowering is not None and lowering.supports(stage)
