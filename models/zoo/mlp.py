"""Multilayer perceptrons: the digits network and FINN's TFC, SFC and LFC."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..blocks.mlp import LinearBlock
from ..layers import BinaryAct, PositiveScale
from ..precision import act_grid, check_precisions, input_grid, linear


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """What an MLP is made of.

    Attributes:
        name: Name in the zoo.
        in_features: Input values of an image.
        hidden: Neurons of each hidden layer.
        classes: Neurons of the last layer.
        input_dtype: QONNX name of the input's datatype; BIPOLAR puts a sign in front.
        weight: Precision of the weights.
        act: Precision of the activations.
        clip: Clip of the straight-through estimators of signs.
        bn_momentum: Share of a new batch in BatchNorm's running statistics.

    Raises:
        ValueError: A field is out of its range.
    """

    name: str = "mlp"
    in_features: int = 64
    hidden: tuple[int, ...] = (256, 256, 256)
    classes: int = 10
    input_dtype: str = "UINT5"
    weight: str = "binary"
    act: str = "binary"
    clip: float = 1.0
    bn_momentum: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for field, size in (("in_features", self.in_features), ("classes", self.classes)):
            if size < 1:
                raise ValueError(f"{self.name}: {field} must be >= 1, got {size}")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"{self.name}: hidden needs widths >= 1, got {self.hidden}")
        check_precisions(self.weight, self.act, self.name)
        input_grid(self.input_dtype, f"{self.name}: input_dtype")
        if not self.clip > 0:
            raise ValueError(f"{self.name}: clip must be > 0, got {self.clip}")
        if not 0 < self.bn_momentum <= 1:
            raise ValueError(f"{self.name}: bn_momentum must be in (0, 1], got {self.bn_momentum}")


class Mlp(nn.Module):
    """``linear -> BatchNorm -> sign`` blocks, then ``linear -> positive scale``.

    The class is the argmax of the last accumulators: the scale after them is one positive number.

    Args:
        config: Widths, datatypes and precisions.
    """

    def __init__(self, config: MlpConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.in_features, *config.hidden)
        image, hidden = input_grid(config.input_dtype, config.name), act_grid(config.act)
        self.input_act = BinaryAct(clip=config.clip) if config.input_dtype == "BIPOLAR" else None
        self.blocks = nn.Sequential(
            *(
                LinearBlock(
                    fan_in,
                    width,
                    weight=config.weight,
                    act=config.act,
                    clip=config.clip,
                    inputs=hidden if index else image,
                    bn_momentum=config.bn_momentum,
                )
                for index, (fan_in, width) in enumerate(zip(widths, config.hidden, strict=False))
            )
        )
        self.head = linear(
            widths[-1], config.classes, weight=config.weight, clip=config.clip, inputs=hidden
        )
        # an accumulator of n random signs has standard deviation sqrt(n)
        self.scale = None if config.weight == "float" else PositiveScale(widths[-1] ** -0.5)

    @property
    def input_dtype(self) -> str:
        """QONNX name of the input's datatype."""
        return self.config.input_dtype

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return (self.config.in_features,)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(images, classes)`` of integers as floats ``(images, in_features)``."""
        if self.input_act is not None:
            x = self.input_act(x)
        logits: Tensor = self.head(self.blocks(x))
        return logits if self.scale is None else self.scale(logits)
