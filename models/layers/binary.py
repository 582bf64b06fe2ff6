"""Layers with weights in {-1, +1}, and the sign activation."""

from __future__ import annotations

from typing import Unpack

from brevitas.nn import QuantIdentity, QuantLinear
from torch import nn

from ..quant.binary import BinaryActQuant, BinaryWeightQuant
from .padded import Geometry, PaddedConv2d, Pair


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


class BinaryConv2d(PaddedConv2d):
    """A convolution with weights in {-1, +1}: the twin of :class:`BinaryLinear`.

    ``weight`` holds the latent weights, shape ``(out_channels, in_channels / groups, height,
    width)``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        clip: Largest latent magnitude that still gets a gradient.
        init: Bound of the first latent weights.
        geometry: See :class:`popshift.models.layers.padded.Geometry`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        clip: float = 1.0,
        init: float = 1.0,
        **geometry: Unpack[Geometry],
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            geometry=geometry,
            weight_quant=BinaryWeightQuant,
            weight_clip=clip,
        )
        nn.init.uniform_(self.weight, -init, init)


class BinaryAct(QuantIdentity):
    """``y = sign(x)``, in {-1, +1}, with gradient ``g * 1[|x| <= clip]``."""

    def __init__(self, *, clip: float = 1.0) -> None:
        super().__init__(act_quant=BinaryActQuant, clip=clip)
