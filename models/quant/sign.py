"""The sign that is never zero, and its straight-through gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def sign(x: Tensor) -> Tensor:
    """Return +1 where ``x >= 0`` and -1 elsewhere, same shape and dtype.

    ``torch.sign`` maps 0 to 0, which one bit cannot hold; QONNX' BipolarQuant maps it to +1.

    >>> sign(torch.tensor([-0.5, -0.0, 0.0, 2.0])).tolist()
    [-1.0, 1.0, 1.0, 1.0]
    """
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


class ClippedSignSTE(torch.autograd.Function):
    """Sign with the straight-through estimator that stops where ``|x|`` exceeds ``clip``.

    Forward: ``sign(x)``. Backward: ``g * 1[|x| <= clip]`` for the upstream gradient ``g``.

    References:
        Hubara et al., "Binarized Neural Networks", NIPS 2016, arXiv:1602.02830, equation 4.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, clip: float) -> Tensor:
        """Return ``sign(x)``."""
        ctx.save_for_backward(x.abs() <= clip)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        """Return ``g * 1[|x| <= clip]``."""
        (passes,) = ctx.saved_tensors
        return grad_outputs[0] * passes, None


def clipped_sign(x: Tensor, clip: float = 1.0) -> Tensor:
    """Return ``sign(x)`` with the gradient of :class:`ClippedSignSTE`.

    Args:
        x: Latent weights or activations, any shape.
        clip: Largest ``|x|`` that still gets a gradient.
    """
    result: Tensor = ClippedSignSTE.apply(x, clip)
    return result
