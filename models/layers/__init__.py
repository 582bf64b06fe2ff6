"""Layers with weights or activations of few bits, one file a family; each is a Brevitas layer."""

from __future__ import annotations

from .binary import BinaryAct, BinaryConv2d, BinaryLinear
from .integer import IntegerAct, IntegerConv2d, IntegerLinear, act_step, weight_step
from .padded import Geometry, PaddedConv2d
from .scale import PositiveScale

__all__ = [
    "BinaryAct",
    "BinaryConv2d",
    "BinaryLinear",
    "Geometry",
    "IntegerAct",
    "IntegerConv2d",
    "IntegerLinear",
    "PaddedConv2d",
    "PositiveScale",
    "act_step",
    "weight_step",
]
