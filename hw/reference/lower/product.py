"""A layer as one matrix and whole vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...dtypes import IntArray
from ...stages import Border, Depthwise, Layer, MatVec
from ...stages.kernels import Computes
from ..builder import Builder
from ..ending import Ending
from ..lanes import tile_lanes
from ..layout import View

# Accumulators beyond this are left to Stage.execute: levels minus offsets must fit 64 bits.
_SAFE = 1 << 61


def is_known(layer: Layer) -> bool:
    """Return whether a layer multiplies and 62 bits hold its accumulators."""
    low, high = layer.accumulator_range
    is_product = layer.arithmetic.computes is not Computes.DISTANCE
    return is_product and low > -_SAFE and high < _SAFE


@dataclass(frozen=True, eq=False)
class Product:
    """A layer whose neurons see the whole vector, with weights 0 where they did not see it.

    Attributes:
        layer: The layer.
        weights: Shape ``(neurons, elements)``.
        border: Classes of positions with thresholds of their own, or None.
    """

    layer: Layer
    weights: IntArray
    border: Border | None

    @classmethod
    def of(cls, layer: MatVec | Depthwise) -> Product:
        """Return the product that a layer is."""
        neurons, synapses = layer.weights.shape
        neuron, synapse = np.arange(neurons)[:, None], np.arange(synapses)
        if isinstance(layer, MatVec):
            # A vector is one part after the other.
            parts, border = layer.groups, layer.border
            elements = neuron // (neurons // parts) * synapses + synapse
        else:
            # A vector is the channels of one tap after the other.
            parts, border = layer.channels, None
            elements = synapse * parts + neuron // layer.multiplier
        weights = np.zeros((neurons, parts * synapses), np.int64)
        np.put_along_axis(weights, elements, layer.weights, axis=1)
        return cls(layer, weights, border)

    @property
    def neurons(self) -> int:
        """Rows of the weights."""
        return int(self.weights.shape[0])

    @property
    def elements(self) -> int:
        """Columns of the weights."""
        return int(self.weights.shape[1])

    def ending(
        self,
        target: View,
        builder: Builder,
        *,
        bits: int,
        scale: int = 1,
        bias: IntArray | int = 0,
    ) -> Ending:
        """Return what comes after the sums, see ``Ending``."""
        return Ending(
            self.layer.thresholds,
            target,
            builder,
            bits=bits,
            limits=self.layer.accumulator_range,
            scale=scale,
            bias=bias,
            border=self.border,
        )


def by_tile(values: IntArray) -> IntArray:
    """Return values ``(steps, blocks, lanes of all tiles)`` tile by tile."""
    ends = np.cumsum(tile_lanes(values.shape[2]))[:-1]
    return np.concatenate([tile.reshape(-1) for tile in np.split(values, ends, axis=2)])
