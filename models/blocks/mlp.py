"""Linear, BatchNorm, activation: the hidden block of a multilayer perceptron."""

from __future__ import annotations

from torch import nn

from ..grid import Grid
from ..precision import activation, linear, normalization


class LinearBlock(nn.Sequential):
    """``act(batchnorm(linear(x)))``; binary: ``sign``, float: ReLU.

    The linear layer has no bias, which BatchNorm would cancel.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        weight: Precision of the weights.
        act: Precision of the activations.
        clip: Clip of the straight-through estimators of signs.
        inputs: Values that the block takes; None for floats.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weight: str,
        act: str,
        clip: float,
        inputs: Grid | None,
        bn_momentum: float,
    ) -> None:
        super().__init__(
            linear(in_features, out_features, weight=weight, clip=clip, inputs=inputs),
            normalization(nn.BatchNorm1d(out_features, momentum=bn_momentum), weight=weight),
            activation(act, clip=clip),
        )
