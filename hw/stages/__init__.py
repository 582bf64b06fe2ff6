"""Hardware stages, one class each; a new stage adds its line to ``STAGES``."""

from __future__ import annotations

from types import MappingProxyType

from ..graph import Stage
from .argmax import Argmax
from .border import Border, zero_padded
from .depthwise import Depthwise
from .layer import Layer
from .matvec import MatVec
from .pool import Pool
from .stream import Fifo, Width
from .threshold import Threshold
from .thresholds import Thresholds
from .window import Window

__all__ = [
    "STAGES",
    "Argmax",
    "Border",
    "Depthwise",
    "Fifo",
    "Layer",
    "MatVec",
    "Pool",
    "Threshold",
    "Thresholds",
    "Width",
    "Window",
    "zero_padded",
]

_CLASSES: tuple[type[Stage], ...] = (
    Argmax,
    Depthwise,
    Fifo,
    MatVec,
    Pool,
    Threshold,
    Width,
    Window,
)

STAGES = MappingProxyType({stage.kind: stage for stage in _CLASSES})
