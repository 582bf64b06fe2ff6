"""Layers and activations on uniform grids whose interval is fixed or trained."""

from __future__ import annotations

from typing import Literal, Unpack

from brevitas.nn import QuantIdentity, QuantLinear
from torch import Tensor, nn

from ..quant.fixed_interval import FixedIntervalActQuant, FixedIntervalWeightQuant
from ..quant.learned_interval import LearnedIntervalWeightQuant, UnitInterval
from .padded import Geometry, PaddedConv2d, Pair

WeightGrid = Literal["mid-tread", "mid-rise"]


class FixedIntervalLinear(QuantLinear):
    """``y = x @ w.T`` with ``w`` on a uniform grid that fills [-1, 1], and no bias.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        bits: Bits of a weight, 2 to 8.
        grid: ``mid-tread`` with 0 (WRPN), ``mid-rise`` without.
    """

    def __init__(
        self, in_features: int, out_features: int, *, bits: int, grid: WeightGrid = "mid-tread"
    ) -> None:
        super().__init__(
            in_features,
            out_features,
            bias=False,
            weight_quant=FixedIntervalWeightQuant,
            weight_bits=bits,
            weight_grid=grid,
        )
        nn.init.uniform_(self.weight, -1.0, 1.0)


class FixedIntervalConv2d(PaddedConv2d):
    """A convolution with weights on a uniform grid: the twin of :class:`FixedIntervalLinear`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        bits: Bits of a weight, 2 to 8.
        grid: ``mid-tread`` with 0 (WRPN), ``mid-rise`` without.
        geometry: See :class:`popshift.models.layers.padded.Geometry`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        bits: int,
        grid: WeightGrid = "mid-tread",
        **geometry: Unpack[Geometry],
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            geometry=geometry,
            weight_quant=FixedIntervalWeightQuant,
            weight_bits=bits,
            weight_grid=grid,
        )
        nn.init.uniform_(self.weight, -1.0, 1.0)


class FixedIntervalAct(QuantIdentity):
    """``y`` = nearest of ``{0, 1, .. 2^bits - 1} * bound / (2^bits - 1)``; gradient inside only.

    Args:
        bits: Bits of a value, 2 to 8.
        bound: Largest level.
    """

    def __init__(self, bits: int, *, bound: float = 1.0) -> None:
        super().__init__(act_quant=FixedIntervalActQuant, bits=bits, bound=bound)

    def set_bound(self, bound: float) -> None:
        """Make ``bound`` the largest level."""
        self.act_quant.fused_activation_quant_proxy.tensor_quant.set_bound(bound)


class LearnedIntervalLinear(QuantLinear):
    """``y = x @ w.T`` with odd levels and a trained clipping interval (PalQuant), and no bias.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        bits: Bits of a weight, 1 to 7.
    """

    def __init__(self, in_features: int, out_features: int, *, bits: int) -> None:
        super().__init__(
            in_features,
            out_features,
            bias=False,
            weight_quant=LearnedIntervalWeightQuant,
            weight_bits=bits,
        )
        _reset_interval(self)


class LearnedIntervalConv2d(PaddedConv2d):
    """A convolution with odd levels, the twin of :class:`LearnedIntervalLinear`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        bits: Bits of a weight, 1 to 7.
        geometry: See :class:`popshift.models.layers.padded.Geometry`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        bits: int,
        **geometry: Unpack[Geometry],
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            geometry=geometry,
            weight_quant=LearnedIntervalWeightQuant,
            weight_bits=bits,
        )
        _reset_interval(self)


def _reset_interval(layer: LearnedIntervalLinear | LearnedIntervalConv2d) -> None:
    nn.init.normal_(layer.weight, std=1 / 3)
    layer.weight_quant.tensor_quant.fit(layer.weight)


class LearnedIntervalAct(nn.Module):
    """A ReLU, a trained interval, and levels ``{0, 1, .. 2^bits - 1} / (2^bits - 1)`` of it.

    The first batch in training sets the interval.

    Args:
        bits: Bits of a value, 2 to 8.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.rectifier = nn.ReLU()
        self.interval = UnitInterval()
        self.round = FixedIntervalAct(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the levels, same shape."""
        result: Tensor = self.round(self.interval(self.rectifier(x)))
        return result
