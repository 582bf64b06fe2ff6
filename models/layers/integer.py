"""Layers with weights of several bits, and uniform activations."""

from __future__ import annotations

from typing import Unpack

from brevitas.nn import QuantIdentity, QuantLinear
from torch import nn

from ..quant.integer import IntegerActQuant, IntegerWeightQuant
from .padded import Geometry, PaddedConv2d, Pair


class IntegerLinear(QuantLinear):
    """``y = x @ w.T`` with ``w`` in steps of a power of two, symmetric around 0, and no bias.

    The levels fill [-1, 1]: {-1, 0, +1} for two bits, steps of 1/8 for four.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        bits: Bits of a weight, 2 to 8.
    """

    def __init__(self, in_features: int, out_features: int, *, bits: int) -> None:
        super().__init__(
            in_features,
            out_features,
            bias=False,
            weight_quant=IntegerWeightQuant,
            weight_bits=bits,
            weight_scale=weight_step(bits),
        )
        nn.init.uniform_(self.weight, -1.0, 1.0)


class IntegerConv2d(PaddedConv2d):
    """A convolution with weights of several bits: the twin of :class:`IntegerLinear`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        bits: Bits of a weight, 2 to 8.
        geometry: See :class:`popshift.models.layers.padded.Geometry`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        bits: int,
        **geometry: Unpack[Geometry],
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            geometry=geometry,
            weight_quant=IntegerWeightQuant,
            weight_bits=bits,
            weight_scale=weight_step(bits),
        )
        nn.init.uniform_(self.weight, -1.0, 1.0)


def weight_step(bits: int) -> float:
    """Return the largest power of two whose symmetric ``bits``-bit multiples lie in [-1, 1].

    >>> [weight_step(bits) for bits in (2, 3, 4, 8)]
    [1.0, 0.25, 0.125, 0.0078125]
    """
    return 1.0 if bits == 2 else 2.0 ** -(bits - 1)


class IntegerAct(QuantIdentity):
    """``y = scale * clamp(round(x / scale))``: an activation of two to eight bits.

    Signed ones are symmetric, {-1, 0, +1} for two bits; unsigned ones start at 0, so that they are
    a ReLU too.

    Args:
        bits: Bits of a value, 2 to 8.
        signed: Levels on both sides of 0.
        scale: Step, a power of two; by default :func:`act_step`.
    """

    def __init__(self, bits: int, *, signed: bool, scale: float | None = None) -> None:
        super().__init__(
            act_quant=IntegerActQuant,
            bits=bits,
            scale=act_step(bits, signed=signed) if scale is None else scale,
            signed=signed,
            narrow_range=signed,
        )


def act_step(bits: int, *, signed: bool) -> float:
    """Return the power of two that quantizes normal values with the least squared error.

    BatchNorm makes inputs about normal, with mean 0 and variance 1. Of unsigned activations the
    values above 0 count only.

    >>> [act_step(bits, signed=True) for bits in (2, 4, 8)]
    [1.0, 0.25, 0.03125]
    >>> [act_step(bits, signed=False) for bits in (2, 4, 8)]
    [0.5, 0.25, 0.015625]
    """
    exponents = _SIGNED_EXPONENTS if signed else _UNSIGNED_EXPONENTS
    return 2.0 ** exponents.get(bits, 0)


_SIGNED_EXPONENTS = {2: 0, 3: -1, 4: -2, 5: -2, 6: -3, 7: -4, 8: -5}
_UNSIGNED_EXPONENTS = {2: -1, 3: -1, 4: -2, 5: -3, 6: -4, 7: -5, 8: -6}
