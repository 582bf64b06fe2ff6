"""Handler of Concat: the channels of several streams become those of one."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from ..stages import Concat
from .functions import F64, add
from .islands import Island
from .layout import Layout
from .nodes import Node
from .report import LayerNote
from .streams import check_accumulators, settle
from .walk import Handlers, Value, Walk


def _concat(walk: Walk, node: Node) -> Value:
    """``Concat`` along the channels: every channel keeps its scale and its term."""
    islands = [walk.island(node, index) for index in range(len(node.inputs))]
    if len(islands) == 1:
        return islands[0]
    for island in islands:
        check_accumulators(island, node.label)
    islands = [settle(walk, island) for island in islands]
    layout = _layout(node, islands)
    factors, terms = _affine_parts(node, islands)
    name, stream = walk.new_stage("concat")
    stage = Concat(
        name=name,
        inputs=tuple(island.stream for island in islands),
        outputs=(stream,),
        input_dtypes=tuple(island.dtype for island in islands),
        channels=tuple(island.channels for island in islands),
        leading=layout.image[:-1],
    )
    walk.stages[name] = stage
    low, high = min(i.low for i in islands), max(i.high for i in islands)
    walk.layers[name] = LayerNote(
        stage=name,
        node=node.label,
        accumulators=(low, high),
        accumulator_dtype=stage.dtype.name,
        result_dtype=stage.dtype.name,
    )
    first = islands[0]
    is_alike = all(
        not i.functions and (i.multiplier, i.offset) == (first.multiplier, first.offset)
        for i in islands
    )
    multiplier, offset = (first.multiplier, first.offset) if is_alike else (1, 0)
    joined = Island(
        stream=stream,
        dtype=stage.dtype,
        low=low,
        high=high,
        layout=layout,
        scale=_short(factors / multiplier),
        multiplier=multiplier,
        offset=offset,
        rounding=_short(_rounding(islands, multiplier)),
    )
    if not is_alike and terms.any():
        return joined.then(add(node.label, _short(terms)))
    walk.add_origin(
        stream, node.outputs[0], layout, joined.scale, multiplier=multiplier, offset=offset
    )
    return joined


def _layout(node: Node, islands: Sequence[Island]) -> Layout:
    """Return the layout of the joined tensor.

    Raises:
        UnsupportedOpError: The axis is not that of the channels, or pixels differ.
    """
    first = islands[0]
    axis = int(node.number("axis", 1))
    orders = [island.layout.channel_order for island in islands]
    known = [order for order in orders if order is not None]
    is_channels = axis % len(first.shape) == 1
    if not is_channels or len(known) < len(orders):
        raise node.refuse(
            f"it joins axis {axis} of {first.shape}, which are not the channels of a stream",
            "join the channels, axis 1 of (N, channels, ...)",
        )
    for island in islands[1:]:
        is_alike = island.layout.image[:-1] == first.layout.image[:-1]
        if island.shape[2:] != first.shape[2:] or not is_alike:
            raise node.refuse(
                f"it joins {first.shape} and {island.shape}",
                "give all the same height and width, in the same order",
            )
    starts = np.cumsum([0, *(island.channels for island in islands[:-1])])
    order = np.concatenate([o + start for o, start in zip(known, starts, strict=True)])
    image = (*first.layout.image[:-1], len(order))
    if len(first.shape) == 2 and first.layout.pixels > 1:
        raise node.refuse(
            f"it joins flattened maps of {first.layout.pixels} pixels",
            "join the maps and flatten behind it",
        )
    layout = Layout.planes(first.shape[0], image, order)
    return Layout(
        shape=(first.shape[0], len(order), *first.shape[2:]),
        image=image,
        positions=layout.positions.reshape(len(order), *first.shape[2:]),
    )


def _affine_parts(node: Node, islands: Sequence[Island]) -> tuple[F64, F64]:
    """Return factor and term of every channel.

    Raises:
        UnsupportedOpError: An operand is no scaled integer.
    """
    parts = [island.affine() for island in islands]
    for index, (island, part) in enumerate(zip(islands, parts, strict=True)):
        if part is None:
            bend = next(f.label for f in reversed(island.functions) if f.kind.value == "other")
            raise node.refuse(
                f"its operand '{node.inputs[index]}' is no scaled integer behind {bend}",
                "put a quantizer before the Concat",
            )
    known = [part for part in parts if part is not None]
    factors = np.concatenate([factor for factor, _ in known])
    return factors, np.concatenate([term for _, term in known])


def _rounding(islands: Sequence[Island], multiplier: int) -> F64:
    """Return the bounds of the operands, in the units of the joined integers."""
    return np.concatenate(
        [np.broadcast_to(i.rounding * (multiplier / i.multiplier), i.channels) for i in islands]
    )


def _short(values: F64) -> F64:
    """Return one value where all are equal."""
    return values[:1].copy() if (values == values[0]).all() else values


HANDLERS: Handlers = MappingProxyType({"Concat": _concat})
