"""Streams of FINN: FIFOs, width converters, and constants at the end, which the host applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from ...stages import STAGES
from .branches import sum_of_streams
from .node import Node
from .reader import FloatArray, Handler, Point, Reader


def _fifo(reader: Reader, node: Node) -> None:
    point = reader.points[node.proto.input[0]]
    lanes = int(node.values["folded_shape"][-1])
    stored = node.number("depth") * lanes
    reader.depths[point.stream] = reader.depths.get(point.stream, 0) + stored
    reader.alias(node, point)


def _converter(reader: Reader, node: Node) -> None:
    reader.alias(node, reader.points[node.proto.input[0]])


def _host_factor(reader: Reader, node: Node) -> None:
    point, factor = _before_host(reader, node)
    if node.op == "ElementwiseDiv":
        factor = 1 / factor
    reader.alias(node, replace(point, scale=point.scale * factor, bias=point.bias * factor))


def _host_term(reader: Reader, node: Node) -> None:
    if reader.is_stream(node, 1) and "add" in STAGES:
        sum_of_streams(reader, node)
        return
    point, term = _before_host(reader, node)
    if node.op == "ElementwiseSub":
        term = -term
    reader.alias(node, replace(point, bias=point.bias + term))


def _before_host(reader: Reader, node: Node) -> tuple[Point, FloatArray]:
    """Return what a constant is put on, and the constant, one value or one per channel."""
    if reader.is_stream(node, 1):
        raise node.refused("no stage takes two streams in this way")
    point = reader.points[node.proto.input[0]]
    constant = reader.constant(node, 1).reshape(-1)
    if constant.size not in (1, point.kind.shape[-1]):
        raise node.refused(f"constant of {constant.size} values; there are {point.kind.shape[-1]}")
    return point, constant


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "ElementwiseAdd": _host_term,
        "ElementwiseDiv": _host_factor,
        "ElementwiseMul": _host_factor,
        "ElementwiseSub": _host_term,
        "StreamingDataWidthConverter": _converter,
        "StreamingFIFO": _fifo,
    }
)
