"""The adder graph of a layer that uses all its weights in every cycle."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...dtypes import DataType, IntArray
from .adder_graph import AdderGraph
from .additions import additions
from .registers import OPERATIONS_AT_ONCE, pipelined

# Pairs of digits of the same neuron, over all neurons: more take many seconds to search.
MOST_PAIRS = 400_000
# Bits of the parameter GRAPH: Verilator takes no wider numbers.
MOST_BITS = 1 << 17
MOST_NODE_BITS = 63


def unrolled_graph(dtype: DataType, weights: IntArray) -> AdderGraph | None:
    """Return the graph of a matrix of inputs of ``dtype``, or None where it would be too large.

    Args:
        dtype: Of the inputs.
        weights: Integers, shape ``(neurons, synapses)``.
    """
    if _pairs(weights) > MOST_PAIRS:
        return None
    return _cached(dtype, weights.shape, weights.astype(np.int64).tobytes(), OPERATIONS_AT_ONCE)


@lru_cache(maxsize=64)
def _cached(
    dtype: DataType, shape: tuple[int, int], content: bytes, at_once: int
) -> AdderGraph | None:
    weights = np.frombuffer(content, np.int64).reshape(shape)
    graph = pipelined(additions(dtype, weights), at_once)
    if graph.word_bits > MOST_BITS or graph.node_bits > MOST_NODE_BITS:
        return None
    return graph


def _pairs(weights: IntArray) -> int:
    """Return the pairs of signed digits of the rows: those of w are where 3 w and w differ."""
    magnitudes = np.abs(weights)
    digits = np.bitwise_count(3 * magnitudes ^ magnitudes).astype(np.int64).sum(axis=1)
    return int((digits * digits).sum()) // 2
