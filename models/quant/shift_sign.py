"""Weights that are powers of two, from a real sign and a real exponent each (DeepShift-PS)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .power_of_two import nearest_exponent, powers_of_two


class ShiftSignFunction(torch.autograd.Function):
    """``S * 2^P`` of rounded signs and exponents.

    Forward: ``S = sign(round(s))`` in {-1, 0, +1}, 0 for ``|s| <= 1/2``; ``P = round(p)``, ties to
    even. Backward: ``dL/dp = g * S * 2^P * ln 2`` and ``dL/ds = g``, which is not multiplied by
    ``2^P``: signs of small weights change as easily as those of large ones.

    References:
        Elhoushi et al., "DeepShift", CVPR Workshops 2021, arXiv:1905.13298, section 3 (PS).
    """

    @staticmethod
    def forward(ctx: Any, sign: Tensor, shift: Tensor, exp_min: int, exp_max: int) -> Tensor:
        """Return the weights."""
        powers = powers_of_two(torch.round(shift), exp_min, exp_max, shift.dtype)
        weight = powers.mul_(torch.sign(torch.round(sign)))
        ctx.save_for_backward(weight)
        return weight

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of sign and exponent."""
        (weight,) = ctx.saved_tensors
        (g,) = grad_outputs
        return g, g * weight * math.log(2), None, None


class ShiftSignReparam(nn.Module):
    """Parametrization ``weight = S * 2^P`` of a layer by two tensors of the weight's shape.

    Value and gradients are those of :class:`ShiftSignFunction`, exponents clamped to
    [exp_min, exp_max] in the parameter itself while training. With ``bits`` bits there are
    ``2^bits - 1`` weights; two bits are {-1, 0, +1}.

    Used with ``torch.nn.utils.parametrize``: ``original0`` is the sign, ``original1`` the exponent.

    Goals, by the authors' repository: CIFAR-10 ResNet-18 93.20 % from scratch with five bits,
    92.80 % with two; MNIST fully connected 98.26 %.

    Args:
        bits: 2 to 5: a sign and an exponent, one code of which is 0.

    Raises:
        ValueError: ``bits`` is out of its range.
    """

    def __init__(self, bits: int = 5) -> None:
        super().__init__()
        if not 2 <= bits <= 5:
            raise ValueError(f"shift and sign: bits must be 2 to 5, got {bits}")
        self.exp_min = 2 - 2 ** (bits - 1)
        self.exp_max = 0

    def forward(self, sign: Tensor, shift: Tensor) -> Tensor:
        """Return the weights."""
        if self.training:
            shift.detach().clamp_(self.exp_min, self.exp_max)
        else:
            shift = shift.clamp(self.exp_min, self.exp_max)
        weight: Tensor = ShiftSignFunction.apply(sign, shift, self.exp_min, self.exp_max)
        return weight

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return sign and exponent whose weights are nearest to ``weight``; 0 stays 0."""
        exponent = nearest_exponent(weight, "log").clamp(self.exp_min, self.exp_max)
        return torch.sign(weight), exponent.to(weight.dtype)

    @torch.no_grad()
    def draw_(self, sign: Tensor, shift: Tensor) -> None:
        """Fill both with first values: exponents of the whole range, in convolutions -10 to -1."""
        is_convolution = shift.ndim > 2
        low, high = (-10, -1) if is_convolution else (self.exp_min, self.exp_max)
        shift.uniform_(low, high).clamp_(self.exp_min, self.exp_max)
        sign.uniform_(-1.0, 1.0)

    def undecayed(self, sign: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
        """Return both: decay would pull exponents to 0, which is the largest weight."""
        return sign, shift
