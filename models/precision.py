"""Layers and activations by the name of their precision.

A family of weights is added by its entries in ``WEIGHTS``, one of activations in ``ACTS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Unpack

from torch import nn

from .dtypes import integer_range
from .grid import Grid
from .layers import (
    AdderConv2d,
    AdderLinear,
    BinaryAct,
    BinaryConv2d,
    BinaryLinear,
    CodebookAct,
    FixedIntervalAct,
    FixedIntervalConv2d,
    FixedIntervalLinear,
    FixedPointAct,
    Geometry,
    IntegerAct,
    IntegerConv2d,
    IntegerLinear,
    LearnedIntervalAct,
    LearnedIntervalConv2d,
    LearnedIntervalLinear,
    LogAct,
    NestedConv2d,
    NestedLinear,
    PlanesConv2d,
    PlanesLinear,
    PowerOfTwo,
    ShiftConv2d,
    ShiftedSignsAct,
    ShiftForm,
    ShiftLinear,
    ShiftSign,
    SignSparseShift,
    StaircaseAct,
    SwitchableBatchNorm,
    TernaryConv2d,
    TernaryLinear,
    act_step,
)
from .layers.padded import Pair
from .quant.adder import adder_step
from .quant.fixed_point import check_bits
from .quant.integer import levels
from .quant.pruning import PruneAndReset

Norm = nn.BatchNorm1d | nn.BatchNorm2d


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
        needs_grid: Whether the layers' inputs must not be floats.
        takes_float: Whether trained float weights have nearest ones among its weights.
        norm: What becomes of the BatchNorm behind such a layer.
    """

    linear: Callable[..., nn.Module]
    conv2d: Callable[..., nn.Module]
    options: Callable[[Surroundings], Mapping[str, Any]]
    needs_grid: bool = False
    takes_float: bool = True
    norm: Callable[[Norm], nn.Module] = lambda norm: norm


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
    in_channels: int, out_channels: int, kernel_size: Pair, **geometry: Unpack[Geometry]
) -> nn.Module:
    """Return a convolution that pads with zeros, whatever the pad value."""
    windows: dict[str, Any] = {k: v for k, v in geometry.items() if k != "pad_value"}
    return nn.Conv2d(in_channels, out_channels, kernel_size, bias=False, **windows)


def _integer_weights(bits: int) -> WeightPrecision:
    return WeightPrecision(
        linear=IntegerLinear, conv2d=IntegerConv2d, options=lambda _: {"bits": bits}
    )


def _shift_weights(form: ShiftForm, *, takes_float: bool = True) -> WeightPrecision:
    return WeightPrecision(
        linear=ShiftLinear,
        conv2d=ShiftConv2d,
        options=lambda _: {"form": form},
        takes_float=takes_float,
    )


def _adder_weights(bits: int | None) -> WeightPrecision:
    """Return layers whose weights spread as far as their inputs, on the same grid."""

    def options(around: Surroundings) -> Mapping[str, Any]:
        grid = around.inputs
        spread = 1.0 if grid is None else grid.magnitude * grid.step / 4
        if bits is None:
            return {"init": spread}
        assert grid is not None
        return {"init": spread, "bits": bits, "step": adder_step(bits, grid)}

    return WeightPrecision(
        linear=AdderLinear, conv2d=AdderConv2d, options=options, needs_grid=bits is not None
    )


def _fixed_point_act(integer_bits: int, fraction_bits: int) -> ActPrecision:
    """Return a ReLU in signed fixed point: without it only a clamp would be no straight line."""
    _, high = levels(integer_bits + fraction_bits, signed=True, narrow_range=False)
    return ActPrecision(
        act=lambda _: nn.Sequential(nn.ReLU(), FixedPointAct(integer_bits, fraction_bits)),
        grid=Grid(step=2.0**-fraction_bits, low=0, high=high),
    )


def _integer_act(bits: int, *, signed: bool) -> ActPrecision:
    low, high = levels(bits, signed=signed, narrow_range=signed)
    return ActPrecision(
        act=lambda _: IntegerAct(bits, signed=signed),
        grid=Grid(step=act_step(bits, signed=signed), low=low, high=high),
    )


def _planes(planes: int, **coding: Any) -> WeightPrecision:
    return WeightPrecision(
        linear=PlanesLinear,
        conv2d=PlanesConv2d,
        options=lambda _: {"planes": planes, "coding": coding},
    )


