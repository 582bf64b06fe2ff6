"""How a stage gets the stream of an island: by itself, pooled, forked, pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import GraphError
from ..stages import Fork, Pool
from .islands import Island, MaxPooling
from .layout import Layout
from .maps import Pair, Sides
from .nodes import Node
from .report import LayerNote
from .walk import OpenFork, Walk, origin_of, refuse_file


def claim(walk: Walk, island: Island) -> Island:
    """Return the island with a stream that no other branch takes.

    The first branch that needs a stream forks it, if there are others by then. A layer then keeps
    its accumulators, for thresholds of their own in each branch; a max pool comes before the fork.

    Raises:
        UnsupportedOpError: The stream cannot be forked.
    """
    if island.branch is None:
        return island
    tensor, number = island.branch
    fork = walk.forks[tensor]
    alone = replace(island, branch=None)
    if not fork.stage and fork.alive == [number]:
        return alone
    if not fork.stage:
        check_accumulators(
            island, f"{fork.label} feeds {len(fork.alive)} consumers, and its output"
        )
        _fork(walk, fork, settle(walk, alone))
    stream = f"{fork.stage}_out{number}"
    return replace(alone, stream=stream, dtype=fork.dtype, matvec="", pooling=None)


def _fork(walk: Walk, fork: OpenFork, source: Island) -> None:
    """Add the stage of a fork, with an output for each branch that is left."""
    name, _ = walk.new_stage("fork")
    fork.stage, fork.dtype = name, source.dtype
    stage = Fork(
        name=name,
        inputs=(source.stream,),
        outputs=tuple(f"{name}_out{number}" for number in fork.alive),
        type=walk.type_of(source.stream),
    )
    walk.stages[name] = stage
    walk.layers[name] = LayerNote(
        stage=name,
        node=fork.label,
        accumulators=(source.low, source.high),
        accumulator_dtype=source.dtype.name,
        result_dtype=source.dtype.name,
    )
    if source.stream in walk.origins:
        walk.origins.update(dict.fromkeys(stage.outputs, walk.origins[source.stream]))


def can_pool_before(island: Island) -> bool:
    """Return whether the max pool of an island may work on its integers: all before it rises."""
    assert island.pooling is not None
    before = replace(island, functions=island.functions[: island.pooling.after])
    direction = before.direction
    return direction is not None and bool((direction >= 0).all())


def settle(walk: Walk, island: Island) -> Island:
    """Return the island with a stream of its own, which a stage may take.

    A max pool that is still to come becomes a stage on the integers.

    Raises:
        UnsupportedOpError: A function before the pool does not rise, or the stream must fork and
            cannot.
    """
    island = claim(walk, island)
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
        add_origin_of(walk, pooled, pooling.tensor)
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
    stage = pool_stage(
        walk, island, pooling.node, "max", pooling.kernel, pooling.stride, pooling.padding
    )
    return replace(island, stream=stage.outputs[0], layout=pooled_layout(island, stage), matvec="")


def pooled_layout(island: Island, stage: Pool) -> Layout:
    """Return the layout of a map that ``stage`` pooled."""
    image = stage.output_types[0].shape
    return Layout.planes(island.shape[0], image, island.layout.channel_order)


def add_origin_of(walk: Walk, island: Island, tensor: str) -> None:
    """Say that the stream of an integer point is ``tensor``."""
    walk.add_origin(
        island.stream,
        tensor,
        island.layout,
        island.scale,
        multiplier=island.multiplier,
        offset=island.offset,
    )


def pool_stage(
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


def as_map(walk: Walk, node: Node, island: Island) -> Island:
    """Return the island with a stream that carries its map pixel by pixel.

    A graph input that another layout was assumed for is laid out anew.

    Raises:
        UnsupportedOpError: It is no map, or nodes before have moved elements so that no pixels are
            left.
    """
    if len(island.shape) != 4:
        raise node.refuse(
            f"its data has shape {island.shape}", "use maps (N, channels, height, width)"
        )
    if island.layout.is_map:
        return island
    island = claim(walk, island)
    refusal = node.refuse(
        f"the elements of its data {island.shape} were moved and are no pixels of a stream",
        "flatten or transpose behind the convolutions only",
    )
    parameters = [island.scale, *(p for f in island.functions for p in f.parameters)]
    is_uniform = all(p.size == 1 for p in parameters)
    if island.stream not in walk.inputs or not is_uniform:
        raise refusal
    batch, channels, *pixels = island.shape
    old, new = island.layout, Layout.planes(batch, (*pixels, channels))
    moved = np.empty_like(old.positions.reshape(-1))
    moved[old.positions.reshape(-1)] = new.positions.reshape(-1)
    origin = walk.origins[island.stream]
    flat = Layout.vector((1, old.positions.size))
    planes = flat.positions.reshape(-1, origin.planes).T.reshape(-1)
    placed = origin_of(origin.tensor, replace(new, positions=moved[planes]), np.array(origin.scale))
    if placed is None:
        raise refusal
    walk.origins[island.stream] = placed
    walk.inputs[island.stream] = replace(walk.inputs[island.stream], shape=new.image)
    return replace(island, layout=new)
