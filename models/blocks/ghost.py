"""Ghost modules: some maps by a convolution, the others cheaply from these.

References:
    Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020, arXiv:1911.11907.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..grid import Grid
from .style import Style


class GhostModule(nn.Module):
    """``concat(primary, cheap)``: intrinsic maps, and a depthwise convolution of each.

    Both branches end in the same activation, so that their values share a step. Of ``out_channels``
    maps the first ``ceil(out_channels / ratio)`` are intrinsic; the last ghosts are dropped where
    the ratio does not divide.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        style: Precisions.
        inputs: Values that the module takes; None for floats.
        kernel: Odd height and width of the windows of the convolution.
        ratio: Maps for each intrinsic one.
        cheap_kernel: Odd height and width of the depthwise windows.
        is_linear: Leave out the ReLUs, as the second module of a bottleneck does.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        style: Style,
        inputs: Grid | None,
        kernel: int = 1,
        ratio: int = 2,
        cheap_kernel: int = 3,
        is_linear: bool = False,
    ) -> None:
        super().__init__()
        intrinsic = math.ceil(out_channels / ratio)
        ghosts = intrinsic * (ratio - 1)
        make_act = style.make_signed if is_linear else style.make_act
        grid = style.signed_grid if is_linear else style.grid
        self.ghosts = out_channels - intrinsic
        self.primary = nn.Sequential(
            *style.make_conv(in_channels, intrinsic, kernel, inputs=inputs), make_act()
        )
        self.cheap = nn.Sequential(
            *style.make_conv(intrinsic, ghosts, cheap_kernel, inputs=grid, groups=intrinsic)
        )
        self.cheap_act = make_act()

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps, shape ``(images, out_channels, height, width)``."""
        intrinsic = self.primary(x)
        ghosts = self.cheap(intrinsic)
        if ghosts.shape[1] != self.ghosts:
            ghosts = ghosts[:, : self.ghosts]
        return torch.cat([intrinsic, self.cheap_act(ghosts)], dim=1)


class SqueezeExcite(nn.Module):
    """``x * gate(mean(x))``: a factor for each map that depends on all of them, in floats.

    The gate is ``hardsigmoid(conv(relu(conv(mean))))``, ``hardsigmoid(x) = relu6(x + 3) / 6``. A
    product of data with data has no form without multipliers: drop it for hardware.

    Args:
        channels: Maps.
        share: Share of the channels between the two convolutions, rounded to a multiple of 4.

    References:
        Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, arXiv:1709.01507.
    """

    def __init__(self, channels: int, share: float) -> None:
        super().__init__()
        squeezed = multiple_of(channels * share, 4)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled maps."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        gate = functional.hardsigmoid(self.expand(functional.relu(self.reduce(mean))))
        return x * gate


class GhostBottleneck(nn.Module):
    """``ghost(expand) -> [depthwise stride] -> [squeeze-excite] -> ghost(project) + shortcut``.

    The shortcut is the input, or where channels or size change a depthwise and a 1 x 1
    convolution. With activations of few bits both summands are rounded to the same step; the sum
    is an integer again.

    Args:
        in_channels: Channels of the input.
        mid_channels: Channels between the two ghost modules.
        out_channels: Channels of the output.
        style: Precisions.
        inputs: Values that the block takes; None for floats.
        kernel: Odd height and width of the depthwise windows that have the stride.
        stride: Steps of these windows.
        squeeze: Share of squeeze-excite; 0 leaves it out.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        *,
        style: Style,
        inputs: Grid | None,
        kernel: int = 3,
        stride: int = 1,
        squeeze: float = 0.0,
    ) -> None:
        super().__init__()
        self.expand = GhostModule(in_channels, mid_channels, style=style, inputs=inputs)
        middle: list[nn.Module] = []
        grid = style.grid
        if stride > 1:
            middle += style.make_conv(
                mid_channels, mid_channels, kernel, inputs=grid, stride=stride, groups=mid_channels
            )
            middle.append(style.make_signed())
            grid = style.signed_grid
        if squeeze:
            middle.append(SqueezeExcite(mid_channels, squeeze))
        self.middle = nn.Sequential(*middle)
        self.project = GhostModule(
            mid_channels, out_channels, style=style, inputs=grid, is_linear=True
        )
        is_same = in_channels == out_channels and stride == 1
        shortcut: list[nn.Module] = []
        if not is_same:
            shortcut = [
                *style.make_conv(
                    in_channels,
                    in_channels,
                    kernel,
                    inputs=inputs,
                    stride=stride,
                    groups=in_channels,
                ),
                style.make_signed(),
                *style.make_conv(in_channels, out_channels, 1, inputs=style.signed_grid),
            ]
        self.shortcut = nn.Sequential(*shortcut, style.make_signed())

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, shape ``(images, out_channels, height / stride, width / stride)``."""
        maps: Tensor = self.project(self.middle(self.expand(x))) + self.shortcut(x)
        return maps


def multiple_of(value: float, divisor: int) -> int:
    """Return the multiple that is nearest to ``value``, not more than a tenth below it.

    >>> [multiple_of(value, 4) for value in (18.0, 20.8, 1.0, 6.5)]
    [20, 20, 4, 8]
    """
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest
