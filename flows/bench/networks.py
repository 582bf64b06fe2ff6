"""Random networks for benchmarks: sizes as in the zoo, one set of weights for all engines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...hw.dtypes import BIPOLAR, DataType, IntArray, unsigned
from ...models.zoo import NETWORKS, ConvNetConfig

F32 = NDArray[np.float32]
EPSILON = 1e-5

Weight = Literal["binary", "int2"]
Act = Literal["binary", "int2"]
_LEVELS = {"binary": range(-1, 2, 2), "int2": range(-1, 2)}


@dataclass(frozen=True)
class BatchNorm:
    """Inference parameters of a BatchNorm: ``gamma (a - mean) / sqrt(var + EPSILON) + beta``."""

    gamma: F32
    beta: F32
    mean: F32
    var: F32


@dataclass(frozen=True)
class Layer:
    """A fully connected layer or a convolution, and what comes after it.

    Attributes:
        weights: -1, 0, +1, shape ``(neurons, synapses)`` or ``(channels, inputs, rows, columns)``.
        norm: BatchNorm before the activation; None for the last layer, which has neither.
        pool: Side of the windows of a max pool after the activation, 1 for none.
    """

    weights: F32
    norm: BatchNorm | None
    pool: int = 1

    @property
    def is_convolution(self) -> bool:
        """Whether it moves over an image."""
        return self.weights.ndim == 4


@dataclass(frozen=True)
class Network:
    """Layers in a row.

    Attributes:
        name: Short name, an identifier.
        shape: An image: ``(synapses,)`` or ``(channels, height, width)``.
        dtype: Datatype of an input.
        act: Activations: ``binary``, the sign, or ``int2``, -1, 0, +1 by rounding.
        layers: First to last.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DataType
    act: Act
    layers: tuple[Layer, ...]

    def inputs(self, images: int, seed: int) -> IntArray:
        """Return random inputs, shape ``(images, *shape)``."""
        return self.dtype.random((images, *self.shape), np.random.default_rng(seed))


def random_mlp(name: str, sizes: Sequence[int], seed: int = 0) -> Network:
    """Return a binary network of fully connected layers.

    Args:
        name: Its name.
        sizes: Inputs, then the neurons of each layer.
        seed: Of weights and BatchNorms.
    """
    shapes = [(neurons, synapses) for synapses, neurons in pairwise(sizes)]
    layers = _random_layers(shapes, [1] * len(shapes), _LEVELS["binary"], "binary", "binary", seed)
    return Network(name, (sizes[0],), BIPOLAR, "binary", layers)


def random_cnv(
    weight: Weight = "binary",
    act: Act = "binary",
    seed: int = 0,
    config: ConvNetConfig | None = None,
) -> Network:
    """Return a network with the sizes of the zoo's ``cnv``, or of another unpadded network."""
    zoo = NETWORKS["cnv"] if config is None else config
    assert isinstance(zoo, ConvNetConfig)
    assert not zoo.padding
    channels = zoo.image[0]
    shapes: list[tuple[int, ...]] = []
    convolutions = zoo.convolutions()
    for layer in convolutions:
        shapes.append((layer.channels, channels, zoo.kernel, zoo.kernel))
        channels = layer.channels
    last = convolutions[-1]
    flat = last.channels * last.height * last.width
    shapes += [(n, k) for k, n in pairwise((flat, *zoo.hidden, zoo.classes))]
    pools = [layer.window[0] for layer in convolutions] + [1] * (len(zoo.hidden) + 1)
    layers = _random_layers(shapes, pools, range(256), weight, act, seed)
    name = f"{zoo.name}_{weight}_{act}"
    return Network(name, zoo.image, unsigned(8), act, layers)


def _random_layers(
    shapes: Sequence[tuple[int, ...]],
    pools: Sequence[int],
    levels: range,
    weight: Weight,
    act: Act,
    seed: int,
) -> tuple[Layer, ...]:
    """Return layers of these shapes with random weights and BatchNorms of both signs.

    Args:
        shapes: Of the weights.
        pools: After each layer.
        levels: Values of the first inputs.
        weight: Precision of the weights.
        act: Precision of the activations.
        seed: Of all random numbers.
    """
    rng = np.random.default_rng(seed)
    layers = []
    for index, (shape, pool) in enumerate(zip(shapes, pools, strict=True)):
        weights = rng.choice(np.array(_LEVELS[weight], np.float32), shape)
        is_last = index == len(shapes) - 1
        norm = None if is_last else _random_norm(weights.reshape(shape[0], -1), levels, act, rng)
        layers.append(Layer(weights, norm, pool))
        levels = _LEVELS[act]
    return tuple(layers)


def _random_norm(weights: F32, levels: range, act: Act, rng: np.random.Generator) -> BatchNorm:
    """Return a BatchNorm that crosses the levels of the activation between two accumulators.

    Midway between two possible accumulators, so that rounding in float32 cannot turn an activation
    and all engines must agree in every bit.

    Args:
        weights: Shape ``(neurons, synapses)``.
        levels: Values of an input.
        act: Activation; its levels are 0, or -1/2 and 1/2.
        rng: Source of randomness.
    """
    neurons, synapses = weights.shape
    # Inputs two apart make accumulators two apart, as odd as the number of weights that are not 0.
    odd = np.abs(weights).sum(axis=1) % 2
    between = np.full(neurons, 0.5) if levels.step == 1 else 1 + odd
    middle = np.round((levels[0] + levels[-1]) / 4 * weights.sum(axis=1))
    spread = max(1, math.isqrt(synapses) * (levels[-1] - levels[0]) // 8)

    def crossing(low: int, high: int) -> NDArray[np.float64]:
        return np.asarray(2 * (middle + rng.integers(low, high + 1, neurons)) + between)

    signs = rng.choice([-1, 1], neurons)
    var = np.asarray(rng.uniform(1, synapses, neurons), np.float32)
    deviation = np.sqrt(np.asarray(var, np.float64) + EPSILON)
    if act == "binary":
        center = crossing(-spread, spread)
        gamma = rng.uniform(0.5, 2, neurons) * signs
        beta = np.asarray(rng.normal(0, 1, neurons))
    else:
        low, high = crossing(-spread, -1), crossing(0, spread)
        center = (low + high) / 2
        gamma = deviation / (high - low) * signs
        beta = np.zeros(neurons)
    mean = center + beta * deviation / gamma
    values = (gamma, beta, mean, var)
    return BatchNorm(*(np.asarray(value, np.float32) for value in values))
