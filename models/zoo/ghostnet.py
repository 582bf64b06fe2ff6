"""GhostNet: a small network of ghost bottlenecks, for ImageNet and for digits.

Goals, by the authors' repository: ImageNet 1.0x 73.98 % top-1 and 91.46 % top-5 with 142 million
products; G-Ghost stages in RegNetX-3.2G 77.8 %.

References:
    Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020, arXiv:1911.11907.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..blocks.ghost import GhostBottleneck, multiple_of
from ..blocks.style import Style
from ..layers import ChannelBias, PositiveScale
from ..precision import check_precisions, conv2d, input_grid, linear

Row = tuple[int, int, int, float, int]

GHOSTNET_ROWS: tuple[Row, ...] = (
    (3, 16, 16, 0.0, 1),
    (3, 48, 24, 0.0, 2),
    (3, 72, 24, 0.0, 1),
    (5, 72, 40, 0.25, 2),
    (5, 120, 40, 0.25, 1),
    (3, 240, 80, 0.0, 2),
    (3, 200, 80, 0.0, 1),
    (3, 184, 80, 0.0, 1),
    (3, 184, 80, 0.0, 1),
    (3, 480, 112, 0.25, 1),
    (3, 672, 112, 0.25, 1),
    (5, 672, 160, 0.25, 2),
    (5, 960, 160, 0.0, 1),
    (5, 960, 160, 0.25, 1),
    (5, 960, 160, 0.0, 1),
    (5, 960, 160, 0.25, 1),
)


@dataclass(frozen=True, kw_only=True)
class GhostNetConfig:
    """What a GhostNet is made of.

    Attributes:
        name: Name in the zoo.
        image: Channels, height and width of an image.
        rows: Bottlenecks: kernel of the depthwise convolution, channels inside, output channels,
            share of squeeze-excite, stride.
        stem: Channels of the first convolution.
        stem_stride: Its stride.
        head: Channels of the convolution behind the mean over the image.
        width: Factor of all channels but those of the head, rounded to multiples of 4.
        has_squeeze: Whether the rows' shares of squeeze-excite count.
        classes: Neurons of the last layer.
        input_dtype: QONNX name of the input's datatype.
        weight: Precision of the weights.
        act: Precision of the activations.
        signed_act: Precision of values that no ReLU follows; float where ``act`` is.
        clip: Clip of the straight-through estimators of signs.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.

    Raises:
        ValueError: A field is out of its range, or fields do not go together.
    """

    name: str
    image: tuple[int, int, int] = (3, 224, 224)
    rows: tuple[Row, ...] = GHOSTNET_ROWS
    stem: int = 16
    stem_stride: int = 2
    head: int = 1280
    width: float = 1.0
    has_squeeze: bool = True
    classes: int = 1000
    input_dtype: str = "UINT8"
    weight: str = "float"
    act: str = "float"
    signed_act: str = "float"
    clip: float = 1.0
    bn_momentum: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", tuple(self.image))
        object.__setattr__(self, "rows", tuple(tuple(row) for row in self.rows))
        for field in ("stem", "stem_stride", "head", "classes"):
            if getattr(self, field) < 1:
                raise ValueError(f"{self.name}: {field} must be >= 1, got {getattr(self, field)}")
        if len(self.image) != 3 or min(self.image) < 1:
            raise ValueError(
                f"{self.name}: image must be (channels, height, width), got {self.image}"
            )
        if not self.rows:
            raise ValueError(f"{self.name}: rows needs at least one bottleneck")
        for row in self.rows:
            if len(row) != 5 or min(row[0], row[1], row[2], row[4]) < 1 or row[0] % 2 == 0:
                raise ValueError(
                    f"{self.name}: rows has {row}; give an odd kernel, channels inside and out, "
                    "a share of squeeze-excite, and a stride"
                )
            if not 0 <= row[3] <= 1:
                raise ValueError(
                    f"{self.name}: rows has {row}; the share of squeeze-excite must be in [0, 1]"
                )
        if not 0 < self.width <= 16:
            raise ValueError(f"{self.name}: width must be in (0, 16], got {self.width}")
        if not self.clip > 0:
            raise ValueError(f"{self.name}: clip must be > 0, got {self.clip}")
        if not 0 < self.bn_momentum <= 1:
            raise ValueError(f"{self.name}: bn_momentum must be in (0, 1], got {self.bn_momentum}")
        check_precisions(self.weight, self.act, self.name)
        check_precisions(self.weight, self.signed_act, self.name)
        if self.act == "binary" or self.signed_act == "binary":
            raise ValueError(f"{self.name}: binary activations have no 0 to pad maps with")
        input_grid(self.input_dtype, f"{self.name}: input_dtype")
        self.style.check(self.name)
        squeezes = self.has_squeeze and any(row[3] for row in self.rows)
        if squeezes and self.act != "float":
            raise ValueError(
                f"{self.name}: squeeze-excite multiplies data by data, which act={self.act!r} "
                "has no form for; set has_squeeze=False"
            )

    @property
    def style(self) -> Style:
        """Precisions of the blocks."""
        return Style(
            weight=self.weight,
            act=self.act,
            signed_act=self.signed_act,
            clip=self.clip,
            bn_momentum=self.bn_momentum,
        )


class GhostNet(nn.Module):
    """Convolution, bottlenecks, convolution, mean over the image, convolution, linear.

    Where the activations have few bits, the class is the argmax of the last accumulators: there is
    no bias, and the convolution behind the mean has a BatchNorm.

    Args:
        config: Sizes, datatypes and precisions.
    """

    def __init__(self, config: GhostNetConfig) -> None:
        super().__init__()
        self.config = config
        style, has_bias = config.style, config.act == "float"

        def scaled(channels: int) -> int:
            return multiple_of(channels * config.width, 4)

        channels = scaled(config.stem)
        self.stem = nn.Sequential(
            *style.make_conv(
                config.image[0],
                channels,
                3,
                inputs=input_grid(config.input_dtype, config.name),
                stride=config.stem_stride,
            ),
            style.make_act(),
        )
        blocks: list[nn.Module] = []
        inputs = style.grid
        for kernel, inner, outer, squeeze, stride in config.rows:
            blocks.append(
                GhostBottleneck(
                    channels,
                    scaled(inner),
                    scaled(outer),
                    style=style,
                    inputs=inputs,
                    kernel=kernel,
                    stride=stride,
                    squeeze=squeeze if config.has_squeeze else 0.0,
                )
            )
            channels, inputs = scaled(outer), style.sum_grid
        self.blocks = nn.Sequential(*blocks)
        inside = scaled(config.rows[-1][1])
        self.last = nn.Sequential(
            *style.make_conv(channels, inside, 1, inputs=inputs), style.make_act()
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        head = conv2d(
            inside, config.head, 1, weight=config.weight, clip=config.clip, inputs=style.grid
        )
        classifier = linear(
            config.head, config.classes, weight=config.weight, clip=config.clip, inputs=style.grid
        )
        behind_head = (
            ChannelBias(torch.zeros(config.head))
            if has_bias
            else nn.BatchNorm2d(config.head, momentum=config.bn_momentum)
        )
        self.head = nn.Sequential(head, behind_head, style.make_act(), nn.Flatten())
        biases = [ChannelBias(torch.zeros(config.classes))] if has_bias else []
        self.classifier = nn.Sequential(classifier, *biases)
        self.scale = None if has_bias else PositiveScale(config.head**-0.5)

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
        maps = self.last(self.blocks(self.stem(x)))
        logits: Tensor = self.classifier(self.head(self.pool(maps)))
        return logits if self.scale is None else self.scale(logits)
