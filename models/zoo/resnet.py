"""Residual networks of basic blocks: ResNet-18 for images of 32 x 32, and one for the digits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from ..blocks.residual import BasicBlock, ResidualStyle
from ..dtypes import integer_range
from ..grid import Grid
from ..layers import BinaryAct, PositiveScale
from ..precision import check_precisions, input_grid, linear

Residual = Literal["auto", "int2", "int3", "int4", "int8", "uint2", "uint3", "uint4", "uint8"]


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """What a residual network is made of.

    Attributes:
        name: Name in the zoo.
        image: Channels, height and width of an image.
        widths: Channels of each stage; all but the first begin with stride 2.
        blocks: Basic blocks of each stage.
        classes: Neurons of the last layer.
        pad_value: Value of the padding of convolutions on bits.
        input_dtype: QONNX name of the input's datatype; BIPOLAR puts a sign in front.
        weight: Precision of the weights.
        act: Precision of what convolutions take.
        residual: Grid of the sums, of which both inputs and the output have the step: ``uintN``
            with ReLU, ``intN`` without. ``auto`` is that of ``act`` if it is unsigned, else int4.
        clip: Clip of the straight-through estimators of signs.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.

    Raises:
        ValueError: A field is out of its range.
    """

    name: str
    image: tuple[int, int, int]
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    classes: int = 10
    pad_value: int = -1
    input_dtype: str = "UINT8"
    weight: str = "binary"
    act: str = "uint4"
    residual: Residual = "auto"
    clip: float = 1.0
    bn_momentum: float = 0.1

    def __post_init__(self) -> None:
        for field in ("image", "widths", "blocks"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if len(self.image) != 3 or min(self.image) < 1:
            raise ValueError(
                f"{self.name}: image must be (channels, height, width), got {self.image}"
            )
        for field in ("widths", "blocks"):
            sizes = getattr(self, field)
            if not sizes or min(sizes) < 1:
                raise ValueError(f"{self.name}: {field} needs numbers >= 1, got {sizes}")
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"{self.name}: widths {self.widths} and blocks {self.blocks} must be of as many "
                "stages"
            )
        if self.classes < 1:
            raise ValueError(f"{self.name}: classes must be >= 1, got {self.classes}")
        if self.pad_value not in (-1, 0, 1):
            raise ValueError(f"{self.name}: pad_value must be -1, 0 or 1, got {self.pad_value}")
        check_precisions(self.weight, self.act, self.name)
        if self.residual not in get_args(Residual):
            raise ValueError(
                f"{self.name}: residual={self.residual!r} is none of "
                f"{', '.join(get_args(Residual))}"
            )
        integer_range(self.input_dtype, f"{self.name}: input_dtype")
        if not self.clip > 0:
            raise ValueError(f"{self.name}: clip must be > 0, got {self.clip}")
        if not 0 < self.bn_momentum <= 1:
            raise ValueError(f"{self.name}: bn_momentum must be in (0, 1], got {self.bn_momentum}")

    def style(self) -> ResidualStyle:
        """Return the precisions of the blocks."""
        residual: str = "int4"
        if self.act == "float":
            residual = "float"
        elif self.residual != "auto":
            residual = self.residual
        elif self.act.startswith("uint"):
            residual = self.act
        return ResidualStyle(
            weight=self.weight,
            act=self.act,
            residual=residual,
            clip=self.clip,
            bn_momentum=self.bn_momentum,
            pad_value=self.pad_value,
        )


class ResNet(nn.Module):
    """Convolution, basic blocks, the average of all pixels, then ``linear -> positive scale``.

    The class is the argmax of the last accumulators: the scale after them is one positive number.

    Args:
        config: Sizes, datatypes and precisions.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        style = config.style()
        is_bipolar = config.input_dtype == "BIPOLAR"
        self.input_act = BinaryAct(clip=config.clip) if is_bipolar else None
        channels = config.widths[0]
        self.stem = nn.Sequential(
            *style.conv_norm(
                config.image[0],
                channels,
                3,
                1,
                grid=input_grid(config.input_dtype, config.name),
                is_bipolar=is_bipolar,
            ),
            style.output(),
        )
        blocks: list[nn.Module] = []
        for stage, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            for index in range(count):
                stride = 2 if stage and not index else 1
                blocks.append(BasicBlock(channels, width, stride, style))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = linear(
            channels,
            config.classes,
            weight=config.weight,
            clip=config.clip,
            inputs=_averaged(style.output_grid, config),
        )
        self.scale = None if config.weight == "float" else PositiveScale(channels**-0.5)

    @property
    def input_dtype(self) -> str:
        """QONNX name of the input's datatype."""
        return self.config.input_dtype

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self.config.image

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(images, classes)`` of integers as floats ``(images, *image)``."""
        if self.input_act is not None:
            x = self.input_act(x)
        logits: Tensor = self.head(self.pool(self.blocks(self.stem(x))).flatten(1))
        return logits if self.scale is None else self.scale(logits)


def _averaged(grid: Grid | None, config: ResNetConfig) -> Grid | None:
    """Return the values of the average of all pixels of the last maps."""
    if grid is None:
        return None
    stride = 2 ** (len(config.widths) - 1)
    pixels = math.prod(-(-size // stride) for size in config.image[1:])
    return Grid(step=grid.step / pixels, low=grid.low * pixels, high=grid.high * pixels)
