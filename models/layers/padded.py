"""Convolutions whose padding may be another value than zero."""

from __future__ import annotations

from typing import TypedDict

from brevitas.nn import QuantConv2d
from torch import Tensor
from torch.nn import functional

Pair = int | tuple[int, int]


class Geometry(TypedDict, total=False):
    """Where the windows of a convolution lie.

    Attributes:
        stride: Steps of the window.
        padding: Rows above and below, columns left and right.
        pad_value: Value of the padding: -1 or +1 for bipolar inputs; 0 is exact for integers.
        dilation: Distance of the window's taps.
        groups: Groups of channels that are convolved apart.
    """

    stride: Pair
    padding: Pair
    pad_value: int
    dilation: Pair
    groups: int


class PaddedConv2d(QuantConv2d):
    """A two-dimensional convolution without bias whose padding may be another value than zero.

    A bipolar tensor has no 0: padding with -1 or +1 keeps every tap one bit. Zeros go into the
    convolution itself, other values through a Pad node in front of it.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        geometry: See :class:`Geometry`.
        quant: Options of the weight quantizer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        geometry: Geometry,
        **quant: object,
    ) -> None:
        padding, pad_value = geometry.get("padding", 0), geometry.get("pad_value", 0)
        rows, columns = (padding, padding) if isinstance(padding, int) else padding
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=geometry.get("stride", 1),
            padding=(0, 0) if pad_value else (rows, columns),
            dilation=geometry.get("dilation", 1),
            groups=geometry.get("groups", 1),
            bias=False,
            **quant,
        )
        self.pad_value = pad_value
        self.border = (columns, columns, rows, rows) if pad_value else (0, 0, 0, 0)

    def pad(self, x: Tensor, value: float) -> Tensor:
        """Return ``x``, shape ``(images, channels, height, width)``, with ``value`` around it."""
        return functional.pad(x, self.border, value=value) if any(self.border) else x

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution, shape ``(images, out_channels, height, width)``."""
        result: Tensor = super().forward(self.pad(x, float(self.pad_value)))
        return result
