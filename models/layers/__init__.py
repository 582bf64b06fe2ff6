"""Layers with weights or activations of few bits, one file a family; each is a Brevitas layer."""

from __future__ import annotations

from .adder import AdderConv2d, AdderLinear
from .adder_groups import GroupedAdder
from .binary import BinaryAct, BinaryConv2d, BinaryLinear
from .fixed import FixedPointAct
from .integer import IntegerAct, IntegerConv2d, IntegerLinear, act_step, weight_step
from .padded import Geometry, PaddedConv2d
from .scale import ChannelBias, PositiveScale
from .shift import PowerOfTwo, ShiftConv2d, ShiftForm, ShiftLinear, ShiftSign, SignSparseShift

__all__ = [
    "AdderConv2d",
    "AdderLinear",
    "BinaryAct",
    "BinaryConv2d",
    "BinaryLinear",
    "ChannelBias",
    "FixedPointAct",
    "Geometry",
    "GroupedAdder",
    "IntegerAct",
    "IntegerConv2d",
    "IntegerLinear",
    "PaddedConv2d",
    "PositiveScale",
    "PowerOfTwo",
    "ShiftConv2d",
    "ShiftForm",
    "ShiftLinear",
    "ShiftSign",
    "SignSparseShift",
    "act_step",
    "weight_step",
]
