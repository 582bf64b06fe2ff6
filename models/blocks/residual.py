"""Residual blocks whose sums have integer forms: one grid for both inputs and the output.

BatchNorms of two branches have slopes of their own, so no common grid of integers exists unless
both branches are quantized to one before they are added, and the network is trained with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..grid import Grid
from ..layers import IntegerAct, act_step
from ..precision import act_grid, activation, conv2d
from ..quant.integer import levels


@dataclass(frozen=True, kw_only=True)
class ResidualStyle:
    """What all blocks of a network have in common.

    Attributes:
        weight: Precision of the weights.
        act: Precision of what convolutions take.
        residual: Grid of the sums: ``uintN`` is a ReLU network, ``intN`` one whose sums may be
            negative, ``float`` no grid. Both inputs and the output of every sum have its step.
        clip: Clip of the straight-through estimators of signs.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.
        pad_value: Value of the padding of convolutions on bits; integers are padded with 0.
    """

    weight: str
    act: str
    residual: str
    clip: float = 1.0
    bn_momentum: float = 0.1
    pad_value: int = -1

    def on_grid(self) -> nn.Module:
        """Return the quantizer of a branch, whose values have both signs."""
        return self._grid(is_signed=True)

    def output(self) -> nn.Module:
        """Return the quantizer of a sum; a float network has a ReLU."""
        if self.residual == "float":
            return nn.ReLU()
        return self._grid(is_signed=self._is_signed)

    def _grid(self, *, is_signed: bool) -> nn.Module:
        if self.residual == "float":
            return nn.Identity()
        step = act_step(self._bits, signed=True)
        return IntegerAct(self._bits, signed=is_signed, scale=step)

    @property
    def _bits(self) -> int:
        return int(self.residual.removeprefix("u").removeprefix("int"))

    @property
    def _is_signed(self) -> bool:
        return self.residual.startswith("int")

    @property
    def output_grid(self) -> Grid | None:
        """Values of a sum's output; None for floats."""
        if self.residual == "float":
            return None
        low, high = levels(self._bits, signed=self._is_signed, narrow_range=self._is_signed)
        return Grid(step=act_step(self._bits, signed=True), low=low, high=high)

    @property
    def entry_grid(self) -> Grid | None:
        """Values that a convolution takes of a sum; None for floats."""
        return self.output_grid if self.act == self.residual else act_grid(self.act)

    def entry(self) -> nn.Module:
        """Return what a sum goes through before a convolution: nothing if it has the precision."""
        if self.act == self.residual:
            return nn.Identity()
        return activation(self.act, clip=self.clip)

    def conv_norm(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        *,
        grid: Grid | None,
        is_bipolar: bool | None = None,
    ) -> nn.Sequential:
        """Return ``batchnorm(conv(x))`` with the padding that keeps the size at stride 1.

        Args:
            inputs: Channels of the input.
            outputs: Channels of the output.
            kernel: Height and width of the window.
            stride: Steps of the window.
            grid: Values of the input; None for floats.
            is_bipolar: Whether the input is bits, by default that of ``act``.
        """
        on_bits = self.act == "binary" if is_bipolar is None else is_bipolar
        conv = conv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=kernel // 2,
            pad_value=self.pad_value if on_bits else 0,
            weight=self.weight,
            clip=self.clip,
            inputs=grid,
        )
        return nn.Sequential(conv, nn.BatchNorm2d(outputs, momentum=self.bn_momentum))


class ResidualSum(nn.Module):
    """``a + b`` of tensors on one grid; its integers are exported."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the sum."""
        return a + b


class BasicBlock(nn.Module):
    """``output(grid(conv(act(conv(x)))) + shortcut(x))``, each convolution with its BatchNorm.

    The shortcut is the input, or where the size changes ``grid(batchnorm(conv1x1(x)))`` (He et al.,
    "Deep Residual Learning for Image Recognition", arXiv:1512.03385, figure 2 and option B).

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        stride: Of the first convolution.
        style: Precisions.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, style: ResidualStyle) -> None:
        super().__init__()
        self.entry = style.entry()
        self.first = style.conv_norm(inputs, outputs, 3, stride, grid=style.entry_grid)
        self.act = activation(style.act, clip=style.clip)
        self.second = style.conv_norm(outputs, outputs, 3, 1, grid=act_grid(style.act))
        self.grid = style.on_grid()
        self.shortcut = (
            None
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                *style.conv_norm(inputs, outputs, 1, stride, grid=style.entry_grid),
                style.on_grid(),
            )
        )
        self.sum = ResidualSum()
        self.output = style.output()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(images, outputs, height / stride, width / stride)``."""
        entry = self.entry(x)
        branch = self.grid(self.second(self.act(self.first(entry))))
        short = x if self.shortcut is None else self.shortcut(entry)
        result: Tensor = self.output(self.sum(branch, short))
        return result
