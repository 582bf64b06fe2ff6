"""Plain convolutional networks: FINN's CNV, VGG-small and the digits network."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import get_args

from torch import Tensor, nn

from ..blocks.conv import ConvBlock, PoolAt
from ..blocks.mlp import LinearBlock
from ..layers import BinaryAct, PositiveScale
from ..precision import act_grid, check_precisions, input_grid, linear


@dataclass(frozen=True, kw_only=True)
class ConvLayer:
    """A convolution and the pooling after it.

    Attributes:
        channels: Output channels.
        height: Height of the output, pooled.
        width: Width of the output, pooled.
        pool: ``max``, ``avg``, or empty for none.
        window: Height and width of the pooling's windows.
    """

    channels: int
    height: int
    width: int
    pool: str = ""
    window: tuple[int, int] = (1, 1)

    def make_pool(self) -> nn.Module | None:
        """Return the pooling module, if there is one."""
        if not self.pool:
            return None
        return nn.MaxPool2d(self.window) if self.pool == "max" else nn.AvgPool2d(self.window)


@dataclass(frozen=True, kw_only=True)
class ConvNetConfig:
    """What a plain convolutional network is made of.

    Attributes:
        name: Name in the zoo.
        image: Channels, height and width of an image.
        features: Convolutions, as output channels, and poolings after them: ``max2`` and ``avg2``
            take windows of 2 x 2, ``avg`` averages the whole image.
        hidden: Neurons of each hidden fully connected layer.
        classes: Neurons of the last layer.
        kernel: Height and width of the windows of all convolutions.
        padding: Rows and columns on every side of all convolutions.
        pad_value: Value of the padding; integer images, and activations that are never negative,
            are padded with 0.
        pool_at: Whether a pooling takes the ``activation`` or the ``accumulator``.
        input_dtype: QONNX name of the input's datatype; BIPOLAR puts a sign in front.
        weight: Precision of the weights.
        act: Precision of the activations.
        clip: Clip of the straight-through estimators of signs.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.

    Raises:
        ValueError: A field is out of its range, or an image becomes smaller than a window.
    """

    name: str
    image: tuple[int, int, int]
    features: tuple[int | str, ...]
    hidden: tuple[int, ...] = ()
    classes: int = 10
    kernel: int = 3
    padding: int = 0
    pad_value: int = -1
    pool_at: PoolAt = "activation"
    input_dtype: str = "UINT8"
    weight: str = "binary"
    act: str = "binary"
    clip: float = 1.0
    bn_momentum: float = 0.1

    def __post_init__(self) -> None:
        for field in ("image", "features", "hidden"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        for field, least in (("classes", 1), ("kernel", 1), ("padding", 0)):
            if getattr(self, field) < least:
                raise ValueError(
                    f"{self.name}: {field} must be >= {least}, got {getattr(self, field)}"
                )
        if len(self.image) != 3 or min(self.image) < 1:
            raise ValueError(
                f"{self.name}: image must be (channels, height, width), got {self.image}"
            )
        if self.hidden and min(self.hidden) < 1:
            raise ValueError(f"{self.name}: hidden needs widths >= 1, got {self.hidden}")
        if self.pad_value not in (-1, 0, 1):
            raise ValueError(f"{self.name}: pad_value must be -1, 0 or 1, got {self.pad_value}")
        if self.pool_at not in get_args(PoolAt):
            raise ValueError(
                f"{self.name}: pool_at={self.pool_at!r} is none of {', '.join(get_args(PoolAt))}"
            )
        check_precisions(self.weight, self.act, self.name)
        input_grid(self.input_dtype, f"{self.name}: input_dtype")
        if not self.clip > 0:
            raise ValueError(f"{self.name}: clip must be > 0, got {self.clip}")
        if not 0 < self.bn_momentum <= 1:
            raise ValueError(f"{self.name}: bn_momentum must be in (0, 1], got {self.bn_momentum}")
        self.convolutions()

    def convolutions(self) -> tuple[ConvLayer, ...]:
        """Return each convolution with the pooling after it.

        Raises:
            ValueError: An entry of ``features`` is neither, a pooling follows no convolution, or
                an image becomes smaller than a window.
        """
        found: list[ConvLayer] = []
        _, height, width = self.image
        for entry in self.features:
            if isinstance(entry, int) and not isinstance(entry, bool) and entry >= 1:
                height, width = (n + 2 * self.padding - self.kernel + 1 for n in (height, width))
                found.append(ConvLayer(channels=entry, height=height, width=width))
            elif not isinstance(entry, str) or re.fullmatch(r"(max|avg)[2-9]|avg", entry) is None:
                raise ValueError(
                    f"{self.name}: features has {entry!r}; "
                    "give channels >= 1, max2 to max9, avg2 to avg9, or avg"
                )
            elif not found or found[-1].pool:
                raise ValueError(f"{self.name}: features has {entry!r} without a convolution")
            else:
                window = (height, width) if entry == "avg" else (int(entry[3:]),) * 2
                height, width = height // window[0], width // window[1]
                found[-1] = replace(
                    found[-1], pool=entry[:3], window=window, height=height, width=width
                )
            if min(height, width) < 1:
                raise ValueError(
                    f"{self.name}: features has {entry!r} where the image has shrunk too far; "
                    "use fewer layers, or padding"
                )
        if not found:
            raise ValueError(f"{self.name}: features has no convolution")
        return tuple(found)


class ConvNet(nn.Module):
    """Convolution blocks, linear blocks, then ``linear -> positive scale``.

    The class is the argmax of the last accumulators: the scale after them is one positive number.

    Args:
        config: Sizes, datatypes and precisions.
    """

    def __init__(self, config: ConvNetConfig) -> None:
        super().__init__()
        self.config = config
        is_bipolar = config.input_dtype == "BIPOLAR"
        self.input_act = BinaryAct(clip=config.clip) if is_bipolar else None
        image, hidden = input_grid(config.input_dtype, config.name), act_grid(config.act)
        blocks: list[nn.Module] = []
        fan_in = config.image[0]
        layers = config.convolutions()
        is_signed = hidden is None or hidden.low < 0
        for index, layer in enumerate(layers):
            takes_pad_value = is_signed if index else is_bipolar
            blocks.append(
                ConvBlock(
                    fan_in,
                    layer.channels,
                    config.kernel,
                    padding=config.padding,
                    pad_value=config.pad_value if takes_pad_value else 0,
                    pool=layer.make_pool(),
                    pool_at=config.pool_at,
                    weight=config.weight,
                    act=config.act,
                    clip=config.clip,
                    inputs=hidden if index else image,
                    bn_momentum=config.bn_momentum,
                )
            )
            fan_in = layer.channels
        self.features = nn.Sequential(*blocks)
        widths = (layers[-1].channels * layers[-1].height * layers[-1].width, *config.hidden)
        self.blocks = nn.Sequential(
            *(
                LinearBlock(
                    fan_in,
                    width,
                    weight=config.weight,
                    act=config.act,
                    clip=config.clip,
                    inputs=hidden,
                    bn_momentum=config.bn_momentum,
                )
                for fan_in, width in zip(widths, config.hidden, strict=False)
            )
        )
        self.head = linear(
            widths[-1], config.classes, weight=config.weight, clip=config.clip, inputs=hidden
        )
        # a sum of n random terms has standard deviation sqrt(n)
        self.scale = None if config.weight == "float" else PositiveScale(widths[-1] ** -0.5)

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
        logits: Tensor = self.head(self.blocks(self.features(x).flatten(1)))
        return logits if self.scale is None else self.scale(logits)
