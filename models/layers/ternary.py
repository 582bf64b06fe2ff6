"""Layers with weights ``alpha * {-1, 0, +1}``."""

from __future__ import annotations

from typing import Unpack

from brevitas.nn import QuantLinear
from torch import nn

from ..quant.pruning import PruneAndReset
from ..quant.ternary import Per, TernaryWeightQuant, Threshold
from .padded import Geometry, PaddedConv2d, Pair


class TernaryLinear(QuantLinear):
    """``y = x @ w.T`` with ``w = alpha T``, T in {-1, 0, +1}, and no bias.

    ``weight`` holds the latent weights, shape ``(out_features, in_features)``, drawn from [-1, 1].

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        threshold: What becomes 0; see :class:`popshift.models.quant.TernaryQuant`.
        per: What shares threshold and alpha.
        pruning: When weights are pruned in a training, and the others made equal; never, if None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        threshold: Threshold = "twn",
        per: Per = "tensor",
        pruning: PruneAndReset | None = None,
    ) -> None:
        super().__init__(
            in_features,
            out_features,
            bias=False,
            weight_quant=TernaryWeightQuant,
            weight_threshold=threshold,
            weight_per=per,
        )
        self.pruning = pruning
        self.settled_after = 0.0 if pruning is None else pruning.until
        nn.init.uniform_(self.weight, -1.0, 1.0)

    def before_epoch(self, progress: float) -> None:
        """Prune and reset, if it is time after a share ``progress`` of the training."""
        _prune(self, progress)


class TernaryConv2d(PaddedConv2d):
    """A convolution with ternary weights: the twin of :class:`TernaryLinear`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        threshold: What becomes 0; see :class:`popshift.models.quant.TernaryQuant`.
        per: What shares threshold and alpha.
        pruning: When weights are pruned in a training.
        geometry: See :class:`popshift.models.layers.padded.Geometry`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        threshold: Threshold = "twn",
        per: Per = "tensor",
        pruning: PruneAndReset | None = None,
        **geometry: Unpack[Geometry],
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            geometry=geometry,
            weight_quant=TernaryWeightQuant,
            weight_threshold=threshold,
            weight_per=per,
        )
        self.pruning = pruning
        self.settled_after = 0.0 if pruning is None else pruning.until
        nn.init.uniform_(self.weight, -1.0, 1.0)

    def before_epoch(self, progress: float) -> None:
        """Prune and reset, if it is time after a share ``progress`` of the training."""
        _prune(self, progress)


def _prune(layer: TernaryLinear | TernaryConv2d, progress: float) -> None:
    if layer.pruning is not None:
        share = layer.pruning.share_at(progress)
        layer.weight_quant.tensor_quant.prune_and_reset(layer.weight, share)
