"""The end of an island: a quantizer becomes thresholds, and a max pool finds its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..dtypes import BIPOLAR
from ..stages import Add, Layer, Threshold, Thresholds
from .islands import Island, Undeclared
from .nodes import Node
from .quantizers import Quantizer
from .report import LayerNote
from .rows import in_rows, with_thresholds
from .staircases import find_staircase
from .streams import can_pool_before, claim, pool_map, settle
from .walk import Value, Walk, origin_of


def quantize(walk: Walk, node: Node, quantizer: Quantizer) -> Value:
    """Return the integer point behind a quantizer.

    1. A graph input that nothing declares: the quantizer stays in software and the input stream
       carries its integers.
    2. A stream that is on the grid already: no stage, and the tensor is an alias of its origin.
    3. Accumulators of a layer: its thresholds.
    4. Sums that the quantizer only clamps: bounds of the sum.
    5. Any other stream: a threshold stage.

    A max pool before it moves behind it where everything in between rises: it then works on few
    bits, and the thresholds are those of the layer. Otherwise it works on the integers before.
    """
    value = walk.value(node, 0)
    tensor = node.outputs[0]
    if isinstance(value, Undeclared):
        walk.notes.append(
            f"input '{value.tensor}' is quantized in software by {node.label}: feed the integers "
            f"of '{tensor}' ({quantizer.dtype.name})"
        )
        return walk.add_input(tensor, quantizer.dtype, value.shape, quantizer.scale)
    island = claim(walk, walk.island(node))
    pooling = island.pooling
    if pooling is None:
        return _apply(walk, node, island, quantizer, tensor)
    behind = (*island.functions[pooling.after :], *quantizer.before)
    is_rising = all(f.direction is not None and (f.direction >= 0).all() for f in behind)
    if not (is_rising and (quantizer.scale > 0).all()):
        if island.zero_padded is None and not can_pool_before(island):
            raise node.refuse(
                f"the functions before and behind {pooling.node} both fall in some channels",
                "put the max pool behind the quantizer",
            )
        return _apply(walk, node, settle(walk, island), quantizer, tensor)
    whole = replace(island, layout=pooling.before, pooling=None)
    layer = walk.stages.get(island.matvec)
    point = _apply(walk, node, whole, quantizer, "")
    pooled = pool_map(walk, point, pooling)
    if layer is not None and not pooling.after:
        # The tensor of the pool are the greatest of the layer's accumulators, which are no stream.
        origin = origin_of(
            pooling.tensor,
            pooled.layout,
            island.scale,
            multiplier=island.multiplier,
            offset=island.offset,
        )
        if origin is not None:
            after = walk.stages[island.matvec]
            walk.accumulators[next(reversed(walk.stages))] = in_rows(origin, layer, after)
    walk.add_origin(pooled.stream, tensor, island.layout, pooled.scale)
    return replace(pooled, layout=island.layout)


def _apply(walk: Walk, node: Node, island: Island, quantizer: Quantizer, tensor: str) -> Island:
    """Return the integer point that carries ``tensor``; "" for one that the file does not have."""
    island = island.then(*quantizer.before)
    if not island.matvec and _is_identity(island, quantizer):
        point = replace(island, scale=quantizer.scale, multiplier=1, offset=0, functions=())
        walk.add_alias(point, tensor)
        return point
    staircase = find_staircase(island, quantizer)
    if island.matvec:
        name, stream = island.matvec, island.stream
        layer = walk.stages[name]
        assert isinstance(layer, Layer)
        after = with_thresholds(layer, island.zero_padded, staircase.thresholds)
        walk.stages[name] = after
        walk.note(name, kernel=after.kernel)
        if stream in walk.origins:
            origin = in_rows(walk.origins.pop(stream), layer, after)
            walk.accumulators[name] = origin
    elif (clamped := _clamped(walk, island, staircase.thresholds)) is not None:
        name, stream = clamped.name, island.stream
        walk.stages[name] = clamped
        if stream in walk.origins:
            walk.accumulators[name] = walk.origins.pop(stream)
        quantizer = replace(quantizer, dtype=clamped.output_types[0].dtype)
    else:
        name, stream = walk.new_stage("act")
        walk.stages[name] = Threshold(
            name=name,
            inputs=(island.stream,),
            outputs=(stream,),
            thresholds=staircase.thresholds,
            input_dtype=island.dtype,
            leading=island.layout.image[:-1],
        )
        walk.layers[name] = LayerNote(
            stage=name,
            node=node.label,
            accumulators=(island.low, island.high),
            accumulator_dtype=island.dtype.name,
            result_dtype=quantizer.dtype.name,
        )
    if tensor:
        walk.add_origin(stream, tensor, island.layout, quantizer.scale)
    walk.note(
        name,
        result_dtype=quantizer.dtype.name,
        quantizer=node.label,
        method=staircase.method,
        margin=float(staircase.margins.min()),
        channels_at_risk=tuple(int(c) for c in np.flatnonzero(staircase.margins < 1)),
        channels_differing=tuple(int(c) for c in np.flatnonzero(staircase.is_differing)),
    )
    low, high = staircase.thresholds.results
    return Island(
        stream=stream,
        dtype=quantizer.dtype,
        low=low,
        high=high,
        layout=island.layout,
        scale=quantizer.scale,
    )


def _clamped(walk: Walk, island: Island, thresholds: Thresholds) -> Add | None:
    """Return the sum that yields the stream, clamped, if the thresholds do no more than that.

    Steps at consecutive integers make ``base + #(x >= base + j)``, which is x between two bounds.
    """
    stage = walk.stages.get(walk.producer_name(island.stream))
    steps = thresholds.base + 1 + np.arange(thresholds.steps)
    is_clamp = thresholds.is_rising.all() and (thresholds.levels == steps).all()
    if not isinstance(stage, Add) or stage.bounds is not None or not is_clamp:
        return None
    if thresholds.dtype == BIPOLAR:
        return None
    return stage.with_(bounds=(thresholds.base, thresholds.base + thresholds.steps))


def _is_identity(island: Island, quantizer: Quantizer) -> bool:
    """Return whether every integer of the stream, in every channel, is the quantizer's result."""
    if island.high - island.low > quantizer.steps + 1:
        return False
    members = island.members[:, None]
    values = np.broadcast_to(island.evaluate(members), (len(members), island.channels))
    results = quantizer.result(quantizer.count(values, slice(None)))
    return bool((results == members).all())
