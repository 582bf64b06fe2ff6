"""The G-Ghost stage: half of a stage's maps skip its blocks.

References:
    Han et al., "GhostNets on Heterogeneous Devices via Cheap Operations", IJCV 2022,
    arXiv:2201.03297.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RegNetBlock(nn.Module):
    """``relu(conv1x1 -> conv3x3 in groups -> conv1x1 + shortcut)``, BatchNorm behind each, floats.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, a multiple of ``group_width`` or less.
        group_width: Channels of a group of the 3 x 3 convolution.
        stride: Steps of its windows.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, group_width: int, stride: int = 1
    ) -> None:
        super().__init__()
        groups = out_channels // min(out_channels, group_width)
        self.branch = nn.Sequential(
            *_conv_norm(in_channels, out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, stride, 1, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            *_conv_norm(out_channels, out_channels),
        )
        is_same = in_channels == out_channels and stride == 1
        self.shortcut = nn.Sequential(
            *([] if is_same else _conv_norm(in_channels, out_channels, stride))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's maps."""
        return functional.relu(self.branch(x) + self.shortcut(x))


class GGhostStage(nn.Module):
    """A stage of RegNet blocks, where the ghosts of the first block's maps skip the inner ones.

    The first maps of the base block go through the inner blocks. The others, the ghosts, pass a
    1 x 1 convolution, to which a vector is added that mixes the means of all maps of the stage;
    then the end block takes both. The vector needs the whole image before the first ghost can
    leave, so that hardware must hold all ghosts of an image: a FIFO of a whole map.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        blocks: Blocks with the base and the end, at least 3.
        group_width: Channels of a group in the base and end blocks, at least 2; three quarters of
            it in the others.
        stride: Steps of the base block.
        cheap_ratio: Share of ghosts at least; the others are whole groups.

    Raises:
        ValueError: There are too few blocks, or no group would be left for the inner ones.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        blocks: int,
        group_width: int,
        stride: int = 1,
        cheap_ratio: float = 0.5,
    ) -> None:
        super().__init__()
        if blocks < 3:
            raise ValueError(f"ghost stage: blocks must be >= 3, got {blocks}")
        inner_width = int(group_width * 0.75)
        groups = int(out_channels * (1 - cheap_ratio) / inner_width) if inner_width else 0
        if groups < 1:
            raise ValueError(
                f"ghost stage: {out_channels} channels hold no group of {inner_width} besides "
                f"a share {cheap_ratio} of ghosts; use a smaller group_width or cheap_ratio"
            )
        self.raw = groups * inner_width
        cheap = out_channels - self.raw
        self.base = RegNetBlock(in_channels, out_channels, group_width=group_width, stride=stride)
        self.inner = nn.ModuleList(
            RegNetBlock(self.raw, self.raw, group_width=inner_width) for _ in range(blocks - 2)
        )
        self.cheap = nn.Sequential(*_conv_norm(cheap, cheap))
        self.mix = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            *_conv_norm(out_channels + self.raw * (blocks - 2), cheap),
            nn.ReLU(),
            *_conv_norm(cheap, cheap),
        )
        self.end = RegNetBlock(out_channels, out_channels, group_width=group_width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the end block's maps."""
        base = self.base(x)
        raw, seen = base[:, : self.raw], [base]
        for block in self.inner:
            raw = block(raw)
            seen.append(raw)
        ghosts = functional.relu(self.cheap(base[:, self.raw :]) + self.mix(torch.cat(seen, dim=1)))
        maps: Tensor = self.end(torch.cat([raw, ghosts], dim=1))
        return maps


def _conv_norm(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    """Return a 1 x 1 convolution and its BatchNorm."""
    conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return [conv, nn.BatchNorm2d(out_channels)]
