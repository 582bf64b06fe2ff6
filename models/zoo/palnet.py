"""Networks of parallel groups of few bits: PalQuant's, in the size of the digits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..blocks.group import CyclicShuffle, GroupStyle, ParallelGroupBlock
from ..layers import BinaryAct, PositiveScale
from ..precision import check_precisions, input_grid, linear


@dataclass(frozen=True, kw_only=True)
class PalNetConfig:
    """What a network of parallel groups is made of.

    Attributes:
        name: Name in the zoo.
        image: Channels, height and width of an image.
        widths: Channels of a group in each stage; all but the first begin with a cyclic shuffle and
            stride 2.
        blocks: Blocks of each stage.
        groups: Groups; every layer has as many times the channels.
        classes: Neurons of the last layer.
        input_dtype: QONNX name of the input's datatype; BIPOLAR puts a sign in front.
        weight: Precision of the weights.
        act: Precision of the activations.
        clip: Clip of the straight-through estimators of signs.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.

    Raises:
        ValueError: A field is out of its range.
    """

    name: str
    image: tuple[int, int, int]
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    groups: int = 2
    classes: int = 10
    input_dtype: str = "UINT8"
    weight: str = "interval2"
    act: str = "interval2"
    clip: float = 1.0
    bn_momentum: float = 0.1

    def __post_init__(self) -> None:
        for field in ("image", "widths", "blocks"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if len(self.image) != 3 or min(self.image) < 1:
            raise ValueError(
                f"{self.name}: image must be (channels, height, width), got {self.image}"
            )
        for field, sizes in (("widths", self.widths), ("blocks", self.blocks)):
            if not sizes or min(sizes) < 1:
                raise ValueError(f"{self.name}: {field} needs numbers >= 1, got {sizes}")
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"{self.name}: widths {self.widths} and blocks {self.blocks} must be of as many "
                "stages"
            )
        for field, size in (("groups", self.groups), ("classes", self.classes)):
            if size < 1:
                raise ValueError(f"{self.name}: {field} must be >= 1, got {size}")
        check_precisions(self.weight, self.act, self.name)
        input_grid(self.input_dtype, f"{self.name}: input_dtype")
        if not self.clip > 0:
            raise ValueError(f"{self.name}: clip must be > 0, got {self.clip}")
        if not 0 < self.bn_momentum <= 1:
            raise ValueError(f"{self.name}: bn_momentum must be in (0, 1], got {self.bn_momentum}")


class PalNet(nn.Module):
    """A convolution into all groups, blocks of groups, the mean of all pixels, ``linear``, scale.

    Only the first convolution and the last layer see all channels. The class is the argmax of the
    last accumulators: the scale after them is one positive number.

    Args:
        config: Sizes, datatypes and precisions.
    """

    def __init__(self, config: PalNetConfig) -> None:
        super().__init__()
        self.config = config
        style = GroupStyle(
            groups=config.groups,
            weight=config.weight,
            act=config.act,
            clip=config.clip,
            bn_momentum=config.bn_momentum,
        )
        is_bipolar = config.input_dtype == "BIPOLAR"
        self.input_act = BinaryAct(clip=config.clip) if is_bipolar else None
        channels = config.widths[0] * config.groups
        image = input_grid(config.input_dtype, config.name)
        self.stem = nn.Sequential(
            *style.make_conv(config.image[0], channels, 3, inputs=image), style.make_act()
        )
        blocks: list[nn.Module] = []
        for stage, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            if stage:
                blocks.append(CyclicShuffle(channels, style))
            for index in range(count):
                stride = 2 if stage and not index else 1
                blocks.append(ParallelGroupBlock(channels, width * config.groups, stride, style))
                channels = width * config.groups
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = linear(
            channels,
            config.classes,
            weight=config.weight,
            clip=config.clip,
            inputs=style.grid,
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
