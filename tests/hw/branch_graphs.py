"""Graphs with branches, piece by piece."""

from __future__ import annotations

import numpy as np

from popshift.hw.dtypes import DataType
from popshift.hw.passes import logical_stages

from .qonnx_builder import GraphBuilder


def random_images(dtype: str, shape, rng: np.random.Generator, count=6) -> np.ndarray:
    """Images of the least, the greatest and random integers."""
    kind = DataType.parse(dtype)
    images = kind.random((count, *shape), rng)
    images[0], images[1] = kind.min, kind.max
    return images


def normed(graph: GraphBuilder, rng, channels: int, spread=3.0) -> GraphBuilder:
    gamma = rng.choice([-1, 1], channels) * rng.uniform(0.3, 2, channels)
    return graph.batch_norm(
        gamma, rng.standard_normal(channels), rng.standard_normal(channels), [spread**2] * channels
    )


def ternary(rng, *shape) -> np.ndarray:
    return rng.choice([-1, 0, 1], shape)


def kinds(dataflow) -> list[str]:
    return [stage.kind for stage in logical_stages(dataflow)]


def branch(graph: GraphBuilder, at: str) -> GraphBuilder:
    graph.at = at
    return graph


def residual_block(graph: GraphBuilder, rng, channels: int, scale: float) -> GraphBuilder:
    """relu(quant(conv(quant(conv(x)))) + x), all three of the sum on one grid."""
    shortcut = graph.at
    normed(graph.conv(ternary(rng, channels, channels, 3, 3), pads=[1] * 4), rng, channels)
    graph.quant(4, 0.25, signed=0)
    normed(graph.conv(ternary(rng, channels, channels, 3, 3), pads=[1] * 4), rng, channels)
    graph.quant(4, scale, narrow=1).then("Add", shortcut)
    return graph.then("Relu").quant(4, scale, signed=0)


def shuffled(graph: GraphBuilder, groups: int, channels: int, size: int) -> GraphBuilder:
    """Exchange groups and channels of a group, as ShuffleNet does."""
    shape = (0, groups, channels // groups, size, size)
    graph.then("Reshape", graph.const(shape, np.int64)).then("Transpose", perm=[0, 2, 1, 3, 4])
    return graph.then("Reshape", graph.const((0, channels, size, size), np.int64))
