"""Handlers of pools: the greatest of some integers, or their sum."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..errors import GraphError
from ..stages import Pool
from .functions import divide
from .islands import Island, MaxPooling
from .layout import Layout
from .maps import Geometry, Pair, Sides, as_map, check_room, geometry
from .nodes import Node
from .report import LayerNote
from .walk import Handlers, Value, Walk, refuse_file


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


def can_pool_before(island: Island) -> bool:
    """Return whether the max pool of an island may work on its integers: all before it rises."""
    assert island.pooling is not None
    before = replace(island, functions=island.functions[: island.pooling.after])
    direction = before.direction
    return direction is not None and bool((direction >= 0).all())


def settle(walk: Walk, island: Island) -> Island:
    """Return the island with the max pool, where there is one, as a stage on its integers.

    Raises:
        UnsupportedOpError: A function before the pool does not rise.
    """
    pooling = island.pooling
    if pooling is None:
        return island
    check_accumulators(island, pooling.node)
    if not can_pool_before(island):
        raise refuse_file(
            pooling.node,
            "it takes the maximum of a function that falls or turns in some channels",
            "put a quantizer before it, or right behind it",
        )
    pooled = pool_map(walk, replace(island, layout=pooling.before, pooling=None), pooling)
    if not pooling.after:
        _add_origin(walk, pooled, pooling.tensor)
    return replace(pooled, layout=island.layout)


def check_accumulators(island: Island, label: str) -> None:
    """Raise if the stream is not what the file computes but for the thresholds to come.

    Raises:
        UnsupportedOpError: It holds accumulators of bits that the file pads with 0.
    """
    if island.zero_padded is not None:
        raise refuse_file(
            label,
            "it takes sums of bits that were padded with 0, which no bit is, and only a quantizer "
            "right behind the Conv makes up for it",
            "quantize before it, or train with padding of +1 or -1",
        )


def pool_map(walk: Walk, island: Island, pooling: MaxPooling) -> Island:
    """Return the map of greatest integers of the stream of ``island``."""
    stage = _stage(
        walk, island, pooling.node, "max", pooling.kernel, pooling.stride, pooling.padding
    )
    return replace(island, stream=stage.outputs[0], layout=_pooled(island, stage), matvec="")


def _pooled(island: Island, stage: Pool) -> Layout:
    """Return the layout of a map that ``stage`` pooled."""
    image = stage.output_types[0].shape
    return Layout.planes(island.shape[0], image, island.layout.channel_order)


def _add_origin(walk: Walk, island: Island, tensor: str) -> None:
    """Say that the stream of an integer point is ``tensor``."""
    walk.add_origin(
        island.stream,
        tensor,
        island.layout,
        island.scale,
        multiplier=island.multiplier,
        offset=island.offset,
    )


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
    stage = _stage(walk, island, node.label, "sum", moves.kernel, moves.stride, moves.padding)
    ends = [area * island.low, area * island.high]
    if any(moves.padding):
        ends.append(0)
    total = replace(
        island,
        stream=stage.outputs[0],
        dtype=stage.output_types[0].dtype,
        low=min(ends),
        high=max(ends),
        layout=_pooled(island, stage),
        offset=area * island.offset,
        rounding=area * island.rounding,
        matvec="",
    )
    if not island.functions:
        _add_origin(walk, replace(total, scale=total.scale / area), node.outputs[0])
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


def _stage(
    walk: Walk,
    island: Island,
    label: str,
    operation: str,
    kernel: Pair,
    stride: Pair,
    padding: Sides,
) -> Pool:
    """Return a new pool stage on the stream of ``island``.

    Raises:
        UnsupportedOpError: The stage does not take this geometry.
    """
    name, stream = walk.new_stage("pool")
    height, width, channels = island.layout.image
    try:
        stage = Pool(
            name=name,
            inputs=(island.stream,),
            outputs=(stream,),
            input_dtype=island.dtype,
            height=height,
            width=width,
            channels=channels,
            kernel=kernel,
            stride=stride,
            padding=padding,
            operation=operation,
        )
    except GraphError as error:
        reason = f"the pool stage does not take it ({error})"
        raise refuse_file(label, reason, "change the layer") from error
    walk.stages[name] = stage
    walk.layers[name] = LayerNote(
        stage=name,
        node=label,
        accumulators=(island.low, island.high),
        accumulator_dtype=island.dtype.name,
        result_dtype=stage.output_types[0].dtype.name,
    )
    return stage


HANDLERS: Handlers = MappingProxyType(
    {
        "AveragePool": _average_pool,
        "GlobalAveragePool": _global_average_pool,
        "GlobalMaxPool": _global_max_pool,
        "MaxPool": _max_pool,
        "ReduceMean": _reduce_mean,
    }
)
