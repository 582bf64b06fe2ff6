"""Weights left out by magnitude, and weights that share few values (Deep Compression).

Both are parametrizations of a layer's weight: training goes on under them, an export writes the
values that result. Constant zeros vanish in fully unrolled hardware and cost ternary weights no
addition; planes of signs have no 0, so prune before ``ternary`` or integer weights. Shared values
are real numbers and save storage only.

References:
    Han et al., "Deep Compression", ICLR 2016, arXiv:1510.00149. Goals there, from memory, not
    reproduced: AlexNet 240 to 6.9 MB and VGG-16 552 to 11.3 MB with Huffman coding, no loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..parametrization import make_plain
from ..quant.pruning import smallest_share

_ITERATIONS = 50


class Mask(nn.Module):
    """``weight * kept``: pruned weights are 0 and get no gradient.

    Args:
        kept: What is kept, shape of the weight.
    """

    kept: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with zeros."""
        return weight * self.kept

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return a weight whose masked values are those of ``weight`` where kept."""
        return weight


class SharedValues(nn.Module):
    """``weight = values[place]``, 0 where nothing is kept: a few trained values for all weights.

    The gradient of a value is the sum of those of its weights.

    Args:
        place: Which value a weight has, int64, shape of the weight; -1 for a pruned weight.
        count: Number of values.
    """

    place: Tensor

    def __init__(self, place: Tensor, count: int) -> None:
        super().__init__()
        self.register_buffer("place", place)
        self.count = count

    def forward(self, values: Tensor) -> Tensor:
        """Return the weight."""
        return torch.where(self.place < 0, 0.0, values[self.place.clamp_min(0)])

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the mean of the weights of each value, shape ``(count,)``."""
        return _means(weight[self.place >= 0], self.place[self.place >= 0], self.count)


def prune_by_spread(net: nn.Module, quality: float) -> float:
    """Prune each layer's weights below ``quality`` times their standard deviation, in place.

    Args:
        net: Its linear and convolution layers get a :class:`Mask`; one that they have is replaced,
            and what it pruned stays 0.
        quality: > 0; the larger, the more is pruned.

    Returns:
        The share of all weights that is now 0.

    Raises:
        ValueError: ``quality`` is not positive, or the network has no such layer.
    """
    if not quality > 0:
        raise ValueError(f"prune: quality must be > 0, got {quality}")
    return _prune(net, lambda weight: weight.abs() >= quality * weight.std())


def prune_share(net: nn.Module, share: float) -> float:
    """Prune the smallest ``share`` of the weights of each layer, in place.

    Args:
        net: As for :func:`prune_by_spread`.
        share: In [0, 1).

    Returns:
        The share of all weights that is now 0.

    Raises:
        ValueError: ``share`` is out of its range, or the network has no such layer.
    """
    if not 0 <= share < 1:
        raise ValueError(f"prune: share must be in [0, 1), got {share}")
    return _prune(net, lambda weight: smallest_share(weight, share))


@torch.no_grad()
def _prune(net: nn.Module, choose: Callable[[Tensor], Tensor]) -> float:
    zeros = total = 0
    for layer in _layers(net):
        weight = layer.weight.detach().clone()
        kept = choose(weight) & (weight != 0)
        _plain(layer)
        parametrize.register_parametrization(layer, "weight", Mask(kept))
        zeros += int((~kept).sum())
        total += kept.numel()
    return zeros / total


@torch.no_grad()
def share_weights(net: nn.Module, bits: int) -> None:
    """Let the kept weights of each layer share ``2 ** bits`` values, in place.

    The values are found by k-means that starts at equal distances between the smallest and the
    largest weight; pruned weights stay 0 and have none.

    Args:
        net: Its float linear and convolution layers get :class:`SharedValues`.
        bits: 1 to 8.

    Raises:
        ValueError: ``bits`` is out of its range, or the network has no such layer.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"share: bits must be 1 to 8, got {bits}")
    for layer in _layers(net):
        weight = layer.weight.detach().clone()
        kept = weight != 0
        place = torch.full(weight.shape, -1)
        if kept.any():
            place[kept] = _k_means(weight[kept], 2**bits)
        _plain(layer)
        parametrize.register_parametrization(layer, "weight", SharedValues(place, 2**bits))


def _k_means(values: Tensor, count: int) -> Tensor:
    """Return the nearest of ``count`` means for each value, int64."""
    means = torch.linspace(float(values.min()), float(values.max()), count, dtype=values.dtype)
    place = torch.zeros(0, dtype=torch.int64)
    for _ in range(_ITERATIONS):
        middles = (means[1:] + means[:-1]) / 2
        new = torch.searchsorted(middles, values)
        if torch.equal(new, place):
            break
        place = new
        occupied = torch.bincount(place, minlength=count) > 0
        means = torch.where(occupied, _means(values, place, count), means)
    return place


def _means(values: Tensor, place: Tensor, count: int) -> Tensor:
    sums = values.new_zeros(count).index_add_(0, place, values)
    return sums / torch.bincount(place, minlength=count).clamp_min(1)


def _layers(net: nn.Module) -> list[Any]:
    layers: dict[str, Any] = {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
    if not layers:
        raise ValueError("prune: the network has no linear or convolution layer")
    for name, layer in layers.items():
        if parametrize.is_parametrized(layer, "weight"):
            kind = layer.parametrizations.weight[0]
            if not isinstance(kind, Mask | SharedValues):
                raise ValueError(
                    f"prune: the weight of layer {name!r} is made by {type(kind).__name__}, which "
                    "has no 0 to spare; prune before the conversion"
                )
    return list(layers.values())


def _plain(layer: nn.Module) -> None:
    if parametrize.is_parametrized(layer, "weight"):
        make_plain(layer)
