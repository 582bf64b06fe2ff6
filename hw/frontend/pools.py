"""Handlers of pools: the greatest of some integers, or their sum."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from .functions import divide
from .islands import Island, MaxPooling
from .layout import Layout
from .maps import Geometry, check_room, geometry
from .nodes import Node
from .streams import add_origin_of, as_map, check_accumulators, pool_stage, pooled_layout, settle
from .walk import Handlers, Value, Walk


def _max_pool(walk: Walk, node: Node) -> Value:
    """The pool waits for the quantizer, before or behind which it may be cheaper."""
    if len(node.outputs) > 1:
        raise node.refuse("it also yields indices", "use the maximum only")
    island = as_map(walk, node, settle(walk, walk.island(node)))
    return _max(walk, island, node, _pool_geometry(node, island))


def _global_max_pool(walk: Walk, node: Node) -> Value:
    island = as_map(walk, node, settle(walk, walk.island(node)))
    return _max(walk, island, node, geometry(node, island, island.shape[2:]))


def _max(walk: Walk, island: Island, node: Node, moves: Geometry) -> Island:
    if moves.kernel == (1, 1) and moves.stride == (1, 1):
        return _unpooled(walk, node, island)
    pooling = MaxPooling(
        node=node.label,
        tensor=node.outputs[0],
        kernel=moves.kernel,
        stride=moves.stride,
        padding=moves.padding,
        before=island.layout,
        after=len(island.functions),
    )
    image = (*moves.out_shape, island.channels)
    layout = Layout.planes(island.shape[0], image, island.layout.channel_order)
    return replace(island, layout=layout, pooling=pooling)


def _average_pool(walk: Walk, node: Node) -> Value:
    """The sum of integers; the divisor is a function on it."""
    island = as_map(walk, node, settle(walk, walk.island(node)))
    moves = _pool_geometry(node, island)
    if any(moves.padding) and not node.attributes.get("count_include_pad", 0):
        raise node.refuse(
            "its divisor changes at the border, where padding is not counted",
            "use count_include_pad = 1, or no padding",
        )
    return _average(walk, node, island, moves)


def _global_average_pool(walk: Walk, node: Node) -> Value:
    island = as_map(walk, node, settle(walk, walk.island(node)))
    return _average(walk, node, island, geometry(node, island, island.shape[2:]))


def _reduce_mean(walk: Walk, node: Node) -> Value:
    """The mean over height and width."""
    island = walk.island(node)
    if len(node.inputs) > 1:
        axes = [int(axis) for axis in walk.floats(node, 1, "axes").reshape(-1)]
    else:
        axes = [int(axis) for axis in node.attributes.get("axes", ())]
    if len(island.shape) != 4 or sorted(axis % 4 for axis in axes) != [2, 3]:
        raise node.refuse(
            f"it runs over axes {axes} of {island.shape}", "use a mean over height and width"
        )
    island = as_map(walk, node, settle(walk, island))
    mean = _average(walk, node, island, geometry(node, island, island.shape[2:]))
    if node.attributes.get("keepdims", 1):
        return mean
    return replace(mean, layout=replace(mean.layout, shape=mean.shape[:2], positions=_flat(mean)))


def _flat(island: Island) -> np.ndarray:
    return island.layout.positions.reshape(-1)


def _average(walk: Walk, node: Node, island: Island, moves: Geometry) -> Island:
    """Return sums over the kernel, divided by its area behind them.

    With ``x = scale * (multiplier * n + offset)`` and affine functions ``f``, the mean of ``f(x)``
    over ``A`` taps is ``f(scale * (multiplier * sum(n) + A * offset) / A)``.
    """
    check_accumulators(island, node.label)
    area = moves.kernel[0] * moves.kernel[1]
    if area == 1 and moves.stride == (1, 1):
        return _unpooled(walk, node, island)
    affine = island.affine()
    if affine is None:
        bend = next(f.label for f in reversed(island.functions) if f.kind.value == "other")
        raise node.refuse(
            f"it averages floats behind {bend}", "put a quantizer between the two, or before both"
        )
    if any(moves.padding) and affine[1].any():
        raise node.refuse(
            "its padding of 0 is no integer of its data, which has a term",
            "use no padding, or a quantizer before it",
        )
    stage = pool_stage(walk, island, node.label, "sum", moves.kernel, moves.stride, moves.padding)
    ends = [area * island.low, area * island.high]
    if any(moves.padding):
        ends.append(0)
    total = replace(
        island,
        stream=stage.outputs[0],
        dtype=stage.output_types[0].dtype,
        low=min(ends),
        high=max(ends),
        layout=pooled_layout(island, stage),
        offset=area * island.offset,
        rounding=area * island.rounding,
        matvec="",
    )
    if not island.functions:
        add_origin_of(walk, replace(total, scale=total.scale / area), node.outputs[0])
    return replace(
        total, functions=(divide(node.label, np.array([float(area)])), *island.functions)
    )


def _unpooled(walk: Walk, node: Node, island: Island) -> Island:
    """Return the island behind a pool over single pixels."""
    if not island.functions:
        walk.add_alias(island, node.outputs[0])
    return island


def _pool_geometry(node: Node, island: Island) -> Geometry:
    """Return how the kernel of a MaxPool or AveragePool moves.

    Raises:
        UnsupportedOpError: It is dilated, or its last place lies partly outside the map.
    """
    kernel = node.attributes.get("kernel_shape", ())
    if len(kernel) != 2:
        raise node.refuse(f"its kernel_shape is {list(kernel)}", "use a pool of two dimensions")
    moves = geometry(node, island, kernel)
    check_room(node, moves)
    if moves.dilation != (1, 1):
        raise node.refuse("it is dilated", "use dilations = 1")
    if node.attributes.get("ceil_mode", 0) and moves.is_partial:
        raise node.refuse(
            "its last window lies partly outside the map (ceil_mode = 1)",
            "use ceil_mode = 0, or an image size that the stride divides",
        )
    return moves


HANDLERS: Handlers = MappingProxyType(
    {
        "AveragePool": _average_pool,
        "GlobalAveragePool": _global_average_pool,
        "GlobalMaxPool": _global_max_pool,
        "MaxPool": _max_pool,
        "ReduceMean": _reduce_mean,
    }
)
