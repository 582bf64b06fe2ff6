"""Layers that hold all their precisions in one weight, and BatchNorm with statistics for each."""

from __future__ import annotations

import copy
from typing import Unpack

from brevitas.nn import QuantLinear
from torch import Tensor, nn

from ..quant.nested import Centre, Drop, NestedQuant, NestedWeightQuant
from .padded import Geometry, PaddedConv2d, Pair


class NestedLinear(QuantLinear):
    """``y = x @ w.T`` with the first bits of one integer weight, and no bias.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        precisions: Bits of each precision, ascending.
        drop: How bits are dropped; see :class:`popshift.models.quant.NestedQuant`.
        centre: What a shortened integer stands for.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        precisions: tuple[int, ...],
        drop: Drop = "floor",
        centre: Centre = "low",
    ) -> None:
        super().__init__(
            in_features,
            out_features,
            bias=False,
            weight_quant=NestedWeightQuant,
            weight_bits=precisions[-1],
            weight_precisions=precisions,
            weight_drop=drop,
            weight_centre=centre,
        )
        nn.init.uniform_(self.weight, -1.0, 1.0)


class NestedConv2d(PaddedConv2d):
    """A convolution with the first bits of one integer weight: the twin of :class:`NestedLinear`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        precisions: Bits of each precision, ascending.
        drop: How bits are dropped.
        centre: What a shortened integer stands for.
        geometry: See :class:`popshift.models.layers.padded.Geometry`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        precisions: tuple[int, ...],
        drop: Drop = "floor",
        centre: Centre = "low",
        **geometry: Unpack[Geometry],
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            geometry=geometry,
            weight_quant=NestedWeightQuant,
            weight_bits=precisions[-1],
            weight_precisions=precisions,
            weight_drop=drop,
            weight_centre=centre,
        )
        nn.init.uniform_(self.weight, -1.0, 1.0)


class SwitchableBatchNorm(nn.Module):
    """A BatchNorm for each precision, of which one is in use.

    Sums of weights of few and of many bits have other means and spreads, and statistics of both
    together would fit neither.

    Args:
        norm: The BatchNorm of all precisions at first.
        precisions: Bits of each precision, ascending; the last one is in use at first.

    References:
        Jin et al., "AdaBits", CVPR 2020, arXiv:1912.09666, whose switchable BatchNorm this is.
    """

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, precisions: tuple[int, ...]) -> None:
        super().__init__()
        self.norms = nn.ModuleDict({str(bits): copy.deepcopy(norm) for bits in precisions})
        self.precision = precisions[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` normalised by the BatchNorm in use, same shape."""
        result: Tensor = self.norms[str(self.precision)](x)
        return result


def precisions_of(net: nn.Module) -> tuple[int, ...]:
    """Return the precisions that all nested layers of ``net`` have, ascending; () without one."""
    found = [set(quantizer.precisions) for quantizer in _nested(net)]
    return tuple(sorted(set.intersection(*found))) if found else ()


def set_precision(net: nn.Module, bits: int) -> None:
    """Switch all nested layers and BatchNorms of ``net`` to ``bits`` bits.

    Raises:
        ValueError: A layer has no such precision.
    """
    known = precisions_of(net)
    if bits not in known:
        raise ValueError(f"nested layers: precision {bits} is none of {known}")
    for quantizer in _nested(net):
        quantizer.precision = bits
    for module in net.modules():
        if isinstance(module, SwitchableBatchNorm):
            module.precision = bits


def _nested(net: nn.Module) -> list[NestedQuant]:
    return [module for module in net.modules() if isinstance(module, NestedQuant)]
