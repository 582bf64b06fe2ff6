"""Layers with weights or activations of few bits; each is a Brevitas layer."""

from __future__ import annotations

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from torch import Tensor, nn
from torch.nn import functional

from .quant.binary import BinaryActQuant, BinaryWeightQuant
from .quant.integer import IntegerActQuant, IntegerWeightQuant

Pair = int | tuple[int, int]


class BinaryLinear(QuantLinear):
    """``y = x @ sign(weight).T``: a linear layer with weights in {-1, +1} and no bias.

    ``weight`` holds the real latent weights, shape ``(out_features, in_features)``, drawn from
    [-init, init]. They want :func:`popshift.models.quant.clip_latent_weights` after every step.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        clip: Largest latent magnitude that still gets a gradient.
        init: Bound of the first latent weights.
    """

    def __init__(
        self, in_features: int, out_features: int, *, clip: float = 1.0, init: float = 1.0
    ) -> None:
        super().__init__(
            in_features,
            out_features,
            bias=False,
            weight_quant=BinaryWeightQuant,
            weight_clip=clip,
        )
        nn.init.uniform_(self.weight, -init, init)


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


class PaddedConv2d(QuantConv2d):
    """A two-dimensional convolution without bias whose padding may be another value than zero.

    A bipolar tensor has no 0: padding with -1 or +1 keeps every tap one bit. Zeros go into the
    convolution itself, other values through a Pad node in front of it.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        stride: Steps of the window.
        padding: Rows above and below, columns left and right.
        pad_value: Value of the padding.
        dilation: Distance of the window's taps.
        groups: Groups of channels that are convolved apart.
        quant: Options of the weight quantizer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        dilation: Pair = 1,
        groups: int = 1,
        **quant: object,
    ) -> None:
        rows, columns = (padding, padding) if isinstance(padding, int) else padding
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=(0, 0) if pad_value else (rows, columns),
            dilation=dilation,
            groups=groups,
            bias=False,
            **quant,
        )
        self.pad_value = pad_value
        self.border = (columns, columns, rows, rows) if pad_value else (0, 0, 0, 0)

    def pad(self, x: Tensor, value: float) -> Tensor:
        """Return ``x``, shape ``(images, channels, height, width)``, with ``value`` around it."""
        return functional.pad(x, self.border, value=value) if any(self.border) else x

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution, shape ``(images, out_channels, height, width)``."""
        result: Tensor = super().forward(self.pad(x, float(self.pad_value)))
        return result


class BinaryConv2d(PaddedConv2d):
    """A convolution with weights in {-1, +1}: the twin of :class:`BinaryLinear`.

    ``weight`` holds the latent weights, shape ``(out_channels, in_channels / groups, height,
    width)``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        stride: Steps of the window.
        padding: Rows above and below, columns left and right.
        pad_value: -1 or +1 for bipolar inputs; 0 is exact for integer ones.
        dilation: Distance of the window's taps.
        groups: Groups of channels that are convolved apart.
        clip: Largest latent magnitude that still gets a gradient.
        init: Bound of the first latent weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        dilation: Pair = 1,
        groups: int = 1,
        clip: float = 1.0,
        init: float = 1.0,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            pad_value=pad_value,
            dilation=dilation,
            groups=groups,
            weight_quant=BinaryWeightQuant,
            weight_clip=clip,
        )
        nn.init.uniform_(self.weight, -init, init)


class IntegerConv2d(PaddedConv2d):
    """A convolution with weights of several bits: the twin of :class:`IntegerLinear`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        bits: Bits of a weight, 2 to 8.
        stride: Steps of the window.
        padding: Rows above and below, columns left and right.
        pad_value: Value of the padding.
        dilation: Distance of the window's taps.
        groups: Groups of channels that are convolved apart.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        bits: int,
        stride: Pair = 1,
        padding: Pair = 0,
        pad_value: int = 0,
        dilation: Pair = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            pad_value=pad_value,
            dilation=dilation,
            groups=groups,
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


class BinaryAct(QuantIdentity):
    """``y = sign(x)``, in {-1, +1}, with gradient ``g * 1[|x| <= clip]``."""

    def __init__(self, *, clip: float = 1.0) -> None:
        super().__init__(act_quant=BinaryActQuant, clip=clip)


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


class PositiveScale(nn.Module):
    """``y = exp(log_scale) * x``: one trained factor for all classes.

    It is positive, so the class of the largest ``y`` is that of the largest ``x``: hardware needs
    the integers ``x`` only. Brevitas' TensorNorm commutes with argmax only while its trained
    factor happens to stay positive.

    Args:
        scale: First factor, > 0.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled ``x``, same shape."""
        return x * self.log_scale.exp()
