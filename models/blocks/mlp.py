"""Linear, BatchNorm, activation: the hidden block of a multilayer perceptron."""

from __future__ import annotations

from typing import Literal

from torch import nn

from ..layers import BinaryAct, BinaryLinear

Precision = Literal["binary", "float"]


def linear(in_features: int, out_features: int, *, weight: Precision, clip: float) -> nn.Module:
    """Return a linear layer without bias, with binary or float weights."""
    if weight == "binary":
        return BinaryLinear(in_features, out_features, clip=clip)
    return nn.Linear(in_features, out_features, bias=False)


class LinearBlock(nn.Sequential):
    """``act(batchnorm(linear(x)))``; binary: ``sign``, float: ReLU.

    The linear layer has no bias, which BatchNorm would cancel.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        weight: Precision of the weights.
        act: Precision of the activations.
        clip: Clip of both straight-through estimators.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weight: Precision,
        act: Precision,
        clip: float,
        bn_momentum: float,
    ) -> None:
        super().__init__(
            linear(in_features, out_features, weight=weight, clip=clip),
            nn.BatchNorm1d(out_features, momentum=bn_momentum),
            BinaryAct(clip=clip) if act == "binary" else nn.ReLU(),
        )
