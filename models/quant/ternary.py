"""Ternary weights ``alpha T``, T in {-1, 0, +1}: threshold by rule, optimal, or trained."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.inject import ExtendedInjector, value
from brevitas.proxy import WeightQuantProxyFromInjector
from torch import Tensor, nn

from .pruning import equal_magnitudes, smallest_share
from .sign import sign

Threshold = Literal["twn", "cosine", "learned"]
Per = Literal["tensor", "row"]

_TWN_SHARE = 0.7


def twn_threshold(weight: Tensor) -> Tensor:
    """Return 0.7 times the mean magnitude of each row, shape ``(rows,)``.

    It nearly minimises ``||w - alpha T||^2`` for uniform and for normal weights.

    References:
        Li et al., "Ternary Weight Networks", arXiv:1605.04711, equation 6.
    """
    return _TWN_SHARE * weight.abs().mean(dim=1)


def cosine_threshold(weight: Tensor) -> Tensor:
    """Return the least magnitude in the ternary vector nearest in angle to each row, ``(rows,)``.

    With magnitudes sorted downwards, the vector that keeps the m largest has the cosine
    ``sum_{i<=m} |w|_(i) / (sqrt(m) ||w||)`` with w: the best m is found among all of them,
    O(n log n). As ``||w - alpha T||^2 = ||w||^2 (1 - cos^2)`` at the best alpha, no ternary weights
    are nearer either. Elements at the threshold are kept.

    References:
        The quantity that Liu et al., "Hyperspherical Quantization", WACV 2023, arXiv:2212.12653,
        lower by training; that paper's own threshold schedule is not at hand.
    """
    magnitudes = weight.abs().sort(dim=1, descending=True).values
    counts = torch.arange(1, weight.shape[1] + 1, dtype=weight.dtype, device=weight.device)
    best = (magnitudes.cumsum(dim=1) / counts.sqrt()).argmax(dim=1)
    return magnitudes.gather(1, best[:, None])[:, 0]


def ternary_scale(weight: Tensor, pattern: Tensor) -> Tensor:
    """Return ``alpha = <w, T> / <T, T>`` of each row, 1 for a row of zeros, shape ``(rows,)``.

    Args:
        weight: Shape ``(rows, n)``.
        pattern: T in {-1, 0, +1}, same shape.
    """
    kept = pattern.abs().sum(dim=1)
    alpha = (weight * pattern).sum(dim=1) / kept.clamp_min(1)
    return torch.where(alpha > 0, alpha, 1.0)


def ternary_pattern(weight: Tensor, threshold: Tensor) -> Tensor:
    """Return ``sign(w) 1[|w| >= threshold]`` of each row, in {-1, 0, +1}; 0 stays 0.

    Args:
        weight: Shape ``(rows, n)``.
        threshold: Shape ``(rows,)``.
    """
    magnitudes = weight.abs()
    is_kept = (magnitudes >= threshold[:, None]) & (magnitudes > 0)
    return torch.where(is_kept, sign(weight), 0.0)


class _TernarySTE(torch.autograd.Function):
    """``alpha sign(w) 1[|w| >= threshold]``, with a gradient for the threshold."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, threshold: Tensor, alpha: Tensor) -> Tensor:
        ctx.save_for_backward(weight, threshold, alpha)
        return alpha[:, None] * ternary_pattern(weight, threshold)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        weight, threshold, alpha = ctx.saved_tensors
        width = 2 * threshold[:, None]
        slope = torch.where((weight.abs() <= width) & (width > 0), sign(weight) / width, 0.0)
        return grad_outputs[0], -alpha * (grad_outputs[0] * slope).sum(dim=1), None


class TernaryQuant(nn.Module):
    """Weights ``alpha T`` with T in {-1, 0, +1} and the alpha that fits best.

    Forward value: ``alpha sign(w) 1[|w| >= threshold]``. Gradient: g for the latent weights that
    are kept (they are to be clipped to [-1, 1]), 0 for pruned ones; a threshold that is trained
    gets ``-sum g alpha sign(w) 1[|w| <= 2 threshold] / (2 threshold)``, as if the step were a ramp
    from 0 to twice the threshold (ours; the step itself has no gradient).

    Args:
        shape: Shape of the weight.
        threshold: ``twn``: :func:`twn_threshold`; ``cosine``: :func:`cosine_threshold`;
            ``learned``: a trained multiple of the mean magnitude, first that of TWN.
        per: What shares threshold and alpha: the whole ``tensor``, or each ``row`` (all weights of
            an output).

    Raises:
        ValueError: An argument is none of its choices.
    """

    def __init__(
        self, shape: tuple[int, ...], threshold: Threshold = "twn", per: Per = "tensor"
    ) -> None:
        super().__init__()
        for name, choice, known in (("threshold", threshold, Threshold), ("per", per, Per)):
            if choice not in get_args(known):
                raise ValueError(
                    f"ternary quantizer: {name}={choice!r} is none of {', '.join(get_args(known))}"
                )
        self.threshold: Threshold = threshold
        self.latent_range = (-1.0, 1.0)
        self.rows = shape[0] if per == "row" else 1
        self.kept: Tensor
        self.register_buffer("kept", torch.ones(shape, dtype=torch.bool))
        if threshold == "learned":
            self.log_share = nn.Parameter(torch.full((self.rows,), _TWN_SHARE).log())
        self.bit_width = BitWidthConst(2)

    @torch.no_grad()
    def prune_and_reset(self, weight: Tensor, share: float) -> None:
        """Prune the smallest ``share`` of ``weight`` in place and make the rest equal in magnitude.

        Its cosine with the best ternary vector is 1 afterwards. Pruned weights stay 0; nothing
        happens if as many are pruned already.
        """
        pruned = int((~self.kept).sum())
        if round(share * weight.numel()) <= pruned:
            return
        # pruned ones are the smallest of all
        kept = smallest_share(torch.where(self.kept, weight.abs(), -1.0) + 1, share)
        self.kept.copy_(kept)
        weight.copy_(equal_magnitudes(weight, kept))

    def pattern(self, weight: Tensor) -> Tensor:
        """Return T of latent weights, same shape."""
        latent = self._latent(weight)
        return ternary_pattern(latent, self._threshold(latent)).reshape(weight.shape)

    def _latent(self, weight: Tensor) -> Tensor:
        return (weight * self.kept).reshape(self.rows, -1)

    def _threshold(self, latent: Tensor) -> Tensor:
        if self.threshold == "learned":
            return self.log_share.exp() * latent.detach().abs().mean(dim=1)
        rule = twn_threshold if self.threshold == "twn" else cosine_threshold
        return rule(latent.detach())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale, zero point and bit width, as Brevitas' proxies want them."""
        latent = self._latent(x)
        threshold = self._threshold(latent)
        alpha = ternary_scale(latent, ternary_pattern(latent, threshold)).detach()
        y: Tensor = _TernarySTE.apply(latent, threshold, alpha)
        scale = alpha.reshape(-1, *[1] * (x.ndim - 1)) if self.rows > 1 else alpha.reshape(())
        return y.reshape(x.shape), scale, x.new_zeros(()), self.bit_width()


class TernaryWeightQuant(ExtendedInjector):
    """Weight quantizer: ``weight_threshold``, ``weight_per``."""

    proxy_class = WeightQuantProxyFromInjector
    tensor_quant = TernaryQuant
    signed = True
    narrow_range = True

    @value
    def shape(module: nn.Module) -> tuple[int, ...]:  # noqa: N805, D102
        weight: Any = module.weight
        return tuple(weight.shape)
