"""What has been read of a FINN graph so far: points and stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper

from ...dtypes import BIPOLAR, DataType
from ...frontend.names import identifier
from ...graph import Stage, StreamType
from .node import Node

FloatArray = NDArray[np.float64]


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
            UnsupportedOpError: Padding, a window for a pool, or a float factor is on it; or it is
                bits whose 0 is -1 elsewhere and 0 here.
        """
        tensor = node.proto.input[index]
        point = self.points[tensor]
        if not point.is_plain:
            raise node.refused(
                "its input is padded, windowed or scaled in a way that no stage expresses"
            )
        is_number = self.model.get_tensor_datatype(tensor).name != "BIPOLAR"
        if point.kind.dtype == BIPOLAR and is_number and tensor not in self.bits:
            raise node.refused("its input is bits to an XNOR layer as well, whose 0 is -1")
        return point

    def is_stream(self, node: Node, index: int) -> bool:
        """Return whether an input is no constant."""
        names = node.proto.input
        return index < len(names) and self.model.get_initializer(names[index]) is None

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
