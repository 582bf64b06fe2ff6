"""Factors that no argmax depends on."""

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
