"""Linear, BatchNorm, activation: the hidden block of a multilayer perceptron."""

from __future__ import annotations

from torch import nn

from ..precision import Act, Weight, activation, linear


class LinearBlock(nn.Sequential):
    """``act(batchnorm(linear(x)))``; binary: ``sign``, float: ReLU.

    The linear layer has no bias, which BatchNorm would cancel.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        weight: Precision of the weights.
        act: Precision of the activations.
        clip: Clip of the straight-through estimators of signs.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weight: Weight,
        act: Act,
        clip: float,
        bn_momentum: float,
    ) -> None:
        super().__init__(
            linear(in_features, out_features, weight=weight, clip=clip),
            nn.BatchNorm1d(out_features, momentum=bn_momentum),
            activation(act, clip=clip),
        )
