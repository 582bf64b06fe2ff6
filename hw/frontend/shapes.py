"""Handlers of nodes that only look at a tensor otherwise: shapes, casts."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import onnx

from .islands import Constant, Undeclared
from .nodes import Node
from .walk import Handlers, Value, Walk


def _reshape(walk: Walk, node: Node) -> Value:
    """Any node that only moves elements within an image: later layers follow the new order."""
    value = walk.value(node, 0)
    if isinstance(value, Constant):
        raise node.refuse("its data is constant but its shape is not", "fold it on export")
    others = [walk.constant(node, i, "shape").values for i in range(1, len(node.inputs))]
    elements = np.prod(value.shape[1:], dtype=np.int64)
    order = np.arange(value.shape[0] * elements, dtype=np.int64).reshape(value.shape)
    moved = node.run(order, *others).astype(np.int64)
    if moved.ndim < 1 or moved.shape[0] != value.shape[0] or len(moved) == 0:
        raise node.refuse(
            f"it changes the batch dimension, {value.shape} to {moved.shape}",
            "keep the first dimension",
        )
    images = moved.reshape(len(moved), -1) // elements
    if moved.size != order.size or (images != np.arange(len(moved))[:, None]).any():
        raise node.refuse(
            f"it moves elements from image to image, {value.shape} to {moved.shape}",
            "keep the first dimension in its place",
        )
    if isinstance(value, Undeclared):
        # The stream will carry the tensor behind the quantizer, in whatever order that has.
        return replace(value, shape=moved.shape)
    island = walk.island(node)
    return replace(island, layout=island.layout.moved(moved))


def _shape(walk: Walk, node: Node) -> Value:
    value = walk.value(node, 0)
    if isinstance(value, Constant):
        shape = value.values.shape
    else:
        shape = value.shape if isinstance(value, Undeclared) else walk.island(node).shape
    return Constant(values=node.run(np.zeros(shape, np.float32)))


def _cast(walk: Walk, node: Node) -> Value:
    value = walk.value(node, 0)
    types = onnx.TensorProto
    target = node.attributes.get("to", types.FLOAT)
    if target in (types.FLOAT, types.DOUBLE):
        return value
    if isinstance(value, Undeclared):
        return walk.island(node)
    # An integer point stays what it is in an integer type that is wide enough.
    if target in (types.INT64, types.INT32) and not isinstance(value, Constant):
        integers = not value.functions and (value.scale == 1).all()
        if integers and max(-value.low, value.high) * value.multiplier < 1 << 31:
            return value
    name = types.DataType.Name(target)
    raise node.refuse(f"a cast to {name} changes values", "cast to float32 or leave it out")


HANDLERS: Handlers = MappingProxyType(
    {
        "Cast": _cast,
        "Flatten": _reshape,
        "Reshape": _reshape,
        "Shape": _shape,
        "Squeeze": _reshape,
        "Transpose": _reshape,
        "Unsqueeze": _reshape,
    }
)
