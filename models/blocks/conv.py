"""Convolution, BatchNorm, activation, pooling: the block of a plain convolutional network."""

from __future__ import annotations

from typing import Literal

from torch import nn

from ..grid import Grid
from ..precision import activation, conv2d, normalization

PoolAt = Literal["activation", "accumulator"]


class ConvBlock(nn.Sequential):
    """``pool(act(batchnorm(conv(x))))``, or the pool right after the convolution.

    The maximum of a few signs is nearly always +1, so that pooling accumulators trains better;
    pooling signs is one OR gate a channel.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Height and width of the window.
        padding: Rows and columns on every side.
        pad_value: Value of the padding.
        pool: Pooling module, or None.
        pool_at: Whether ``activation`` or ``accumulator`` is pooled.
        weight: Precision of the weights.
        act: Precision of the activations.
        clip: Clip of the straight-through estimators of signs.
        inputs: Values that the block takes; None for floats.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        padding: int,
        pad_value: int,
        pool: nn.Module | None,
        pool_at: PoolAt,
        weight: str,
        act: str,
        clip: float,
        inputs: Grid | None,
        bn_momentum: float,
    ) -> None:
        conv = conv2d(
            in_channels,
            out_channels,
            kernel,
            padding=padding,
            pad_value=pad_value,
            weight=weight,
            clip=clip,
            inputs=inputs,
        )
        norm = normalization(nn.BatchNorm2d(out_channels, momentum=bn_momentum), weight=weight)
        pools = [] if pool is None else [pool]
        if pool_at == "accumulator":
            layers = [conv, *pools, norm, activation(act, clip=clip)]
        else:
            layers = [conv, norm, activation(act, clip=clip), *pools]
        super().__init__(*layers)
