"""Layers with one-bit weights or activations; each is a Brevitas layer."""

from __future__ import annotations

import torch
from brevitas.nn import QuantIdentity, QuantLinear
from torch import Tensor, nn

from .quant.binary import BinaryActQuant, BinaryWeightQuant


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


class BinaryAct(QuantIdentity):
    """``y = sign(x)``, in {-1, +1}, with gradient ``g * 1[|x| <= clip]``."""

    def __init__(self, *, clip: float = 1.0) -> None:
        super().__init__(act_quant=BinaryActQuant, clip=clip)


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
