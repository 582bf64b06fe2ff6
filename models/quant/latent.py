"""The real weights behind those of few bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class LatentWeight(NamedTuple):
    """Real weights and the range of the levels that they are quantized to.

    Attributes:
        weight: Parameter of the layer.
        low: Least level.
        high: Largest level.
    """

    weight: Tensor
    low: float
    high: float


def latent_weights(net: nn.Module) -> list[LatentWeight]:
    """Return the weights of every layer whose quantizer has a ``latent_range``."""
    layers: list[Any] = [module for module in net.modules() if hasattr(module, "weight_quant")]
    quantizers = [(layer.weight, layer.weight_quant.tensor_quant) for layer in layers]
    return [
        LatentWeight(weight, *quantizer.latent_range)
        for weight, quantizer in quantizers
        if hasattr(quantizer, "latent_range")
    ]


@torch.no_grad()
def clip_latent_weights(latent: Sequence[LatentWeight]) -> None:
    """Clamp weights to the range of their levels, in place.

    To be called after every step of the optimizer: where the straight-through estimator stops a
    weight gets no gradient and would never change its level again.

    References:
        Hubara et al., "Binarized Neural Networks", NIPS 2016, arXiv:1602.02830, algorithm 1.
    """
    if latent:
        weights, lows, highs = (list(column) for column in zip(*latent, strict=True))
        torch._foreach_clamp_min_(weights, lows)
        torch._foreach_clamp_max_(weights, highs)
