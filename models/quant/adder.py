"""Weights of adder layers: their grid, and groups of filters that share a step with the inputs.

``|a - w|`` is an integer number of steps only if inputs and weights share a grid, so that their
steps are tied: one is a whole multiple of the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from ..grid import Grid


def adder_step(bits: int, inputs: Grid) -> float:
    """Return the step of ``bits``-bit weights that reach as far as the inputs, on both sides of 0.

    It is the step of the inputs times a power of two, of either sign.

    >>> adder_step(4, Grid(step=0.25, low=0, high=15)), adder_step(8, Grid(step=1, low=0, high=31))
    (0.5, 0.25)
    """
    return math.ldexp(inputs.step, inputs.magnitude.bit_length() - (bits - 1))


@dataclass(frozen=True, kw_only=True)
class AdderGroup:
    """Filters that share a step with their inputs.

    Attributes:
        filters: Their numbers, ascending.
        scale: Value that the largest input code stands for.
        codes: Integers of the weights, shape ``(filters, ...)``.
        bias: What clamping the weights took from each filter's result, shape ``(filters,)``.
    """

    filters: tuple[int, ...]
    scale: float
    codes: Tensor
    bias: Tensor

    def input_step(self, bits: int) -> float:
        """Return the step of the inputs; that of the weights is twice as large."""
        return self.scale / float(2**bits - 1)


def group_filters(weight: Tensor, groups: int) -> list[tuple[int, ...]]:
    """Return the numbers of filters of similar range, in ``groups`` groups or fewer.

    The ranges ``max |F|`` are clustered by k-means. Filters of one range are never split, so that
    there may be fewer groups than asked for.

    Args:
        weight: Shape ``(filters, ...)``.
        groups: Groups to make at most.

    References:
        Nie et al., "Redistribution of Weights and Activations for AdderNet Quantization",
        NeurIPS 2022, arXiv:2212.10200.
    """
    ranges = weight.detach().flatten(1).abs().amax(dim=1).double().numpy()
    clusters = min(groups, len(set(ranges.tolist())))
    labels = KMeans(clusters, n_init=10, random_state=0).fit_predict(ranges[:, None])
    members = [
        tuple(i for i, label in enumerate(labels) if label == cluster)
        for cluster in range(clusters)
    ]
    return sorted(group for group in members if group)


def clamp_filters(weight: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return weights clamped to [low, high], and what to add to each filter's result.

    For inputs in [low, high] nothing is lost: ``-sum |x - w| = -sum |x - clamp(w)| + bias``.

    Args:
        weight: Shape ``(filters, ...)``.
        low: Least input.
        high: Largest input.

    Returns:
        Weights of the same shape, and biases <= 0, shape ``(filters,)``.

    >>> clamp_filters(torch.tensor([[-3.0, 0.5, 2.0]]), 0.0, 1.0)
    (tensor([[0.0000, 0.5000, 1.0000]]), tensor([-4.]))
    """
    clamped = weight.clamp(low, high)
    return clamped, -(weight - clamped).abs().flatten(1).sum(dim=1)


def quantize_filters(
    weight: Tensor, *, bits: int, largest_input: float, groups: int
) -> list[AdderGroup]:
    """Return groups of filters with their codes, for inputs in [0, ``largest_input``].

    A group whose weights reach beyond the inputs takes their range and loses nothing by it; any
    other takes the range of its weights and clips its inputs there. Groups of one range are one.
    With the codes ``a`` of its inputs, 0 to ``2^bits - 1``, the result is
    ``step * (-sum |a - 2 codes|) + bias``.

    Args:
        weight: Shape ``(filters, ...)``.
        bits: Bits of a code, of weights (signed) and inputs (unsigned) alike.
        largest_input: Range of the inputs, > 0.
        groups: Groups of filters at most.

    References:
        arXiv:2212.10200, section 3.
    """
    weight = weight.detach().double()
    by_scale: dict[float, list[int]] = {}
    for filters in group_filters(weight, groups):
        # weights of 0 have no range of their own
        reach = float(weight[list(filters)].abs().max()) or largest_input
        by_scale.setdefault(min(reach, largest_input), []).extend(filters)
    return [
        _quantized(weight, sorted(filters), scale, bits)
        for scale, filters in sorted(by_scale.items(), key=lambda item: min(item[1]))
    ]


def _quantized(weight: Tensor, filters: list[int], scale: float, bits: int) -> AdderGroup:
    clamped, bias = clamp_filters(weight[filters], -scale, scale)
    codes = torch.round(clamped * (2**bits - 1) / (2 * scale))
    codes = codes.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return AdderGroup(filters=tuple(filters), scale=scale, codes=codes.long(), bias=bias)


class RangeOfInputs:
    """The largest value of a layer's inputs, but for outliers, over batches of images.

    Args:
        quantile: Share of the values of a batch that are not outliers.

    Raises:
        ValueError: ``quantile`` is not in (0, 1].
    """

    def __init__(self, quantile: float = 0.9997) -> None:
        if not 0 < quantile <= 1:
            raise ValueError(f"adder: quantile must be in (0, 1], got {quantile}")
        self.quantile = quantile
        self.largest = 0.0
        self.least = math.inf

    def add(self, x: Tensor) -> None:
        """Take a batch into account: the largest quantile of all batches counts."""
        values = x.detach().flatten()
        self.least = min(self.least, float(values.min()))
        place = max(1, round(self.quantile * values.numel()))
        self.largest = max(self.largest, float(values.abs().kthvalue(place).values))
