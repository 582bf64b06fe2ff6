"""The gradient that passes through a rounding unchanged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, latent: Tensor, value: Tensor) -> Tensor:
        return value.detach().clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return grad_outputs[0], None


def straight_through(latent: Tensor, value: Tensor) -> Tensor:
    """Return ``value`` exactly; its gradient goes to ``latent``, same shape, unchanged.

    The common ``latent + (value - latent).detach()`` rounds twice and leaves the grid.

    References:
        Bengio et al., arXiv:1308.3432.

    >>> latent = torch.tensor([0.3], requires_grad=True)
    >>> straight_through(latent, torch.tensor([1.0])).backward(torch.tensor([2.0]))
    >>> latent.grad.tolist()
    [2.0]
    """
    result: Tensor = _StraightThrough.apply(latent, value)
    return result
