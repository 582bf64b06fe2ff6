"""Handlers of Split, Slice and Gather: some channels of a stream."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..dtypes import IntArray
from ..stages import Split
from .islands import Island
from .nodes import Node
from .report import LayerNote
from .streams import check_accumulators, settle
from .walk import Handlers, Value, Walk


def _selection(walk: Walk, node: Node) -> tuple[Value, ...]:
    """Any node whose outputs hold some channels each, in any order."""
    island = walk.island(node)
    check_accumulators(island, node.label)
    island = settle(walk, island)
    elements = island.layout.positions.size
    order = np.arange(island.shape[0] * elements, dtype=np.int64).reshape(island.shape)
    others = [walk.constant(node, i, "selection").values for i in range(1, len(node.inputs))]
    taken = [array.astype(np.int64) for array in node.run_all(order, *others)]
    kept = [index for index, tensor in enumerate(node.outputs) if tensor in walk.uses]
    parts = [_channels(node, island, taken[index]) for index in kept]
    members = np.array([part for part, _ in parts])
    if len(parts) == 1 and members.all():
        streams = [island.stream]
    else:
        streams = _split(walk, node, island, members)
    values: list[Value] = [island] * len(node.outputs)
    for index, stream, (member, positions) in zip(kept, streams, parts, strict=True):
        values[index] = _part(walk, node.outputs[index], island, stream, member, positions)
    return tuple(values)


def _channels(node: Node, island: Island, taken: IntArray) -> tuple[NDArray[np.bool_], IntArray]:
    """Return which channels of the stream an output takes, and where each of its elements lies.

    Args:
        node: For messages.
        island: The data.
        taken: Of each element of the output, its index in the data, batch included.

    Raises:
        UnsupportedOpError: They are not the same channels of every pixel.
    """
    layout = island.layout
    elements = layout.positions.size
    batch = island.shape[0]
    is_batch = taken.ndim > 0 and taken.shape[0] == batch
    images = taken.reshape(batch, -1) if is_batch else taken.reshape(1, -1)
    first = images[0]
    pixels, channels = np.divmod(layout.positions.reshape(-1)[first % elements], layout.channels)
    member = np.zeros(layout.channels, np.bool_)
    member[channels] = True
    rank = np.cumsum(member) - 1
    positions = pixels * member.sum() + rank[channels]
    is_whole = (
        is_batch
        and (images == first + elements * np.arange(batch)[:, None]).all()
        and np.array_equal(np.sort(positions), np.arange(layout.pixels * member.sum()))
    )
    if not is_whole:
        raise node.refuse(
            f"it takes {taken.shape} of {island.shape}, which are not the same channels of every "
            "pixel, each once",
            "select channels; for pixels use a Conv or a MaxPool of 1 x 1 with a stride",
        )
    return member, positions.reshape(taken.shape[1:])


def _split(walk: Walk, node: Node, island: Island, members: NDArray[np.bool_]) -> list[str]:
    """Return the streams of a new split."""
    name, _ = walk.new_stage("split")
    kind = walk.type_of(island.stream)
    stage = Split(
        name=name,
        inputs=(island.stream,),
        outputs=tuple(f"{name}_out{i}" for i in range(len(members))),
        type=replace(kind, shape=island.layout.image, lanes=1),
        members=members,
    )
    walk.stages[name] = stage
    walk.layers[name] = LayerNote(
        stage=name,
        node=node.label,
        accumulators=(island.low, island.high),
        accumulator_dtype=island.dtype.name,
        result_dtype=island.dtype.name,
    )
    return list(stage.outputs)


def _part(
    walk: Walk,
    tensor: str,
    island: Island,
    stream: str,
    member: NDArray[np.bool_],
    positions: IntArray,
) -> Island:
    """Return the island of some channels."""

    def chosen(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values if values.size == 1 else values[member]

    layout = replace(
        island.layout,
        shape=(island.shape[0], *positions.shape),
        image=(*island.layout.image[:-1], int(member.sum())),
        positions=positions,
    )
    part = replace(
        island,
        stream=stream,
        layout=layout,
        scale=chosen(island.scale),
        functions=tuple(function.chosen(member) for function in island.functions),
        rounding=chosen(island.rounding),
        matvec=island.matvec if stream == island.stream else "",
    )
    if not part.functions and stream != island.stream:
        walk.add_origin(
            stream,
            tensor,
            layout,
            part.scale,
            multiplier=part.multiplier,
            offset=part.offset,
        )
    return part


HANDLERS: Handlers = MappingProxyType(
    {"Gather": _selection, "Slice": _selection, "Split": _selection}
)
