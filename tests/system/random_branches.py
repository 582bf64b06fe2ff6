"""Random networks with branches: sums, joined and split channels, groups, activations that turn."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from popshift.models.blocks.residual import ResidualSum
from popshift.models.layers import BinaryConv2d, BinaryLinear, IntegerAct, IntegerConv2d

from .random_networks import RandomNetwork, randomize


def plain(x: Tensor) -> Tensor:
    """Return the tensor without Brevitas' wrapper, whose scale is 1 here."""
    return getattr(x, "value", x)


class Layer(nn.Sequential):
    """Convolution in groups that keeps the size, BatchNorm, now and then a bend, activation."""

    def __init__(self, rng: np.random.Generator, inputs: int, outputs: int, act: nn.Module) -> None:
        kernel = int(rng.choice([1, 3]))
        common = np.gcd(inputs, outputs)
        groups = int(rng.choice([g for g in range(1, common + 1) if common % g == 0]))
        options = {"padding": kernel // 2, "groups": groups if rng.random() < 1 / 2 else 1}
        conv = (
            BinaryConv2d(inputs, outputs, kernel, **options)
            if rng.random() < 1 / 2
            else IntegerConv2d(inputs, outputs, kernel, bits=2, **options)
        )
        bends = ([], [nn.PReLU(outputs)], [nn.Hardswish()], [nn.LeakyReLU(-0.5)])
        bend = bends[int(rng.choice([0, 0, 0, 1, 2, 3]))]
        super().__init__(conv, nn.BatchNorm2d(outputs), *bend, act)


def activation(rng: np.random.Generator, *, signed: bool | None = None) -> IntegerAct:
    is_signed = bool(rng.random() < 1 / 2) if signed is None else signed
    return IntegerAct(int(rng.integers(2, 4)), signed=is_signed, scale=1.0)


class Residual(nn.Module):
    """The sum of a branch, or two, and the input or a layer of it.

    A shuffled input cannot be added: its channels lie in another order than those of a layer.
    """

    def __init__(self, rng: np.random.Generator, inputs: int, *, is_shuffled: bool) -> None:
        super().__init__()
        is_short = not is_shuffled and rng.random() < 1 / 2
        outputs = inputs if is_short else int(rng.integers(1, 5))
        first = Layer(rng, inputs, outputs, activation(rng))
        more = [Layer(rng, outputs, outputs, activation(rng))] if rng.random() < 1 / 2 else []
        self.branch = nn.Sequential(first, *more)
        self.short = nn.Identity() if is_short else Layer(rng, inputs, outputs, activation(rng))
        self.sum = ResidualSum()
        self.act = (
            activation(rng) if rng.random() < 3 / 4 else IntegerAct(6, signed=True, scale=1.0)
        )
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.sum(self.branch(x), self.short(x)))


class Dense(nn.Module):
    """The input joined with what a layer makes of it."""

    def __init__(self, rng: np.random.Generator, inputs: int) -> None:
        super().__init__()
        grown = int(rng.integers(1, 4))
        self.layer = Layer(rng, inputs, grown, activation(rng))
        self.outputs = inputs + grown

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([plain(x), plain(self.layer(x))], dim=1)


class Shuffled(nn.Module):
    """Half of the channels through a layer, joined and shuffled."""

    def __init__(self, rng: np.random.Generator, inputs: int) -> None:
        super().__init__()
        half = inputs // 2
        self.layer = Layer(rng, half, half, activation(rng))
        self.outputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        left, right = plain(x).chunk(2, dim=1)
        joined = torch.cat([left, plain(self.layer(right))], dim=1)
        images, channels, height, width = joined.shape
        pairs = joined.view(images, 2, channels // 2, height, width).transpose(1, 2)
        return pairs.reshape(images, channels, height, width)


def random_branches(seed: int) -> RandomNetwork:
    """Return a network of two to four blocks and a fully connected layer."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    dtype = str(rng.choice(["UINT4", "INT5", "UINT1"]))
    channels, size = int(rng.integers(1, 4)), int(rng.integers(3, 6))
    shape = (channels, size, size)
    width = int(rng.choice([2, 4]))
    layers: list[nn.Module] = [Layer(rng, channels, width, activation(rng))]
    channels, is_shuffled = width, False
    for _ in range(rng.integers(2, 5)):
        kind = rng.choice([Residual, Residual, Dense, Shuffled])
        if kind is Residual or (kind is Shuffled and channels % 2):
            layers.append(Residual(rng, channels, is_shuffled=is_shuffled))
        else:
            layers.append(kind(rng, channels))
        is_shuffled = kind is Shuffled or (kind is Dense and is_shuffled)
        channels = layers[-1].outputs
    if rng.random() < 1 / 3:
        layers += [nn.AdaptiveAvgPool2d(1), IntegerAct(4, signed=True, scale=0.25)]
        size = 1
    layers += [nn.Flatten(), BinaryLinear(channels * size * size, int(rng.integers(2, 6)))]
    network = RandomNetwork(layers, dtype, shape)
    randomize(network, torch.Generator().manual_seed(seed))
    return network.eval()
