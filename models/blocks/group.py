"""Blocks of groups of channels that run side by side, and what they exchange (PalQuant).

References:
    Hu et al., "PalQuant: Accelerating High-precision Networks on Low-precision Accelerators", ECCV
    2022, arXiv:2208.01944. Goals of the authors' logs, not reproduced: ResNet-18 on ImageNet with
    two bits and 2, 3, 4 groups 71.10, 72.36, 72.74 % top 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from brevitas.nn import QuantIdentity
from torch import Tensor, nn

from ..grid import Grid
from ..precision import act_grid, activation, conv2d, normalization
from ..quant import UniformActQuant

_SUM_BITS = 4


@dataclass(frozen=True, kw_only=True)
class GroupStyle:
    """What all blocks of a network have in common.

    Attributes:
        groups: Groups of channels; no convolution mixes them.
        weight: Precision of the weights.
        act: Precision of the activations.
        clip: Clip of the straight-through estimators of signs.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.
    """

    groups: int
    weight: str
    act: str
    clip: float
    bn_momentum: float

    def conv_norm(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        *,
        stride: int = 1,
        groups: int | None = None,
        grid: Grid | None = None,
    ) -> nn.Sequential:
        """Return ``batchnorm(conv(x))`` with the padding that keeps the size at stride 1.

        PalQuant's trained factor behind a convolution is left out: BatchNorm has one.

        Args:
            inputs: Channels of the input.
            outputs: Channels of the output.
            kernel_size: Height and width of the window.
            stride: Steps of the window.
            groups: Instead of the style's.
            grid: Values of the input, by default those of the activations.
        """
        conv = conv2d(
            inputs,
            outputs,
            kernel_size,
            weight=self.weight,
            clip=self.clip,
            inputs=act_grid(self.act) if grid is None else grid,
            stride=stride,
            padding=kernel_size // 2,
            groups=self.groups if groups is None else groups,
        )
        norm = nn.BatchNorm2d(outputs, momentum=self.bn_momentum)
        return nn.Sequential(conv, normalization(norm, weight=self.weight))

    def activation(self) -> nn.Module:
        """Return an activation."""
        return activation(self.act, clip=self.clip)

    def summand(self) -> nn.Module:
        """Return a signed quantizer of four bits with the step of the activations.

        Sums have integer forms where all summands have one step; PalQuant adds floats.
        """
        grid = act_grid(self.act)
        if grid is None:
            return nn.Identity()
        quantizer: nn.Module = QuantIdentity(
            act_quant=UniformActQuant,
            bits=_SUM_BITS,
            scale=grid.step,
            signed=True,
            narrow_range=True,
        )
        return quantizer


class ChannelRoll(nn.Module):
    """Group g of the output is group g + 1 of the input, the last one group 0.

    Args:
        groups: Groups of channels, dividing the channels.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels in their new order, same shape."""
        return torch.roll(x, -_group_size(x, self.groups), dims=1)


class ChannelShuffle(nn.Module):
    """Channels in the order of a ``groups x size`` table read column by column.

    Each group of the output has channels of all groups of the input.

    Args:
        groups: Groups of channels, dividing the channels.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels in their new order, same shape."""
        size = _group_size(x, self.groups)
        table = x.reshape(x.shape[0], self.groups, size, *x.shape[2:])
        return table.transpose(1, 2).reshape(x.shape)


def _group_size(x: Tensor, groups: int) -> int:
    size, rest = divmod(int(x.shape[1]), groups)
    if rest:
        raise ValueError(f"channels: groups={groups} must divide the {x.shape[1]} channels")
    return size


class CyclicShuffle(nn.Module):
    """``act(x + act(batchnorm(conv1x1(roll(x)))))``: each group hears of the next one.

    Args:
        channels: Channels of input and output.
        style: Groups and precisions.
    """

    def __init__(self, channels: int, style: GroupStyle) -> None:
        super().__init__()
        self.roll = ChannelRoll(style.groups)
        self.conv = style.conv_norm(channels, channels, 1)
        self.branch = style.activation()
        self.act = style.activation()

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, same shape."""
        result: Tensor = self.act(x + self.branch(self.conv(self.roll(x))))
        return result


class ParallelGroupBlock(nn.Module):
    """``act(summand(conv(act(conv(x)))) + shortcut(x))`` with groups, a BatchNorm behind each.

    The shortcut is the input, or where the size changes ``summand(shuffle(conv1x1(x)))``: the
    shuffle lets the groups mix.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        stride: Of the first convolution.
        style: Groups and precisions.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, style: GroupStyle) -> None:
        super().__init__()
        self.first = style.conv_norm(inputs, outputs, 3, stride=stride)
        self.act = style.activation()
        self.second = style.conv_norm(outputs, outputs, 3)
        self.summand = style.summand()
        self.shortcut = (
            None
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                style.conv_norm(inputs, outputs, 1, stride=stride),
                ChannelShuffle(style.groups),
                style.summand(),
            )
        )
        self.output = style.activation()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(images, outputs, height / stride, width / stride)``."""
        branch = self.summand(self.second(self.act(self.first(x))))
        short = x if self.shortcut is None else self.shortcut(x)
        result: Tensor = self.output(branch + short)
        return result
