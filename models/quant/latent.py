"""The real weights behind those of few bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .binary import BinaryQuant
from .integer import IntegerQuant


def latent_weights(net: nn.Module) -> list[Tensor]:
    """Return the latent weights of every binary or integer layer; their levels are in [-1, 1]."""
    layers: list[Any] = [module for module in net.modules() if hasattr(module, "weight_quant")]
    return [
        layer.weight
        for layer in layers
        if isinstance(layer.weight_quant.tensor_quant, BinaryQuant | IntegerQuant)
    ]


@torch.no_grad()
def clip_latent_weights(weights: list[Tensor], bound: float = 1.0) -> None:
    """Clamp ``weights`` to [-bound, bound] in place.

    To be called after every step of the optimizer: beyond the clip of the straight-through
    estimator a weight gets no gradient and would never change its sign again.

    References:
        Hubara et al., "Binarized Neural Networks", NIPS 2016, arXiv:1602.02830, algorithm 1.
    """
    if weights:
        torch._foreach_clamp_min_(weights, -bound)
        torch._foreach_clamp_max_(weights, bound)
