"""Layers and activations by the name of their precision.

A family of weights is added by its entries in ``WEIGHTS``, one of activations in ``ACTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Unpack

from torch import nn

from .dtypes import integer_range
from .grid import Grid
from .layers import (
    BinaryAct,
    BinaryConv2d,
    BinaryLinear,
    Geometry,
    IntegerAct,
    IntegerConv2d,
    IntegerLinear,
    act_step,
)
from .quant.integer import levels


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a layer may depend on besides its sizes.

    Attributes:
        clip: Clip of the straight-through estimators of signs.
        inputs: Values that the layer takes; None for floats.
    """

    clip: float
    inputs: Grid | None


@dataclass(frozen=True, kw_only=True)
class WeightPrecision:
    """How layers of one precision are made; none has a bias.

    Attributes:
        linear: ``(in_features, out_features, **options)``.
        conv2d: ``(in_channels, out_channels, kernel_size, **options, **geometry)``.
        options: The options of both, which may follow from the surroundings.
    """

    linear: Callable[..., nn.Module]
    conv2d: Callable[..., nn.Module]
    options: Callable[[Surroundings], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ActPrecision:
    """How activations of one precision are made.

    Attributes:
        act: Makes the module; takes the clip of straight-through estimators.
        grid: Its values; None for floats.
    """

    act: Callable[[float], nn.Module]
    grid: Grid | None


def _float_linear(in_features: int, out_features: int) -> nn.Module:
    return nn.Linear(in_features, out_features, bias=False)


def _float_conv2d(
    in_channels: int, out_channels: int, kernel_size: int, **geometry: Unpack[Geometry]
) -> nn.Module:
    """Return a convolution that pads with zeros, whatever the pad value."""
    windows: dict[str, Any] = {k: v for k, v in geometry.items() if k != "pad_value"}
    return nn.Conv2d(in_channels, out_channels, kernel_size, bias=False, **windows)


def _integer_weights(bits: int) -> WeightPrecision:
    return WeightPrecision(
        linear=IntegerLinear, conv2d=IntegerConv2d, options=lambda _: {"bits": bits}
    )


def _integer_act(bits: int, *, signed: bool) -> ActPrecision:
    low, high = levels(bits, signed=signed, narrow_range=signed)
    return ActPrecision(
        act=lambda _: IntegerAct(bits, signed=signed),
        grid=Grid(step=act_step(bits, signed=signed), low=low, high=high),
    )


WEIGHTS: Mapping[str, WeightPrecision] = MappingProxyType(
    {
        "binary": WeightPrecision(
            linear=BinaryLinear,
            conv2d=BinaryConv2d,
            options=lambda around: {"clip": around.clip},
        ),
        **{f"int{bits}": _integer_weights(bits) for bits in (2, 3, 4, 8)},
        "float": WeightPrecision(linear=_float_linear, conv2d=_float_conv2d, options=lambda _: {}),
    }
)
"""``binary``: {-1, +1}; ``intN``: symmetric integers of N bits, {-1, 0, +1} for two; ``float``."""

ACTS: Mapping[str, ActPrecision] = MappingProxyType(
    {
        "binary": ActPrecision(
            act=lambda clip: BinaryAct(clip=clip), grid=Grid(step=1.0, low=-1, high=1)
        ),
        **{f"int{bits}": _integer_act(bits, signed=True) for bits in (2, 3, 4, 8)},
        **{f"uint{bits}": _integer_act(bits, signed=False) for bits in (2, 3, 4, 8)},
        "float": ActPrecision(act=lambda _: nn.ReLU(), grid=None),
    }
)
"""``binary``: sign; ``intN``: symmetric; ``uintN``: from 0 up; ``float``: ReLU."""


def check_precisions(weight: str, act: str, where: str) -> None:
    """Check two names.

    Args:
        weight: A key of ``WEIGHTS``.
        act: A key of ``ACTS``.
        where: Begins the message.

    Raises:
        ValueError: A name is unknown.
    """
    known: tuple[tuple[str, str, Mapping[str, object]], ...] = (
        ("weight", weight, WEIGHTS),
        ("act", act, ACTS),
    )
    for field, value, names in known:
        if value not in names:
            raise ValueError(f"{where}: {field}={value!r} is none of {', '.join(names)}")


def linear(
    in_features: int, out_features: int, *, weight: str, clip: float, inputs: Grid | None
) -> nn.Module:
    """Return a linear layer without bias.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        weight: A key of ``WEIGHTS``.
        clip: Clip of the straight-through estimators of signs.
        inputs: Values that the layer takes; None for floats.
    """
    precision = WEIGHTS[weight]
    options = precision.options(Surroundings(clip=clip, inputs=inputs))
    return precision.linear(in_features, out_features, **options)


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    weight: str,
    clip: float,
    inputs: Grid | None,
    **geometry: Unpack[Geometry],
) -> nn.Module:
    """Return a convolution without bias; the arguments are as those of :func:`linear`.

    Float convolutions always pad with zeros.
    """
    precision = WEIGHTS[weight]
    options = precision.options(Surroundings(clip=clip, inputs=inputs))
    return precision.conv2d(in_channels, out_channels, kernel_size, **options, **geometry)


def activation(act: str, *, clip: float) -> nn.Module:
    """Return an activation module; ``act`` is a key of ``ACTS``."""
    return ACTS[act].act(clip)


def act_grid(act: str) -> Grid | None:
    """Return the values of an activation; None for floats."""
    return ACTS[act].grid


def input_grid(input_dtype: str, where: str) -> Grid:
    """Return the values of a network's input, whose datatype has the QONNX name ``input_dtype``.

    Raises:
        ValueError: The name is unknown; ``where`` begins the message.
    """
    low, high = integer_range(input_dtype, where)
    return Grid(step=1.0, low=low, high=high)
