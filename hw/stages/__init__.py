"""Hardware stages, one class each; a new stage adds its line to ``STAGES``."""

from __future__ import annotations

from types import MappingProxyType

from ..graph import Stage
from .argmax import Argmax
from .matvec import MatVec
from .stream import Fifo, Width
from .threshold import Threshold
from .thresholds import Thresholds
from .window import Window

__all__ = ["STAGES", "Argmax", "Fifo", "MatVec", "Threshold", "Thresholds", "Width", "Window"]

_CLASSES: tuple[type[Stage], ...] = (Argmax, Fifo, MatVec, Threshold, Width, Window)

STAGES = MappingProxyType({stage.kind: stage for stage in _CLASSES})
