"""Handlers of Conv and L1Conv: a window over the map, and a layer with constant weights."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..dtypes import BIPOLAR, smallest_for
from ..errors import GraphError
from ..stages import Depthwise, Layer, MatVec, Window
from .groups import arrange
from .islands import Constant, Island
from .layers import add_layer
from .layout import Layout
from .maps import Geometry, check_room, geometry
from .nodes import Node
from .operations import Operate, Operation, distances, products
from .paddings import padded
from .points import integer_point
from .report import LayerNote
from .streams import as_map
from .walk import Handlers, Value, Walk


def _conv(walk: Walk, node: Node) -> Value:
    """``Conv`` in two dimensions: of all channels, of groups, or of each by itself (depthwise)."""
    return _windowed(walk, node, products)


def _l1_conv(walk: Walk, node: Node) -> Value:
    """``-sum |P - W|`` over windows, those of the border with its zeros; see docs/ops.md."""
    return _windowed(walk, node, distances)


def _windowed(walk: Walk, node: Node, operate: Operate) -> Value:
    """Return a layer over the windows of a map."""
    weights = walk.value(node, 1)
    if not isinstance(weights, Constant):
        raise node.refuse("its weights are not constant", "use constant quantized weights")
    if weights.values.ndim != 4:
        raise node.refuse(
            f"its weights have shape {weights.values.shape}",
            "use a convolution of two dimensions: weights (outputs, inputs, rows, columns)",
        )
    outputs, inputs, *kernel = weights.values.shape
    island = as_map(walk, node, walk.island(node, takes_padding=True))
    groups = int(node.attributes.get("group", 1))
    channels = island.channels
    if inputs * groups != channels or outputs % groups or not weights.values.size:
        raise node.refuse(
            f"data {island.shape} does not fit weights {weights.values.shape} in {groups} groups",
            "export the model again",
        )
    order = island.layout.channel_order
    assert order is not None
    arranged = arrange(weights, groups, order)
    is_depthwise = arranged.multiplier > 0
    if groups > 1 and not is_depthwise and arranged.groups == 1:
        if operate is distances:
            raise node.refuse(
                "the channels of its groups do not lie together in the stream",
                "use groups of neighbouring channels, or one group",
            )
        walk.notes.append(
            f"{node.label}: the channels of its groups do not lie together in the stream, so it is "
            "computed as a layer of all channels with weights of 0"
        )
    moves = geometry(node, island, kernel)
    point, scale = integer_point(walk, node, island, sums_channels=not is_depthwise)
    moves, pad_value = padded(node, point, scale, moves)
    taps, label = _by_tap(arranged.weights), node.inputs[1]
    operation = operate(node, taps, label, point.dtype, arranged.scale(scale))
    is_zero_padded = point.dtype == BIPOLAR and pad_value == 0 and any(moves.padding)
    if is_zero_padded and operate is distances:
        raise node.refuse(
            "it pads bits with 0, whose distances to weights no bit has",
            "train with padding of +1 or -1 (a Pad node with that constant before it)",
        )
    if is_zero_padded and is_depthwise:
        raise node.refuse(
            "it pads bits with 0 in a depthwise layer, which has no thresholds for borders",
            "train with padding of +1 or -1 (a Pad node with that constant before the Conv)",
        )
    pad_value = -1 if is_zero_padded else pad_value
    stream = _windows(walk, node, point, moves, pad_value, arranged.groups)
    name, output = walk.new_stage("dw" if is_depthwise else "conv")
    fields: dict[str, Any] = {
        "name": name,
        "inputs": (stream,),
        "outputs": (output,),
        "weights": operation.integers,
        "input_dtype": point.dtype,
        "kernel": operation.kernel,
        "leading": moves.out_shape,
    }
    stage: Layer = (
        Depthwise(**fields, multiplier=arranged.multiplier)
        if is_depthwise
        else MatVec(**fields, groups=arranged.groups)
    )
    bias = walk.floats(node, 2, "bias").reshape(-1, 1, 1) if len(node.inputs) > 2 else None
    layout = Layout.planes(point.shape[0], stage.output_types[0].shape, arranged.order)
    island = add_layer(walk, node, stage, layout, operation, bias)
    if not is_zero_padded:
        return island
    window = walk.stages[next(n for n, s in walk.stages.items() if stream in s.outputs)]
    assert isinstance(window, Window)
    return _dot_products(walk, node, island, operation, window)


def _dot_products(
    walk: Walk, node: Node, island: Island, operation: Operation, window: Window
) -> Island:
    """Return the dot products with zero padding that the file computes of bits."""
    greatest = int(np.abs(operation.integers).sum(axis=1).max())
    dtype = smallest_for(-greatest, greatest)
    walk.note(
        island.matvec,
        accumulators=(-greatest, greatest),
        accumulator_dtype=dtype.name,
        result_dtype=dtype.name,
    )
    if island.stream in walk.origins:
        walk.add_origin(
            island.stream,
            node.outputs[0],
            island.layout,
            island.scale,
            multiplier=operation.factor,
        )
    return replace(
        island,
        dtype=dtype,
        low=-greatest,
        high=greatest,
        multiplier=operation.factor,
        offset=0,
        zero_padded=window.lines,
    )


def _by_tap(weights: Constant) -> Constant:
    """Return weights ``(outputs, inputs, rows, columns)`` as ``(outputs, taps)``.

    Taps have the order (row, column, input) of a window.
    """

    def moved(array: np.ndarray) -> np.ndarray:
        return array.transpose(0, 2, 3, 1).reshape(len(array), -1)

    if weights.integers is None or weights.scale is None:
        return Constant(values=moved(weights.values))
    return Constant(
        values=moved(weights.values),
        integers=moved(weights.integers),
        scale=moved(weights.scale),
    )


def _windows(
    walk: Walk, node: Node, point: Island, moves: Geometry, pad_value: int, groups: int
) -> str:
    """Return the stream of windows; the map itself where each window is a pixel or the whole map.

    Raises:
        UnsupportedOpError: The stage does not take this geometry.
    """
    check_room(node, moves)
    is_padded = any(moves.padding)
    is_pixel = moves.kernel == (1, 1) and moves.stride == (1, 1)
    is_whole = moves.kernel == (moves.height, moves.width) and moves.dilation == (1, 1)
    is_whole = is_whole and groups == 1
    if not is_padded and (is_pixel or is_whole):
        return point.stream
    name, stream = walk.new_stage("window")
    try:
        walk.stages[name] = Window(
            name=name,
            inputs=(point.stream,),
            outputs=(stream,),
            input_dtype=point.dtype,
            height=moves.height,
            width=moves.width,
            channels=point.channels,
            kernel=moves.kernel,
            stride=moves.stride,
            dilation=moves.dilation,
            padding=moves.padding,
            pad_value=pad_value,
            groups=groups,
        )
    except GraphError as error:
        reason = f"the window stage does not take it ({error})"
        raise node.refuse(reason, "change the layer") from error
    walk.layers[name] = LayerNote(
        stage=name,
        node=node.label,
        accumulators=(point.low, point.high),
        accumulator_dtype=point.dtype.name,
        result_dtype=point.dtype.name,
    )
    return stream


HANDLERS: Handlers = MappingProxyType({"Conv": _conv, "L1Conv": _l1_conv})
