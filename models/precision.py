"""Layers and activations by the name of their precision."""

from __future__ import annotations

import re
from typing import Literal, get_args

from torch import nn

from .layers import (
    BinaryAct,
    BinaryConv2d,
    BinaryLinear,
    IntegerAct,
    IntegerConv2d,
    IntegerLinear,
)

Weight = Literal["binary", "int2", "int3", "int4", "int8", "float"]
Act = Literal["binary", "int2", "int3", "int4", "int8", "uint2", "uint3", "uint4", "uint8", "float"]


def check_precisions(weight: str, act: str, where: str) -> None:
    """Check two names.

    Args:
        weight: ``binary``: {-1, +1}; ``intN``: symmetric integers of N bits, {-1, 0, +1} for two;
            ``float``.
        act: ``binary``: sign; ``intN``: symmetric; ``uintN``: from 0 up; ``float``: ReLU.
        where: Begins the message.

    Raises:
        ValueError: A name is unknown.
    """
    for field, value, kind in (("weight", weight, Weight), ("act", act, Act)):
        if value not in get_args(kind):
            raise ValueError(f"{where}: {field}={value!r} is none of {', '.join(get_args(kind))}")


def linear(in_features: int, out_features: int, *, weight: Weight, clip: float) -> nn.Module:
    """Return a linear layer without bias."""
    if weight == "binary":
        return BinaryLinear(in_features, out_features, clip=clip)
    if weight == "float":
        return nn.Linear(in_features, out_features, bias=False)
    return IntegerLinear(in_features, out_features, bits=bits_of(weight))


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int,
    pad_value: int,
    weight: Weight,
    clip: float,
) -> nn.Module:
    """Return a convolution without bias; a float one always pads with zeros."""
    if weight == "float":
        return nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=padding, bias=False
        )
    if weight == "binary":
        return BinaryConv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=padding,
            pad_value=pad_value,
            clip=clip,
        )
    return IntegerConv2d(
        in_channels,
        out_channels,
        kernel,
        bits=bits_of(weight),
        stride=stride,
        padding=padding,
        pad_value=pad_value,
    )


def activation(act: Act, *, clip: float) -> nn.Module:
    """Return an activation module."""
    if act == "binary":
        return BinaryAct(clip=clip)
    if act == "float":
        return nn.ReLU()
    return IntegerAct(bits_of(act), signed=act.startswith("int"))


def bits_of(name: str) -> int:
    """Return the bits of ``intN`` or ``uintN``."""
    return int(re.sub(r"\D", "", name))
