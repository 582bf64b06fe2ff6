"""Layers whose weights are sums of planes of signs."""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Unpack

from brevitas.nn import QuantLinear
from torch import Tensor, nn

from ..quant.binary_coding import BinaryCode, Method
from ..quant.planes import Alpha, BinaryCodingQuant, BinaryCodingWeightQuant, Group
from .padded import Geometry, PaddedConv2d, Pair


class Coding(TypedDict, total=False):
    """How planes and their scales are found; see :class:`popshift.models.quant.BinaryCodingQuant`.

    Attributes:
        method: How planes and scales are fitted; ``alternating`` unless given.
        group: What shares its plane scales; ``row`` unless given.
        importance: U of the weighted squared error.
        alpha: Grid of the plane scales; ``fixed`` unless given.
        alpha_bits: Bits of a plane scale; 4 unless given.
        rounds: Rounds of the alternating method; 2 unless given.
    """

    method: Method
    group: Group
    importance: Literal["l1"] | Tensor | None
    alpha: Alpha
    alpha_bits: int
    rounds: int


class PlanesLinear(QuantLinear):
    """``y = x @ w.T`` with ``w = scale * sum_i alpha_i b_i`` of sign planes b_i, and no bias.

    ``weight`` holds the latent weights, shape ``(out_features, in_features)``, drawn from [-1, 1].

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        planes: Planes of a weight, 1 to 8.
        coding: See :class:`Coding`.
    """

    def __init__(
        self, in_features: int, out_features: int, *, planes: int, coding: Coding | None = None
    ) -> None:
        super().__init__(
            in_features,
            out_features,
            bias=False,
            weight_quant=BinaryCodingWeightQuant,
            **_options(planes, coding),
        )
        nn.init.uniform_(self.weight, -1.0, 1.0)

    def code(self) -> tuple[BinaryCode, Tensor]:
        """Return planes with integer plane scales, and their scale."""
        return _code(self)


class PlanesConv2d(PaddedConv2d):
    """A convolution whose weights are sums of planes: the twin of :class:`PlanesLinear`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        planes: Planes of a weight, 1 to 8.
        coding: See :class:`Coding`.
        geometry: See :class:`popshift.models.layers.padded.Geometry`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        planes: int,
        coding: Coding | None = None,
        **geometry: Unpack[Geometry],
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            geometry=geometry,
            weight_quant=BinaryCodingWeightQuant,
            **_options(planes, coding),
        )
        nn.init.uniform_(self.weight, -1.0, 1.0)

    def code(self) -> tuple[BinaryCode, Tensor]:
        """Return planes with integer plane scales, and their scale."""
        return _code(self)


def _options(planes: int, coding: Coding | None) -> dict[str, Any]:
    options = {"planes": planes, **(coding or {})}
    return {f"weight_{name}": option for name, option in options.items()}


def _code(layer: Any) -> tuple[BinaryCode, Tensor]:
    quantizer: BinaryCodingQuant = layer.weight_quant.tensor_quant
    return quantizer.code(layer.weight)
