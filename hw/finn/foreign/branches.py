"""Branches of FINN: copies, sums, joined and separated channels of streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Any

from ...stages import STAGES
from .node import Node
from .reader import Handler, Reader


def _duplicate(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    name = reader.name(node)
    count = len(node.proto.output)
    reader.add(
        node,
        _stage("fork")(
            name=name,
            inputs=(point.stream,),
            outputs=tuple(f"{name}_out{i}" for i in range(count)),
            type=point.kind,
        ),
        pe=node.number("PE"),
    )


def sum_of_streams(reader: Reader, node: Node) -> None:
    """Add the sum or the difference of two streams of one shape.

    Raises:
        UnsupportedOpError: They have different shapes, which FINN would broadcast.
    """
    points = [reader.plain(node, index) for index in range(2)]
    shapes = [point.kind.shape for point in points]
    if shapes[0] != shapes[1]:
        raise node.refused(f"shapes {shapes[0]} and {shapes[1]} differ")
    if points[0].stream == points[1].stream:
        raise node.refused("both inputs are one stream; it needs DuplicateStreams before it")
    name = reader.name(node)
    reader.add(
        node,
        _stage("add")(
            name=name,
            inputs=tuple(point.stream for point in points),
            outputs=(f"{name}_out",),
            input_dtypes=tuple(point.kind.dtype for point in points),
            factors=(1, -1 if node.op == "ElementwiseSub" else 1),
            channels=shapes[0][-1],
            leading=shapes[0][:-1],
        ),
        pe=node.number("PE", 1),
    )


def _concat(reader: Reader, node: Node) -> None:
    points = [reader.plain(node, index) for index in range(len(node.proto.input))]
    name = reader.name(node)
    reader.add(
        node,
        _stage("concat")(
            name=name,
            inputs=tuple(point.stream for point in points),
            outputs=(f"{name}_out",),
            input_dtypes=tuple(point.kind.dtype for point in points),
            channels=tuple(point.kind.shape[-1] for point in points),
            leading=points[0].kind.shape[:-1],
        ),
        pe=node.number("SIMD"),
    )


def _split(reader: Reader, node: Node) -> None:
    point = reader.plain(node)
    split = _stage("split")
    name = reader.name(node)
    bounds = list(pairwise(accumulate(node.values["ChannelsPerStream"], initial=0)))
    reader.add(
        node,
        split(
            name=name,
            inputs=(point.stream,),
            outputs=tuple(f"{name}_out{i}" for i in range(len(bounds))),
            type=replace(point.kind, lanes=1),
            members=split.ranges(bounds, point.kind.shape[-1]),
        ),
        pe=node.number("SIMD"),
    )


def _stage(kind: str) -> Any:
    """Return the class of a kind of stage, whose fields are not those of all stages."""
    return STAGES[kind]


# By the kind of stage that expresses them.
_BY_KIND: Mapping[str, Mapping[str, Handler]] = MappingProxyType(
    {
        "fork": {"DuplicateStreams": _duplicate},
        "add": {"AddStreams": sum_of_streams},
        "concat": {"StreamingConcat": _concat},
        "split": {"StreamingSplit": _split},
    }
)

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {op: handler for kind in _BY_KIND if kind in STAGES for op, handler in _BY_KIND[kind].items()}
)