def _ternary(threshold: str, pruning: PruneAndReset | None = None) -> WeightPrecision:
    return WeightPrecision(
        linear=TernaryLinear,
        conv2d=TernaryConv2d,
        options=lambda _: {"threshold": threshold, "pruning": pruning},
    )


def _fixed_interval(bits: int, grid: str) -> WeightPrecision:
    return WeightPrecision(
        linear=FixedIntervalLinear,
        conv2d=FixedIntervalConv2d,
        options=lambda _: {"bits": bits, "grid": grid},
    )


def _learned_interval(bits: int) -> WeightPrecision:
    return WeightPrecision(
        linear=LearnedIntervalLinear,
        conv2d=LearnedIntervalConv2d,
        options=lambda _: {"bits": bits},
        takes_float=False,
    )


def _nested(*precisions: int) -> WeightPrecision:
    return WeightPrecision(
        linear=NestedLinear,
        conv2d=NestedConv2d,
        options=lambda _: {"precisions": precisions},
        takes_float=False,
        norm=lambda norm: SwitchableBatchNorm(norm, precisions),
    )


def _staircase(make: Callable[[], StaircaseAct]) -> ActPrecision:
    stairs = make().staircase()
    grid = Grid(step=stairs.step, low=int(stairs.levels[0]), high=int(stairs.levels[-1]))
    return ActPrecision(act=lambda _: make(), grid=grid)


def _unit_act(make: Callable[[int], nn.Module], bits: int) -> ActPrecision:
    top = 2**bits - 1
    return ActPrecision(act=lambda _: make(bits), grid=Grid(step=1 / top, low=0, high=top))


WEIGHTS: Mapping[str, WeightPrecision] = MappingProxyType(
    {
        "binary": WeightPrecision(
            linear=BinaryLinear,
            conv2d=BinaryConv2d,
            options=lambda around: {"clip": around.clip},
        ),
        **{f"int{bits}": _integer_weights(bits) for bits in (2, 3, 4, 8)},
        **{f"shift-q{bits}": _shift_weights(PowerOfTwo(bits=bits)) for bits in (2, 3, 4, 5)},
        **{f"shift-ps{bits}": _shift_weights(ShiftSign(bits=bits)) for bits in (2, 3, 4, 5)},
        "s3": _shift_weights(SignSparseShift(shifts=2), takes_float=False),
        **{f"adder{bits}": _adder_weights(bits) for bits in (3, 4, 5, 6, 8)},
        "adder": _adder_weights(None),
        **{f"planes{planes}": _planes(planes) for planes in (1, 2, 3, 4)},
        **{f"planes{planes}-pot": _planes(planes, alpha="pot") for planes in (2, 3, 4)},
        **{f"abc{planes}": _planes(planes, method="shifted") for planes in (3, 5)},
        "ternary": _ternary("twn"),
        "ternary-cosine": _ternary("cosine"),
        "ternary-learned": _ternary("learned"),
        "ternary-pruned": _ternary("cosine", PruneAndReset()),
        **{f"wrpn{bits}": _fixed_interval(bits, "mid-tread") for bits in (2, 3, 4, 8)},
        **{f"odd{bits}": _fixed_interval(bits, "mid-rise") for bits in (2, 3, 4)},
        **{f"interval{bits}": _learned_interval(bits) for bits in (2, 3, 4)},
        "nested4": _nested(2, 3, 4),
        "nested8": _nested(2, 4, 8),
        "float": WeightPrecision(linear=_float_linear, conv2d=_float_conv2d, options=lambda _: {}),
    }
)
"""Weights by name.

- ``binary``: {-1, +1}.
- ``intN``: symmetric integers of N bits, {-1, 0, +1} for two.
- ``shift-qN``, ``shift-psN``: powers of two in N bits, by DeepShift-Q and DeepShift-PS.
- ``s3``: {0, +-1, +-2, +-4}, by sign-sparse-shift.
- ``adderN``: N-bit integers whose distances to the inputs are summed; ``adder``: floats.
- ``planesN``: N planes of signs with integer plane scales, fitted to the weights of each output;
  ``planesN-pot``: with powers of two; ``abcN``: N shifted planes.
- ``ternary``: {-1, 0, +1} by the threshold of TWN; ``-cosine``: by the best, ``-learned``: by a
  trained one, ``-pruned``: by the best of weights that are pruned and reset in training (HQ).
- ``wrpnN``: N bits that fill [-1, 1]; ``oddN``: odd levels that do; ``intervalN``: odd levels in a
  trained interval (PalQuant).
- ``nested4``, ``nested8``: 2, 3, 4 or 2, 4, 8 bits of one weight (once-QAT).
- ``float``.
"""

