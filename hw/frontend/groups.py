"""Groups of a Conv: which weights belong to which channels of the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..dtypes import IntArray
from .functions import F64
from .islands import Constant


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrangement:
    """Weights of a Conv in the order of the stream of its data.

    Attributes:
        weights: Shape ``(outputs, inputs of a group, rows, columns)``.
        groups: Groups of the layer, each of consecutive channels; 1 for a depthwise layer.
        multiplier: Outputs of each channel of a depthwise layer; 0 for any other layer.
        order: Channel of the result's stream that each output of the file is, or None for the same.
    """

    weights: Constant
    groups: int = 1
    multiplier: int = 0
    order: IntArray | None = None

    def scale(self, scale: F64) -> F64:
        """Return the scale of the data for each output of the stream; one, or one per channel."""
        return scale if scale.size == 1 else np.repeat(scale, self.multiplier)


def arrange(weights: Constant, groups: int, order: IntArray) -> Arrangement:
    """Return the weights as a layer takes them from a stream whose channels may be shuffled.

    A shuffle within groups, or of whole groups, is one of the weights. Where a group lies across
    the channels of others, the layer becomes a dense one whose other weights are 0.

    Args:
        weights: As in the file, shape ``(outputs, inputs of a group, rows, columns)``.
        groups: Of the Conv.
        order: Channel of the stream that each channel of the data is.
    """
    placed = np.argsort(order)
    outputs, inputs = weights.values.shape[:2]
    size = outputs // groups
    if groups > 1 and inputs == 1:
        rows = (placed[:, None] * size + np.arange(size)).reshape(-1)
        return Arrangement(
            weights=_each(weights, lambda w: w[rows]),
            multiplier=size,
            order=(order[:, None] * size + np.arange(size)).reshape(-1),
        )
    blocks = placed.reshape(groups, inputs)
    owners = blocks[:, 0] // inputs
    if (blocks // inputs != owners[:, None]).any():
        return arrange(_dense(weights, groups), 1, order)
    rows = (owners[:, None] * size + np.arange(size)).reshape(-1)
    columns = np.repeat(blocks - owners[:, None] * inputs, size, axis=0)

    def moved(w: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.take_along_axis(w[rows], columns[:, :, None, None], axis=1)

    return Arrangement(weights=_each(weights, moved), groups=groups, order=np.argsort(rows))


def _dense(weights: Constant, groups: int) -> Constant:
    """Return weights of all channels, 0 where a group has none."""
    outputs, inputs = weights.values.shape[:2]
    size = outputs // groups

    def spread(w: NDArray[np.generic]) -> NDArray[np.generic]:
        whole = np.zeros((outputs, groups * inputs, *w.shape[2:]), w.dtype)
        for group in range(groups):
            rows = slice(group * size, (group + 1) * size)
            whole[rows, group * inputs : (group + 1) * inputs] = w[rows]
        return whole

    dense = _each(weights, spread)
    if weights.scale is None:
        return dense
    # The zeros are integers on the grid of their output as well.
    scale = np.repeat(weights.scale[:, :1], groups * inputs, axis=1)
    return replace(dense, scale=scale)


def _each(
    weights: Constant, change: Callable[[NDArray[np.generic]], NDArray[np.generic]]
) -> Constant:
    """Return values, integers and scales, all changed in one way."""
    if weights.integers is None or weights.scale is None:
        return Constant(values=change(weights.values))
    return Constant(
        values=change(weights.values),
        integers=change(weights.integers).astype(np.int64),
        scale=change(weights.scale).astype(np.float64),
    )
