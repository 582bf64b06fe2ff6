"""Layers with weights or activations of few bits, one file a family; each is a Brevitas layer."""

from __future__ import annotations

from .adder import AdderConv2d, AdderLinear
from .adder_groups import GroupedAdder
from .binary import BinaryAct, BinaryConv2d, BinaryLinear
from .fixed import FixedPointAct
from .integer import IntegerAct, IntegerConv2d, IntegerLinear, act_step, weight_step
from .interval import (
    FixedIntervalAct,
    FixedIntervalConv2d,
    FixedIntervalLinear,
    LearnedIntervalAct,
    LearnedIntervalConv2d,
    LearnedIntervalLinear,
)
from .nested import (
    NestedConv2d,
    NestedLinear,
    SwitchableBatchNorm,
    precisions_of,
    set_precision,
)
from .padded import Geometry, PaddedConv2d
from .planes import Coding, PlanesConv2d, PlanesLinear
from .scale import ChannelBias, PositiveScale
from .shift import PowerOfTwo, ShiftConv2d, ShiftForm, ShiftLinear, ShiftSign, SignSparseShift
from .staircase import CodebookAct, LogAct, ShiftedSignsAct, StaircaseAct
from .ternary import TernaryConv2d, TernaryLinear

__all__ = [
    "AdderConv2d",
    "AdderLinear",
    "BinaryAct",
    "BinaryConv2d",
    "BinaryLinear",
    "ChannelBias",
    "CodebookAct",
    "Coding",
    "FixedIntervalAct",
    "FixedIntervalConv2d",
    "FixedIntervalLinear",
    "FixedPointAct",
    "Geometry",
    "GroupedAdder",
    "IntegerAct",
    "IntegerConv2d",
    "IntegerLinear",
    "LearnedIntervalAct",
    "LearnedIntervalConv2d",
    "LearnedIntervalLinear",
    "LogAct",
    "NestedConv2d",
    "NestedLinear",
    "PaddedConv2d",
    "PlanesConv2d",
    "PlanesLinear",
    "PositiveScale",
    "PowerOfTwo",
    "ShiftConv2d",
    "ShiftForm",
    "ShiftLinear",
    "ShiftSign",
    "ShiftedSignsAct",
    "SignSparseShift",
    "StaircaseAct",
    "SwitchableBatchNorm",
    "TernaryConv2d",
    "TernaryLinear",
    "act_step",
    "precisions_of",
    "set_precision",
    "weight_step",
]
