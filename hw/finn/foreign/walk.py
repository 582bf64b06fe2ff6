"""Walks a FINN graph from its inputs to its outputs, op by op."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ...errors import UnsupportedOpError
from ...frontend.model_file import read_model
from ...frontend.names import identifier
from ...graph import Dataflow, HostAffine, StreamType
from ...passes import connect
from ..attributes import kind_of
from ..graph import from_finn
from . import branches, images, layers, streams
from .node import Node, is_xnor
from .reader import Handler, Point, Reader

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        **branches.HANDLERS,
        **images.HANDLERS,
        **layers.HANDLERS,
        **streams.HANDLERS,
    }
)

# Ops whose outputs are elements of their inputs.
_PASSING = frozenset(
    {
        "ConvolutionInputGenerator",
        "DuplicateStreams",
        "FMPadding",
        "Pool",
        "StreamingConcat",
        "StreamingDataWidthConverter",
        "StreamingFIFO",
        "StreamingMaxPool",
        "StreamingSplit",
    }
)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A graph of FINN, read.

    Attributes:
        dataflow: Folded and connected as FINN has it.
        nodes: Per node of FINN: name, op, the stage it became ("" where it is part of another or
            of a connection), and FINN's estimate of its cycles per image where the file has it.
    """

    dataflow: Dataflow
    nodes: tuple[tuple[str, str, str, int | None], ...]


def read_finn(path: Path, *, name: str | None = None) -> Imported:
    """Return the dataflow of a FINN graph in ``path``.

    Graphs of our own ops are read as well, stage by stage.

    Args:
        path: A graph of FINN's hardware ops, general or specialised: what its steps save from
            ``step_create_dataflow_partition`` on.
        name: Name of the dataflow; by default that of the file.

    Raises:
        ModelFileError: The file is missing or damaged.
        UnsupportedOpError: Nodes have no stage; names all of them, or says what is special about
            the first that has one.
        GraphError, FoldingError, DatatypeError: The graph is inconsistent.
    """
    model = read_model(path)
    name = name or identifier(path.stem)
    nodes = [Node.of(proto) for proto in model.graph.node]
    if all(kind_of(node.proto) is not None for node in nodes):
        dataflow = from_finn(model, name=name)
        pairs = zip(nodes, dataflow.stages, strict=True)
        stages = {node.proto.name: stage.name for node, stage in pairs}
        return Imported(dataflow=dataflow, nodes=_rows(nodes, stages))
    unknown = [
        f"{node.proto.name} ({node.proto.op_type})" for node in nodes if node.op not in HANDLERS
    ]
    if unknown:
        raise UnsupportedOpError(
            f"{path}: no stage expresses {', '.join(unknown)}; known ops: {', '.join(HANDLERS)}"
        )
    reader = Reader(model, _bits(nodes))
    inputs = _enter(reader)
    for node in nodes:
        HANDLERS[node.op](reader, node)
    return Imported(dataflow=_finish(reader, inputs, name), nodes=_rows(nodes, reader.stage_of))


def _rows(
    nodes: list[Node], stages: Mapping[str, str]
) -> tuple[tuple[str, str, str, int | None], ...]:
    return tuple(
        (
            node.proto.name,
            node.proto.op_type,
            stages.get(node.proto.name, ""),
            node.values.get("cycles_estimate") or None,
        )
        for node in nodes
    )


def _bits(nodes: list[Node]) -> frozenset[str]:
    """Return the tensors that an XNOR layer takes, and those whose elements they are."""
    bits: set[str] = set()
    for node in reversed(nodes):
        if is_xnor(node):
            bits.add(node.proto.input[0])
        elif node.op in _PASSING and bits & set(node.proto.output):
            bits.update(node.proto.input)
    return frozenset(bits)


def _enter(reader: Reader) -> dict[str, StreamType]:
    """Make a stream of each input of the graph."""
    inputs: dict[str, StreamType] = {}
    for info in reader.model.graph.input:
        if reader.model.get_initializer(info.name) is not None:
            continue
        shape = tuple(reader.model.get_tensor_shape(info.name)[1:])
        stream = identifier(info.name, inputs)
        kind = StreamType(dtype=reader.dtype_of(info.name), shape=shape, lanes=1)
        inputs[stream] = kind
        reader.points[info.name] = Point(stream=stream, kind=kind)
    return inputs


def _finish(reader: Reader, inputs: dict[str, StreamType], name: str) -> Dataflow:
    """Return the dataflow with FINN's folds and FIFOs."""
    leaving = [reader.points[info.name] for info in reader.model.graph.output]
    for info, point in zip(reader.model.graph.output, leaving, strict=True):
        if not replace(point, scale=np.ones(1), bias=np.zeros(1)).is_plain:
            raise UnsupportedOpError(f"output {info.name!r}: a window or padding leaves the graph")
    unfolded = Dataflow(
        name=name,
        inputs=inputs,
        outputs=tuple(point.stream for point in leaving),
        stages=tuple(reader.stages),
        host={
            point.stream: HostAffine(
                scale=tuple(point.scale.reshape(-1).tolist()),
                bias=tuple(point.bias.reshape(-1).tolist()),
            )
            for point in leaving
            if point.is_float
        },
    )
    folded = [stage.with_(**reader.folds[stage.name]) for stage in reader.stages]
    lanes = {
        stream: kind.lanes
        for stage in folded
        for stream, kind in zip(stage.outputs, stage.output_types, strict=True)
    }
    depths = {
        stream: math.ceil(elements / lanes.get(stream, 1))
        for stream, elements in reader.depths.items()
    }
    return connect(unfolded, folded, fifo_depth=depths)
