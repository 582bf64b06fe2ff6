"""Training: one loop, recipes by name, checkpoints without pickle."""

from __future__ import annotations

from .checkpoint import load, load_weights
from .loop import TrainResult, evaluate, fit
from .recipes import RECIPES, Recipe
from .state import EpochRecord

__all__ = [
    "RECIPES",
    "EpochRecord",
    "Recipe",
    "TrainResult",
    "evaluate",
    "fit",
    "load",
    "load_weights",
]
