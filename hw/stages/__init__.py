"""Hardware stages, one class each; a new stage adds its line to ``STAGES``."""

from __future__ import annotations

from types import MappingProxyType

from ..graph import Stage
from .add import Add
from .argmax import Argmax
from .border import Border, zero_padded
from .concat import Concat
from .depthwise import Depthwise
from .fork import Fork
from .layer import Layer
from .matvec import MatVec
from .pool import Pool
from .split import Split
from .stream import Fifo, Width
from .threshold import Threshold
from .thresholds import Thresholds
from .window import Window

__all__ = [
    "STAGES",
    "Add",
    "Argmax",
    "Border",
    "Concat",
    "Depthwise",
    "Fifo",
    "Fork",
    "Layer",
    "MatVec",
    "Pool",
    "Split",
    "Threshold",
    "Thresholds",
    "Width",
    "Window",
    "zero_padded",
]

_CLASSES: tuple[type[Stage], ...] = (
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

STAGES = MappingProxyType({stage.kind: stage for stage in _CLASSES})
