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

from ..quant import UniformActQuant
from .style import Style

_SUM_BITS = 4


@dataclass(frozen=True, kw_only=True)
class GroupStyle(Style):
    """Precisions of a network of parallel groups; it has no use for ``signed_act``.

    Attributes:
        groups: Groups of channels; no convolution mixes them.
    """

    groups: int

    def conv_norm(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1
    ) -> nn.Sequential:
        """Return ``batchnorm(conv(x))`` with groups, of activations.

        PalQuant's trained factor behind a convolution is left out: BatchNorm has one.

        Args:
            inputs: Channels of the input.
            outputs: Channels of the output.
            kernel: Height and width of the window.
            stride: Steps of the window.
        """
        return nn.Sequential(
            *self.make_conv(
                inputs, outputs, kernel, inputs=self.grid, stride=stride, groups=self.groups
            )
        )

    def summand(self) -> nn.Module:
        """Return a signed quantizer of four bits with the step of the activations.

        Sums have integer forms where all summands have one step; PalQuant adds floats.
        """
        grid = self.grid
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
        self.branch = style.make_act()
        self.act = style.make_act()

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
        self.act = style.make_act()
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
        self.output = style.make_act()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(images, outputs, height / stride, width / stride)``."""
        branch = self.summand(self.second(self.act(self.first(x))))
        short = x if self.shortcut is None else self.shortcut(x)
        result: Tensor = self.output(branch + short)
        return result
