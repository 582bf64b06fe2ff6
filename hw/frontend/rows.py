"""What the weights of one output have in common goes into its thresholds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..dtypes import BIPOLAR, IntArray
from ..graph import Origin, Stage
from ..stages import Layer, MatVec, Thresholds, zero_padded
from ..stages.kernels import KERNELS, Computes
from ..stages.line_buffer import LineBuffer


def with_thresholds(layer: Layer, padding: LineBuffer | None, thresholds: Thresholds) -> Layer:
    """Return a layer with thresholds on its accumulators, as small as both can be.

    The products of an output whose weights are all multiples of g sum up to a multiple, and
    ``g A >= t`` is ``A >= ceil(t / g)``. Bits times weights -1 and +1 only are then counted.

    Args:
        layer: Without thresholds.
        padding: Geometry of the window whose padded bits the file fills with 0; else None.
        thresholds: On the accumulators, or on the dot products of the file where it pads bits.
    """
    if KERNELS[layer.kernel].computes is Computes.DOT:
        factors = _factors(layer.weights)
        thresholds = replace(thresholds, levels=-(-thresholds.levels // factors[:, None]))
        layer = layer.with_(weights=layer.weights // factors[:, None])
        if layer.input_dtype == BIPOLAR and (np.abs(layer.weights) == 1).all():
            layer = layer.with_(kernel="xnor")
            if padding is None:
                levels = -((-thresholds.levels - layer.synapses) // 2)
                thresholds = replace(thresholds, levels=levels)
    if padding is None:
        return layer.with_(thresholds=thresholds)
    assert isinstance(layer, MatVec)
    shifted, border = zero_padded(thresholds, layer.weights, padding, kernel=layer.kernel)
    return layer.with_(thresholds=shifted, border=border)


def in_rows(origin: Origin, before: Stage, after: Stage) -> Origin:
    """Return the origin of accumulators of ``before`` for those of ``after``, its smaller form."""
    assert isinstance(before, Layer)
    assert isinstance(after, Layer)
    if KERNELS[before.kernel].computes is not Computes.DOT:
        return origin
    factors = _factors(before.weights) * np.array(origin.multiplier, np.int64)
    offsets = np.zeros_like(factors) + np.array(origin.offset, np.int64)
    if after.kernel == "xnor" and not _is_bordered(after):
        factors, offsets = 2 * factors, offsets - after.synapses * factors
    return replace(origin, multiplier=_one_or_all(factors), offset=_one_or_all(offsets))


def _is_bordered(layer: Layer) -> bool:
    """Return whether the origin tells of dot products, which the accumulators are not."""
    return isinstance(layer, MatVec) and layer.border is not None


def _factors(weights: IntArray) -> IntArray:
    """Return the greatest common divisor of each row, 1 for a row of zeros."""
    divisors: IntArray = np.gcd.reduce(np.abs(weights), axis=1)
    return np.maximum(1, divisors)


def _one_or_all(values: IntArray) -> int | tuple[int, ...]:
    return int(values[0]) if (values == values[0]).all() else tuple(map(int, values))
