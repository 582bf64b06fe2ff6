"""Factors and offsets behind a layer, which hardware folds into what follows."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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


class ChannelBias(nn.Module):
    """``y = x + bias``, one bias per channel, along axis 1.

    A layer of popshift has no bias, so that its accumulator is an integer: it comes behind.

    Args:
        bias: First biases, shape ``(channels,)``.
    """

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, shape ``(images, channels, ...)``, with the biases added."""
        return x + self.bias.reshape(-1, *[1] * (x.ndim - 2))
