"""Small random networks of torch layers: every stage in random places, with random parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from popshift.models.layers import (
    BinaryAct,
    BinaryConv2d,
    BinaryLinear,
    IntegerAct,
    IntegerConv2d,
    IntegerLinear,
    PositiveScale,
)

INPUTS = {
    "BIPOLAR": (-1, 1),
    "UINT1": (0, 1),
    "UINT4": (0, 15),
    "UINT8": (0, 255),
    "INT5": (-16, 15),
}


class RandomNetwork(nn.Sequential):
    """Layers with the datatype and the shape of their input, as an export wants them."""

    def __init__(self, layers: list[nn.Module], input_dtype: str, shape: tuple[int, ...]) -> None:
        super().__init__(*layers)
        self.input_dtype = input_dtype
        self.input_shape = shape


@dataclass
class _Growing:
    """A network on its way: its layers, and what the last one yields.

    Attributes:
        shape: Of an image.
        is_bipolar: Whether its elements are -1 and +1.
    """

    rng: np.random.Generator
    shape: tuple[int, ...]
    is_bipolar: bool
    layers: list[nn.Module] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def number(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return int(self.rng.integers(low, high, endpoint=True))

    def quantize(self, norm: type[nn.Module], channels: int) -> None:
        """BatchNorm, now and then a bend, and an activation."""
        self.layers.append(norm(channels))
        if self.chance(0.2):
            self.layers.append(nn.PReLU(channels if self.chance(0.5) else 1))
        elif self.chance(0.2):
            self.layers.append(nn.Hardtanh())
        self.is_bipolar = self.chance(0.5)
        if self.is_bipolar:
            self.layers.append(BinaryAct())
        else:
            self.layers.append(IntegerAct(self.number(2, 4), signed=self.chance(0.5)))

    def pool(self, *, can_average: bool) -> None:
        """A pool that fits the map, with or without overlap."""
        channels, height, width = self.shape
        rows, columns = self.number(1, min(3, height)), self.number(1, min(3, width))
        stride = (self.number(1, rows), self.number(1, columns)) if self.chance(0.3) else None
        kind = nn.AvgPool2d if can_average and self.chance(0.4) else nn.MaxPool2d
        self.layers.append(kind((rows, columns), stride))
        down, across = stride or (rows, columns)
        self.shape = (channels, (height - rows) // down + 1, (width - columns) // across + 1)
        # An average of single pixels is the pixel.
        self.is_bipolar &= kind is nn.MaxPool2d or (rows, columns) == (1, 1)

    def convolve(self) -> None:
        """A convolution and what follows it."""
        channels, height, width = self.shape
        kernel = (self.number(1, min(3, height)), self.number(1, min(3, width)))
        dilation = tuple(
            2 if k * 2 - 1 <= n and self.chance(0.2) else 1
            for k, n in zip(kernel, (height, width), strict=True)
        )
        extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        is_padded = self.chance(0.4)
        padding = tuple(self.number(0, e - 1) if is_padded else 0 for e in extent)
        stride = (self.number(1, 2), self.number(1, 2)) if self.chance(0.3) else (1, 1)
        is_depthwise = self.chance(0.2)
        outputs = channels if is_depthwise else self.number(1, 6)
        # Zeros around bits are made up for by thresholds at the border, which depthwise layers lack.
        values = ((-1, 1) if is_depthwise else (-1, 0, 1)) if self.is_bipolar else (0,)
        pad_value = int(self.rng.choice(values))
        options = {
            "stride": stride,
            "padding": padding,
            "pad_value": pad_value,
            "dilation": dilation,
            "groups": channels if is_depthwise else 1,
        }
        if self.chance(0.6):
            self.layers.append(BinaryConv2d(channels, outputs, kernel, **options))
        else:
            self.layers.append(IntegerConv2d(channels, outputs, kernel, bits=2, **options))
        needs_quantizer = self.is_bipolar and pad_value == 0 and any(padding)
        self.shape = (
            outputs,
            *(
                (n + 2 * p - e) // s + 1
                for n, p, e, s in zip((height, width), padding, extent, stride, strict=True)
            ),
        )
        if not needs_quantizer and self.chance(0.3):
            self.is_bipolar = False
            self.pool(can_average=False)
        self.quantize(nn.BatchNorm2d, outputs)
        if self.chance(0.4):
            self.pool(can_average=True)

    def connect_all(self, outputs: int) -> None:
        """A fully connected layer."""
        (inputs,) = self.shape
        if self.chance(0.6):
            self.layers.append(BinaryLinear(inputs, outputs))
        else:
            self.layers.append(IntegerLinear(inputs, outputs, bits=2))
        self.shape = (outputs,)


def random_network(seed: int) -> RandomNetwork:
    """Return a network of up to three convolutions and three fully connected layers."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    dtype = str(rng.choice(list(INPUTS)))
    is_map = rng.random() < 0.75
    high, wide = (int(n) for n in rng.integers(3, 9, 2))
    shape = (int(rng.integers(1, 4)), high, wide) if is_map else (int(rng.integers(2, 25)),)
    net = _Growing(rng=rng, shape=shape, is_bipolar=dtype == "BIPOLAR")
    if net.is_bipolar:
        net.layers.append(BinaryAct())
    if is_map:
        for _ in range(net.number(1, 3)):
            net.convolve()
        net.layers.append(nn.Flatten())
        net.shape = (int(np.prod(net.shape)),)
    for _ in range(net.number(0, 2)):
        net.connect_all(net.number(1, 12))
        net.quantize(nn.BatchNorm1d, *net.shape)
    net.connect_all(net.number(1, 10))
    net.layers.append(PositiveScale(0.25) if net.chance(0.7) else nn.BatchNorm1d(*net.shape))
    network = RandomNetwork(net.layers, dtype, shape)
    randomize(network, torch.Generator().manual_seed(seed))
    return network.eval()


def images_of(network: RandomNetwork, count: int, seed: int) -> np.ndarray:
    """Return images whose first two are the ends of the range."""
    low, high = INPUTS[network.input_dtype]
    rng = np.random.default_rng(seed)
    images = rng.integers(low, high, (count, *network.input_shape), endpoint=True)
    if network.input_dtype == "BIPOLAR":
        images = np.where(images > 0, 1, -1)
    images[0], images[1] = low, high
    return images


@torch.no_grad()
def randomize(network: RandomNetwork, generator: torch.Generator) -> None:
    """Statistics of random images; factors of both signs, and some 0; slopes of PReLU as well."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    images = torch.from_numpy(images_of(network, 16, 0)).float()
    network.train()(images)
    for norm in norms:
        norm.weight.copy_(torch.randn(norm.weight.shape, generator=generator))
        norm.bias.copy_(torch.randn(norm.bias.shape, generator=generator) / 3)
        norm.weight[torch.rand(norm.weight.shape, generator=generator) < 0.1] = 0.0
    for module in network.modules():
        if isinstance(module, nn.PReLU):
            module.weight.uniform_(-1, 1.5, generator=generator)
