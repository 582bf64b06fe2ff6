"""Reads a graph of FINN's own ops, as its steps leave it, into a dataflow. Needs no FINN.

Each op of FINN that a stage expresses becomes that stage with FINN's folding; FIFOs and width
converters are put in by :func:`connect` as everywhere else. Ops without a stage are refused, all of
them by name. What follows the last integers, constant factors and terms, is host metadata.

Bits need a word. FINN calls the operands of an XNOR layer BINARY and reads their 0 as -1; here such
a stream is BIPOLAR, from the layer back to the thresholds that make it. The bits are the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from ..dtypes import BIPOLAR, DataType
from ..errors import UnsupportedOpError
from ..frontend.model_file import read_model
from ..frontend.names import identifier
from ..graph import Dataflow, HostAffine, Stage, StreamType
from ..passes import connect
from .attributes import kind_of
from .graph import from_finn

FloatArray = NDArray[np.float64]

_ALIASES = MappingProxyType(
    {
        "MatrixVectorActivation": "MVAU",
        "StreamingFCLayer": "MVAU",
        "VectorVectorActivation": "VVAU",
        "Vector_Vector_Activate": "VVAU",
    }
)


def op_of(node: NodeProto) -> str:
    """Return FINN's op without its suffixes, by its present name.

    >>> op_of(NodeProto(op_type="MatrixVectorActivation")), op_of(NodeProto(op_type="Pool_hls"))
    ('MVAU', 'Pool')
    """
    name = re.sub(r"(_Batch|_hls|_rtl)+$", "", node.op_type)
    return _ALIASES.get(name, name)


@dataclass(frozen=True, kw_only=True)
class Taps:
    """A sliding window whose pixels a pool takes, which needs no stage of its own."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Point:
    """What a tensor of the FINN graph is here.

    Attributes:
        stream: Name of the stream.
        kind: Its type, one lane.
        padding: Rows and columns of zeros that FINN has put around it: top, left, bottom, right.
        taps: Windows that FINN has made of it for a pool.
        scale: Factor that is left to the host.
        bias: Term that is left to the host, added after the factor.
    """

    stream: str
    kind: StreamType
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    taps: Taps | None = None
    scale: FloatArray = field(default_factory=lambda: np.ones(1))
    bias: FloatArray = field(default_factory=lambda: np.zeros(1))

    @property
    def is_plain(self) -> bool:
        """Whether it is a stream and nothing else."""
        return not any(self.padding) and self.taps is None and not self.is_float

    @property
    def is_float(self) -> bool:
        """Whether a factor or a term has been put on it."""
        return bool((self.scale != 1).any() or (self.bias != 0).any())


@dataclass(frozen=True)
class Node:
    """A node of the FINN graph with its attributes, and errors that name it."""

    proto: NodeProto
    values: Mapping[str, Any]

    @classmethod
    def of(cls, proto: NodeProto) -> Node:
        """Return ``proto`` with its attributes read."""
        values = {item.name: helper.get_attribute_value(item) for item in proto.attribute}
        return cls(proto, {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()})

    @property
    def op(self) -> str:
        """Its op, by the present name."""
        return op_of(self.proto)

    def number(self, name: str, default: int | None = None) -> int:
        """Return an integer attribute.

        Raises:
            UnsupportedOpError: It is not there.
        """
        value = self.values.get(name, default)
        if not isinstance(value, int):
            raise self.refused(f"attribute {name} is {value!r}, not an integer")
        return value

    def pair(self, name: str, default: tuple[int, int] | None = None) -> tuple[int, int]:
        """Return an attribute of rows and columns; one number stands for both.

        Raises:
            UnsupportedOpError: It is not there.
        """
        value = self.values.get(name, default)
        if isinstance(value, int):
            value = (value, value)
        if value is None or len(value) != 2:
            raise self.refused(f"attribute {name} is {value!r}, not rows and columns")
        return int(value[0]), int(value[1])

    def refused(self, why: str) -> UnsupportedOpError:
        """Return the error that says why the node cannot be expressed."""
        return UnsupportedOpError(f"node {self.proto.name}: {self.op}: {why}")


class Reader:
    """What has been read of a graph so far; handlers add to it.

    Attributes:
        points: By tensor.
        stages: Unfolded, in order.
        folds: By stage, FINN's folds.
        depths: By stream, beats of one element that a FIFO of FINN holds.
        bits: Tensors whose 0 is -1.
    """

    def __init__(self, model: ModelWrapper, bits: frozenset[str]) -> None:
        self.model = model
        self.bits = bits
        self.points: dict[str, Point] = {}
        self.stages: list[Stage] = []
        self.folds: dict[str, dict[str, int]] = {}
        self.depths: dict[str, int] = {}
        self.stage_of: dict[str, str] = {}

    def plain(self, node: Node, index: int = 0) -> Point:
        """Return the point of an input that must be a stream and nothing else.

        Raises:
            UnsupportedOpError: Padding, a window for a pool, or a float factor is on it.
        """
        point = self.points[node.proto.input[index]]
        if not point.is_plain:
            raise node.refused(
                "its input is padded, windowed or scaled in a way that no stage expresses"
            )
        return point

    def constant(self, node: Node, index: int) -> FloatArray:
        """Return an initializer.

        Raises:
            UnsupportedOpError: The input is no constant.
        """
        names = node.proto.input
        value = self.model.get_initializer(names[index]) if index < len(names) else None
        if value is None:
            raise node.refused(f"input {index} must be a constant of the file")
        return np.asarray(value, np.float64)

    def dtype_of(self, tensor: str) -> DataType:
        """Return the datatype of a tensor, BIPOLAR where its 0 is -1."""
        if tensor in self.bits:
            return BIPOLAR
        return DataType.parse(self.model.get_tensor_datatype(tensor).name)

    def name(self, node: Node) -> str:
        """Return a name for the stage of a node."""
        taken = {stage.name for stage in self.stages} | {p.stream for p in self.points.values()}
        return identifier(node.proto.name or node.op, taken)

    def add(self, node: Node, stage: Stage, **folds: int) -> None:
        """Add the stage of a node, unfolded, and FINN's folds of it."""
        self.stages.append(stage)
        self.folds[stage.name] = folds
        self.stage_of[node.proto.name] = stage.name
        for tensor, stream, kind in zip(
            node.proto.output, stage.outputs, stage.output_types, strict=True
        ):
            self.points[tensor] = Point(stream=stream, kind=kind)

    def alias(self, node: Node, point: Point) -> None:
        """Let the output of a node be what ``point`` says."""
        self.points[node.proto.output[0]] = point


Handler = Callable[[Reader, Node], None]


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
    from .foreign_ops import HANDLERS  # noqa: PLC0415 (it needs the classes above)

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


def is_xnor(node: Node) -> bool:
    """Return whether a layer reads 0 and 1 as -1 and +1."""
    if node.op not in ("MVAU", "VVAU"):
        return False
    types = {node.values.get("inputDataType"), node.values.get("weightDataType")}
    return bool(node.values.get("binaryXnorMode")) or types == {"BIPOLAR"}


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
