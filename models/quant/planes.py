"""Brevitas weight quantizer of binary coding: sums of planes of signs on one integer grid."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from brevitas.inject import ExtendedInjector
from brevitas.proxy import WeightQuantProxyFromInjector
from torch import Tensor, nn

from .binary_coding import BinaryCode, Method, binary_code, nearest_code
from .importance import l1_importance
from .straight_through import straight_through

Alpha = Literal["float", "fixed", "pot"]
Group = Literal["row", "slice"] | int

_MAX_PLANES = 8
_MAX_ALPHA_BITS = 12


class BinaryCodingQuant(nn.Module):
    """Weights as sums of planes of signs, ``w = sum_i alpha_i b_i`` in each group.

    Forward value: the code of :func:`popshift.models.quant.binary_code` with plane scales on a
    grid, every element the nearest level to its latent weight. Gradient: that of the value,
    unchanged (the latent weights are to be clipped to [-1, 1]).

    ``alpha`` is the grid of the plane scales:

    - ``fixed``: integers up to ``2 ** alpha_bits`` times a power of two, the same for the whole
      tensor. The weights are then integers under one power-of-two scale; a product with a plane
      scale is a few shifts and adds.
    - ``pot``: ``s * 2^-e`` with e from 0 to ``alpha_bits`` and one real s for the tensor, which
      least squares fits last: a product is a shift, s goes into the thresholds.
    - ``float``: as fitted. One plane a row has its scale as that of a sign (the weights of
      XNOR-Net); more planes, or smaller groups, lie on no integer grid and do not export: that
      shows what the grids cost.

    Args:
        planes: Planes of a group, 1 to 8.
        method: See :func:`popshift.models.quant.binary_code`.
        group: What shares its plane scales: ``row`` (all weights of an output), ``slice`` (the
            kernel window of one output and one input channel), or a number of consecutive weights
            of an output.
        importance: U of the weighted squared error: ``l1`` (the magnitudes), a tensor of the
            weight's shape, or None.
        alpha: Grid of the plane scales.
        alpha_bits: Bits of a ``fixed`` scale, or the largest right shift of a ``pot`` one.
        rounds: Rounds of the alternating method.

    Raises:
        ValueError: An argument is out of its range.

    References:
        arXiv:1802.00150. Goals there, from memory, not reproduced: perplexity of an LSTM on PTB
        with two bits for weights and activations 95.8, with three 87.9, float 89.8.
    """

    def __init__(
        self,
        planes: int,
        method: Method = "alternating",
        group: Group = "row",
        importance: Literal["l1"] | Tensor | None = None,
        alpha: Alpha = "fixed",
        alpha_bits: int = 4,
        rounds: int = 2,
    ) -> None:
        super().__init__()
        for name, value, high in (
            ("planes", planes, _MAX_PLANES),
            ("alpha_bits", alpha_bits, _MAX_ALPHA_BITS),
        ):
            if not 1 <= value <= high:
                raise ValueError(f"planes quantizer: {name} must be 1 to {high}, got {value}")
        for name, choice, known in (("method", method, Method), ("alpha", alpha, Alpha)):
            if choice not in get_args(known):
                raise ValueError(
                    f"planes quantizer: {name}={choice!r} is none of {', '.join(get_args(known))}"
                )
        if group not in ("row", "slice") and not (isinstance(group, int) and group >= 1):
            raise ValueError(
                f"planes quantizer: group={group!r} is none of row, slice, a number >= 1"
            )
        if isinstance(importance, str) and importance != "l1":
            raise ValueError(f"planes quantizer: importance={importance!r} is none of l1, a tensor")
        if rounds < 0:
            raise ValueError(f"planes quantizer: rounds must be >= 0, got {rounds}")
        self.planes = planes
        self.latent_range = (-1.0, 1.0)
        self.method: Method = method
        self.group: Group = group
        self.alpha: Alpha = alpha
        self.alpha_bits = alpha_bits
        self.rounds = rounds
        self.is_weighted_by_magnitude = importance == "l1" if isinstance(importance, str) else False
        self.importance: Tensor | None
        self.register_buffer("importance", importance if isinstance(importance, Tensor) else None)

    def code(self, weight: Tensor) -> tuple[BinaryCode, Tensor]:
        """Return the code of latent weights and the scale of its ``alpha``.

        The weights are ``scale * sum_i alpha_i b_i`` and the ``alpha`` integers; with
        ``alpha="float"`` the scale is 1 and the ``alpha`` are real.

        Raises:
            ValueError: The weight has no such groups, or the importance another shape.
        """
        latent = self._groups(weight.detach())
        importance = self._importance(weight)
        code = binary_code(
            latent,
            planes=self.planes,
            method=self.method,
            importance=importance,
            rounds=self.rounds,
        )
        if self.alpha == "float":
            return code, latent.new_ones(())
        alpha, scale = self._on_grid(code.alpha)
        code = nearest_code(latent / scale, alpha)
        if self.alpha == "pot":
            values = code.values()
            weighted = values if importance is None else values * importance
            scale = (latent * weighted).sum() / (values * weighted).sum()
        return code, scale

    def _on_grid(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Return integer plane scales and their common scale."""
        top = alpha.max().clamp_min(torch.finfo(torch.float32).tiny)
        if self.alpha == "fixed":
            scale = torch.exp2(torch.frexp(top).exponent.to(top) - self.alpha_bits)
            integers = torch.round(alpha / scale)
            integers[:, 0].clamp_min_(1.0)  # else a small row would be a neuron without weights
            return integers, scale
        shifts = torch.round(torch.log2(top / alpha)).clamp_max(self.alpha_bits)
        most = shifts.max()
        return torch.exp2(most - shifts), top * torch.exp2(-most)

    def _groups(self, weight: Tensor) -> Tensor:
        size = self.group_size(tuple(weight.shape))
        return weight.reshape(-1, size)

    def group_size(self, shape: tuple[int, ...]) -> int:
        """Return how many consecutive weights of a weight of ``shape`` share their plane scales.

        Raises:
            ValueError: A number that does not divide the weights of an output.
        """
        row = math.prod(shape[1:])
        size = {"row": row, "slice": math.prod(shape[2:])}.get(str(self.group), self.group)
        assert isinstance(size, int)
        if row % size:
            raise ValueError(
                f"planes quantizer: group={size} must divide the {row} weights of an output"
            )
        return size

    def _importance(self, weight: Tensor) -> Tensor | None:
        if self.is_weighted_by_magnitude:
            return self._groups(l1_importance(weight))
        if self.importance is None:
            return None
        if self.importance.shape != weight.shape:
            raise ValueError(
                f"planes quantizer: importance has shape {tuple(self.importance.shape)}, "
                f"the weight {tuple(weight.shape)}"
            )
        return self._groups(self.importance)

    @property
    def off_grid(self) -> str:
        """Why the weights are no integers under one scale an output; "" if they are."""
        if self.alpha == "float" and (self.planes > 1 or self.group != "row"):
            return "its plane scales are real numbers; use alpha='fixed' or alpha='pot'"
        return ""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale, zero point and bit width, as Brevitas' proxies want them."""
        code, scale = self.code(x)
        if self.alpha == "float" and not self.off_grid:
            rows = (-1, *[1] * (x.ndim - 1))
            alpha = code.alpha.reshape(rows).to(x).clamp_min(torch.finfo(x.dtype).tiny)
            signs = code.planes.reshape(x.shape).to(x)
            return straight_through(x, signs * alpha), alpha, x.new_zeros(()), x.new_ones(())
        integers, scale = code.values().reshape(x.shape).to(x), scale.to(x)
        value = straight_through(x, integers * scale)
        bits = torch.frexp(integers.abs().max()).exponent.to(x) + 1
        return value, scale, x.new_zeros(()), bits


class BinaryCodingWeightQuant(ExtendedInjector):
    """Weight quantizer: ``weight_planes``, and each other argument of the module likewise."""

    proxy_class = WeightQuantProxyFromInjector
    tensor_quant = BinaryCodingQuant
    signed = True
    narrow_range = True
