"""Weights {0, +-1, +-2, +-4} from one real tensor for each of their bits (S3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .sign import sign as sign_of


class _StraightThrough(torch.autograd.Function):
    """A sign or a step, with gradient ``g``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, is_sign: bool) -> Tensor:
        return sign_of(x) if is_sign else (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return grad_outputs[0], None


def gate(x: Tensor) -> Tensor:
    """Return 1 where ``x > 0`` and 0 elsewhere, with gradient ``g``."""
    result: Tensor = _StraightThrough.apply(x, False)
    return result


class SignSparseShiftReparam(nn.Module):
    """Parametrization of a layer's weight by a sign, a gate and ``shifts`` shifts.

    ``weight = sgn(w_sign) * 1(w_sparse) * 2^p`` with ``p = 1(w_1) * (1(w_2) * (... + 1) + 1)``;
    sgn(0) = +1, 1(0) = 0. So p is the number of open shifts before the first closed one, 0 to
    ``shifts``, and two shifts give three bits: {0, +-1, +-2, +-4}; no shift is {-1, 0, +1}.

    Gradients: each gate and the sign let ``g`` through, the rest is the product rule, so that a
    closed gate is revived: ``dL/dw_sparse = g * sgn * 2^p``, ``dL/dw_sign = g * 1(w_sparse) *
    2^p``, ``dL/dw_1 = g * weight * ln 2 * (1(w_2) * ... + 1)``.

    Used with ``torch.nn.utils.parametrize``: ``original0`` is the sign, ``original1`` the gate,
    the shifts follow, the outermost first. The weights have no scale: a BatchNorm belongs behind.

    Goals, by the paper: ImageNet ResNet-18 69.83 % top-1 with three bits (float 69.6 %); by the
    authors' checkpoint 69.508 %.

    Args:
        shifts: Shift tensors, 0 to 6.

    Raises:
        ValueError: ``shifts`` is out of its range.

    References:
        Li et al., "S3: Sign-Sparse-Shift Reparametrization for Effective Training of Low-bit Shift
        Networks", NeurIPS 2021; the recursion beyond two shifts is ours.
    """

    def __init__(self, shifts: int = 2) -> None:
        super().__init__()
        if not 0 <= shifts <= 6:
            raise ValueError(f"sign, sparse and shift: shifts must be 0 to 6, got {shifts}")
        self.exp_min = 0
        self.exp_max = shifts

    def forward(self, sign: Tensor, sparse: Tensor, *shifts: Tensor) -> Tensor:
        """Return the weights."""
        weight: Tensor = _StraightThrough.apply(sign, True) * gate(sparse)
        if not shifts:
            return weight
        exponent = gate(shifts[-1])
        for shift in reversed(shifts[:-1]):
            exponent = gate(shift) * (exponent + 1)
        return weight * torch.exp2(exponent)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Return tensors of +-1 whose weights are the last power of two not above ``|weight|``."""
        magnitude = weight.abs()
        gates = [magnitude >= 2.0**p for p in range(self.exp_max + 1)]
        return sign_of(weight), *(2 * is_open.to(weight.dtype) - 1 for is_open in gates)

    @torch.no_grad()
    def draw_(self, *tensors: Tensor) -> None:
        """Fill all with first values of standard deviation ``sqrt(2 / fan out)``."""
        for tensor in tensors:
            nn.init.kaiming_normal_(tensor, mode="fan_out")

    def closed_gates(self, sign: Tensor, sparse: Tensor, *shifts: Tensor) -> Tensor:
        """Return ``sum max(-w_sparse, 0)``, the dense-weight regularizer: it opens gates."""
        return (-sparse).clamp_min(0).sum()
