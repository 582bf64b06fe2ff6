"""Layers of FINN: products with weights, thresholds, the greatest label."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ...dtypes import BIPOLAR, DataType, IntArray
from ...errors import DatatypeError
from ...stages import Argmax, Depthwise, MatVec, Threshold, Thresholds
from ...stages.kernels import KERNELS
from .node import Node, is_xnor
from .reader import FloatArray, Handler, Point, Reader


def _integers(node: Node, values: FloatArray, what: str) -> IntArray:
    integers = values.astype(np.int64)
    if (integers != values).any():
        raise node.refused(f"{what} must be integers, got {values[integers != values].flat[0]}")
    return integers


def _layer(node: Node, point: Point, weights: FloatArray) -> tuple[DataType, str, IntArray]:
    """Return the input datatype, the kernel and the weights ``(neurons, synapses)`` of a layer."""
    integers = _integers(node, weights, "weights")
    if is_xnor(node):
        if set(np.unique(integers)) <= {0, 1}:
            integers = 2 * integers - 1
        return BIPOLAR, "xnor", integers
    dtype = point.kind.dtype
    try:
        KERNELS["signed"].code(integers)
    except DatatypeError as error:
        raise node.refused(str(error)) from error
    return dtype, "signed", integers


def _staircase(reader: Reader, node: Node, index: int, channels: int) -> Thresholds:
    """Return the thresholds of a node: ``ActVal`` and one for each level reached."""
    levels = np.ceil(reader.constant(node, index)).astype(np.int64)
    if levels.ndim != 2 or levels.shape[0] not in (1, channels):
        raise node.refused(f"thresholds {levels.shape} must be (1 or {channels}, steps)")
    (output,) = node.proto.output
    dtype = reader.dtype_of(output)
    base = node.number("ActVal", 0)
    if dtype == BIPOLAR and base in (0, -1):
        base = 0  # FINN's -1 is the value of bit 0
    return Thresholds(
        levels=np.sort(np.broadcast_to(levels, (channels, levels.shape[1])), axis=1),
        is_rising=np.ones(channels, np.bool_),
        base=base,
        dtype=dtype,
    )


def _vectors(node: Node) -> tuple[int, ...]:
    """Return the dimensions of an image before its channels."""
    return tuple(int(n) for n in node.values.get("numInputVectors", (1,)))[1:]


def _mvau(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    dtype, kernel, weights = _layer(node, point, reader.constant(node, 1).T)
    name = reader.name(node)
    reader.add(
        node,
        MatVec(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            weights=weights,
            input_dtype=dtype,
            kernel=kernel,
            thresholds=_activation(reader, node, len(weights)),
            leading=_vectors(node),
        ),
        simd=node.number("SIMD"),
        pe=node.number("PE"),
    )


def _activation(reader: Reader, node: Node, channels: int) -> Thresholds | None:
    """Return the thresholds inside a layer, if it has some."""
    return None if node.number("noActivation", 0) else _staircase(reader, node, 2, channels)


def _vvau(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    channels = node.number("Channels")
    weights = reader.constant(node, 1).reshape(channels, -1)
    dtype, kernel, integers = _layer(node, point, weights)
    name = reader.name(node)
    reader.add(
        node,
        Depthwise(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            weights=integers,
            input_dtype=dtype,
            kernel=kernel,
            thresholds=_activation(reader, node, channels),
            leading=node.pair("Dim"),
        ),
        # Taps take their turn here, whatever FINN's SIMD.
        pe=node.number("PE"),
    )


def _thresholding(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    channels = node.number("NumChannels")
    dtype = point.kind.dtype
    thresholds = _staircase(reader, node, 1, channels)
    if dtype == BIPOLAR:
        bits = np.tile(np.array([[-1], [1]], np.int64), channels)
        if thresholds.dtype != BIPOLAR or (thresholds.execute(bits) != bits).any():
            raise node.refused("thresholds on bits that change them have no stage")
        reader.alias(node, point)
        return
    name = reader.name(node)
    reader.add(
        node,
        Threshold(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            thresholds=thresholds,
            input_dtype=dtype,
            leading=_vectors(node),
        ),
        pe=node.number("PE"),
    )


def _label_select(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    if node.number("K", 1) != 1:
        raise node.refused(f"K={node.number('K')}, but only the greatest element has a stage")
    name = reader.name(node)
    reader.add(
        node,
        Argmax(
            name=name,
            inputs=(point.stream,),
            outputs=(f"{name}_out",),
            classes=node.number("Labels"),
            input_dtype=point.kind.dtype,
            leading=_vectors(node),
        ),
        pe=node.number("PE"),
    )


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "LabelSelect": _label_select,
        "MVAU": _mvau,
        "Thresholding": _thresholding,
        "VVAU": _vvau,
    }
)