ACTS: Mapping[str, ActPrecision] = MappingProxyType(
    {
        "binary": ActPrecision(
            act=lambda clip: BinaryAct(clip=clip), grid=Grid(step=1.0, low=-1, high=1)
        ),
        **{f"int{bits}": _integer_act(bits, signed=True) for bits in (2, 3, 4, 8)},
        **{f"uint{bits}": _integer_act(bits, signed=False) for bits in (2, 3, 4, 8)},
        "planes2": _staircase(lambda: CodebookAct((2, 1), step=0.5)),
        "planes3": _staircase(lambda: CodebookAct((4, 2, 1), step=0.25)),
        "abc3": _staircase(lambda: ShiftedSignsAct(3)),
        "abc5": _staircase(lambda: ShiftedSignsAct(5)),
        "log2": _staircase(lambda: LogAct(2, step=0.5)),
        "log3": _staircase(lambda: LogAct(3, step=0.03125)),
        **{f"wrpn{bits}": _unit_act(FixedIntervalAct, bits) for bits in (2, 3, 4, 8)},
        **{f"interval{bits}": _unit_act(LearnedIntervalAct, bits) for bits in (2, 3, 4)},
        "float": ActPrecision(act=lambda _: nn.ReLU(), grid=None),
    }
)
"""Activations by name.

- ``binary``: sign.
- ``intN``: symmetric integers of N bits; ``uintN``: from 0 up.
- ``planesN``: N planes of signs; ``abcN``: N signs with trained shifts and scales.
- ``logN``: 0 and powers of two.
- ``wrpnN``: N bits that fill [0, 1]; ``intervalN``: N bits that fill a trained interval (PalQuant).
- ``float``: ReLU.

``fixedI.F`` is not in the table but known too: a ReLU in signed fixed point, rounded down, with I
bits before the point and F bits behind it.
"""
_FIXED_POINT = re.compile(r"fixed(\d{1,2})\.(\d{1,2})")


def check_precisions(weight: str, act: str, where: str) -> None:
    """Check two names.

    Args:
        weight: A key of ``WEIGHTS``.
        act: A key of ``ACTS``, or ``fixedI.F``.
        where: Begins the message.

    Raises:
        ValueError: A name is unknown, or the two do not go together.
    """
    if weight not in WEIGHTS:
        raise ValueError(f"{where}: weight={weight!r} is none of {', '.join(WEIGHTS)}")
    try:
        grid = act_grid(act)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if WEIGHTS[weight].needs_grid and grid is None:
        raise ValueError(
            f"{where}: weight={weight!r} needs activations of few bits, not act={act!r}; "
            "use uint4 or such"
        )


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
    kernel_size: Pair,
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


def normalization(norm: Norm, *, weight: str) -> nn.Module:
    """Return the BatchNorm behind a layer with such weights; ``weight`` is a key of ``WEIGHTS``."""
    return WEIGHTS[weight].norm(norm)


def activation(act: str, *, clip: float) -> nn.Module:
    """Return an activation module; ``act`` is a key of ``ACTS``, or ``fixedI.F``."""
    return _act(act).act(clip)


def act_grid(act: str) -> Grid | None:
    """Return the values of an activation; None for floats.

    Raises:
        ValueError: The name is unknown.
    """
    return _act(act).grid


def _act(name: str) -> ActPrecision:
    fixed = _FIXED_POINT.fullmatch(name)
    if fixed is not None:
        check_bits(int(fixed[1]), int(fixed[2]))
        return _fixed_point_act(int(fixed[1]), int(fixed[2]))
    if name not in ACTS:
        raise ValueError(f"act={name!r} is none of {', '.join(ACTS)}, fixedI.F")
    return ACTS[name]


def input_grid(input_dtype: str, where: str) -> Grid:
    """Return the values of a network's input, whose datatype has the QONNX name ``input_dtype``.

    Raises:
        ValueError: The name is unknown; ``where`` begins the message.
    """
    low, high = integer_range(input_dtype, where)
    return Grid(step=1.0, low=low, high=high)
