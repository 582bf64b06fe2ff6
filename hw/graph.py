"""A dataflow: stages joined by streams of integers, nothing else.

Ports are named ``s_axis`` / ``m_axis`` (``s_axis_0``, ``s_axis_1`` ... when there are several), as
in the emitted top level; a module of a stage has several ports as one vector.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from .cost import Cost
from .dtypes import DataType, IntArray
from .errors import FoldingError, GraphError
from .module import Module
from .packing import Bytes, pack_words, unpack_words
from .schedule import Schedule

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class StreamType:
    """Type of a stream: what one image is and how it is cut into beats.

    Attributes:
        dtype: Datatype of an element.
        shape: Shape of one image, channels last: ``(channels,)`` or ``(height, width, channels)``.
        lanes: Elements of one beat; divides the channels.

    Raises:
        FoldingError: ``lanes`` does not divide the channels.
    """

    dtype: DataType
    shape: tuple[int, ...]
    lanes: int

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise GraphError(f"stream: every dimension must be >= 1, got shape {self.shape}")
        if self.lanes < 1 or self.shape[-1] % self.lanes:
            raise FoldingError(f"stream: lanes={self.lanes} must divide channels={self.shape[-1]}")

    @property
    def elements(self) -> int:
        """Elements of one image."""
        return math.prod(self.shape)

    @property
    def beats(self) -> int:
        """Beats of one image."""
        return self.elements // self.lanes

    @property
    def width_bits(self) -> int:
        """Bits of ``tdata``."""
        return self.lanes * self.dtype.bits

    @property
    def flat(self) -> StreamType:
        """The same beats, every element of an image a channel."""
        return replace(self, shape=(self.elements,))

    def carries(self, other: StreamType) -> bool:
        """Return whether the same beats in the same order are an image of ``other``."""
        return self.flat == other.flat

    def with_lanes(self, lanes: int) -> StreamType:
        """Return the same images cut into beats of ``lanes`` elements."""
        return replace(self, lanes=lanes)

    def to_beats(self, images: IntArray) -> Bytes:
        """Return packed beats, shape ``(images * beats, bytes)``, of ``(images, *shape)``."""
        return pack_words(images.reshape(-1, self.lanes), self.dtype)

    def from_beats(self, beats: Bytes) -> IntArray:
        """Return images ``(images, *shape)`` of packed beats; a last partial image is cut off."""
        values = unpack_words(beats, self.lanes, self.dtype).reshape(-1)
        whole = len(values) // self.elements * self.elements
        return values[:whole].reshape(-1, *self.shape)


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """A hardware stage with four faces: ``execute``, ``schedule``, ``cost``, ``module``.

    Subclasses are frozen dataclasses; their fields are their parameters and are stored as such.

    Attributes:
        name: Unique name in the dataflow, a SystemVerilog identifier.
        inputs: Name of the stream at each input port, in port order.
        outputs: Name of the stream at each output port, in port order.
    """

    kind: ClassVar[str]

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    @abstractmethod
    def input_types(self) -> tuple[StreamType, ...]:
        """Type of each input stream."""

    @property
    @abstractmethod
    def output_types(self) -> tuple[StreamType, ...]:
        """Type of each output stream."""

    @abstractmethod
    def execute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the integers of each output, ``(images, *shape)``, for those of each input."""

    @abstractmethod
    def schedule(self) -> Schedule:
        """Return in which operations beats move; tables are keyed by port name."""

    @abstractmethod
    def cost(self) -> Cost:
        """Return the estimated resources."""

    @abstractmethod
    def module(self) -> Module:
        """Return the SystemVerilog module, its parameters and its memory images."""

    @classmethod
    @abstractmethod
    def random(cls, name: str, rng: np.random.Generator) -> Self:
        """Return a stage with small random parameters, for the conformance suite.

        Its input streams are called ``<name>_x<i>``, its output streams ``<name>_y<i>``.
        """

    def stimulus(self, images: int, rng: np.random.Generator) -> tuple[IntArray, ...]:
        """Return inputs for the conformance suite: both ends of the range, then random."""
        arrays = []
        for kind in self.input_types:
            values = kind.dtype.random((images, *kind.shape), rng)
            for image, end in enumerate((kind.dtype.min, kind.dtype.max)[:images]):
                values[image] = end
            arrays.append(values)
        return tuple(arrays)

    def locate(self, parameter: str, word: int, bit: int) -> str:
        """Return what bit ``bit`` of word ``word`` of a memory image stands for."""
        return f"{parameter} word {word}, bit {bit}"

    @property
    def fold_sizes(self) -> Mapping[str, int]:
        """By the name of a fold, ``pe`` before ``simd``, the dimension that it must divide."""
        return {}

    @property
    def input_ports(self) -> tuple[str, ...]:
        """Port prefix of each input."""
        return port_names("s_axis", len(self.inputs))

    @property
    def output_ports(self) -> tuple[str, ...]:
        """Port prefix of each output."""
        return port_names("m_axis", len(self.outputs))

    def with_(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return replace(self, **changes)


def port_names(prefix: str, count: int) -> tuple[str, ...]:
    """Return the prefix itself for one port, numbered prefixes for several.

    >>> port_names("s_axis", 2)
    ('s_axis_0', 's_axis_1')
    """
    if count == 1:
        return (prefix,)
    return tuple(f"{prefix}_{index}" for index in range(count))


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How the integers of a stream relate to a tensor of the model file.

    ``tensor = scale * (multiplier * stream + offset)``, where the parenthesis is the integer that
    ``golden.npz`` holds. A popcount P of K bipolar products has multiplier 2 and offset -K.

    Streams have their channels last. A tensor of the file may lie there plane by plane, as
    ``(N, C, H, W)`` or flattened from that: its row-major order is then (channel, pixel), that of
    the stream (pixel, channel).

    Attributes:
        tensor: Tensor name in the QONNX file.
        multiplier: Integer factor, one or one per channel of the stream.
        offset: Integer added after the factor, likewise.
        scale: Float scale of the tensor, one value or one per channel.
        planes: Channels of a tensor that lies plane by plane; 1 for one in the stream's order.
        channels: Of each plane the channel of the stream that it is; empty where they have the same
            order. A shuffle of channels moves nothing in the hardware.
        aliases: Further tensors of the file with the same integers in the same order, such as those
            behind a quantizer whose result they are already; their scales may be others.
    """

    tensor: str
    multiplier: int | tuple[int, ...] = 1
    offset: int | tuple[int, ...] = 0
    scale: tuple[float, ...] = (1.0,)
    planes: int = 1
    channels: tuple[int, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensor and its aliases."""
        return (self.tensor, *self.aliases)

    def integers(self, stream: IntArray) -> IntArray:
        """Return the integers of the tensor for those of the stream, in the stream's order."""
        multiplier, offset = (np.array(n, np.int64) for n in (self.multiplier, self.offset))
        integers: IntArray = multiplier * stream + offset
        return integers

    def in_stream_order(self, tensor: NDArray[Scalar], shape: Sequence[int]) -> NDArray[Scalar]:
        """Return images ``(images, ...)`` of the tensor in the order of a stream.

        Args:
            tensor: Elements in the order of the file.
            shape: Shape of an image of the stream.

        Returns:
            The same elements, shape ``(images, *shape)``.

        Raises:
            GraphError: The tensor has another number of elements, or no such planes.
        """
        elements = math.prod(shape)
        if math.prod(tensor.shape[1:]) != elements or elements % self.planes:
            raise GraphError(
                f"tensor {self.tensor!r}: images of shape {tensor.shape[1:]} do not fit a stream "
                f"of shape {tuple(shape)}"
            )
        pixels = tensor.reshape(len(tensor), self.planes, elements // self.planes)
        if self.channels:
            pixels = pixels[:, np.argsort(self.channels)]
        return pixels.swapaxes(1, 2).reshape(len(tensor), *shape)


@dataclass(frozen=True, kw_only=True)
class HostAffine:
    """What the host applies to an output: ``scale * integers + bias``, per channel or scalar.

    Attributes:
        scale: Float factor, one value or one per channel.
        bias: Float term, one value or one per channel.
    """

    scale: tuple[float, ...] = (1.0,)
    bias: tuple[float, ...] = (0.0,)


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """Stages in topological order and the streams between them.

    A stream has one producer (a stage or the source) and one consumer (a stage or the sink). There
    may be several inputs and outputs, also in parts that are not connected. A consumer may see the
    elements of an image in another shape, e.g. a map ``(H, W, C)`` as one vector: the beats are the
    same.

    Attributes:
        name: SystemVerilog identifier of the top level.
        inputs: Type of each stream that enters, by name, in order.
        outputs: Names of the streams that leave, in order.
        stages: Stages in topological order.
        origins: By stream name, the tensor of the model file that it carries.
        accumulators: By stage name, the tensor that its accumulators are; for stages whose
            thresholds keep the accumulators off the streams.
        host: By output name, the affine rest that the host applies.

    Raises:
        GraphError: Names repeat, a stream has no or two ends, or the two ends differ in type.
    """

    name: str
    inputs: Mapping[str, StreamType]
    outputs: tuple[str, ...]
    stages: tuple[Stage, ...]
    origins: Mapping[str, Origin] = field(default_factory=dict)
    accumulators: Mapping[str, Origin] = field(default_factory=dict)
    host: Mapping[str, HostAffine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        for name in names:
            if names.count(name) > 1:
                raise GraphError(f"{self.name}: two stages are called {name!r}; names must differ")
        produced: dict[str, StreamType] = dict(self.inputs)
        waiting = dict(self.inputs)
        for stage in self.stages:
            for name, want in zip(stage.inputs, stage.input_types, strict=True):
                if name not in waiting:
                    state = "already consumed" if name in produced else "not produced before it"
                    raise GraphError(f"{stage.name}: input stream {name!r} is {state}")
                if not (have := waiting.pop(name)).carries(want):
                    raise GraphError(f"{stage.name}: input {name!r} is {have} but must be {want}")
            for name, have in zip(stage.outputs, stage.output_types, strict=True):
                if name in produced:
                    raise GraphError(f"{stage.name}: stream {name!r} has two producers")
                produced[name] = waiting[name] = have
        if set(waiting) != set(self.outputs) or len(self.outputs) != len(set(self.outputs)):
            raise GraphError(
                f"{self.name}: streams {sorted(waiting)} have no consumer, "
                f"but the outputs are {sorted(self.outputs)}"
            )

    @cached_property
    def streams(self) -> dict[str, StreamType]:
        """Type of every stream by name, inputs first, then in stage order."""
        types = dict(self.inputs)
        for stage in self.stages:
            types.update(zip(stage.outputs, stage.output_types, strict=True))
        return types

    def stage(self, name: str) -> Stage:
        """Return the stage called ``name``.

        Raises:
            GraphError: There is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise GraphError(f"{self.name}: no stage {name!r}; it has {[s.name for s in self.stages]}")

    def producer(self, stream: str) -> Stage | None:
        """Return the stage that produces ``stream``, or None for an input."""
        return next((s for s in self.stages if stream in s.outputs), None)

    def consumer(self, stream: str) -> Stage | None:
        """Return the stage that consumes ``stream``, or None for an output."""
        return next((s for s in self.stages if stream in s.inputs), None)

    def cost(self) -> Cost:
        """Return the estimated resources of all stages."""
        return sum((stage.cost() for stage in self.stages), Cost())

    def execute(self, *images: IntArray) -> dict[str, IntArray]:
        """Return the integers of every stream, each ``(images, *shape)``, by ``Stage.execute``.

        Raises:
            DatatypeError: An input holds a value outside its datatype.
            GraphError: The number or a shape of the inputs is wrong.
        """
        if len(images) != len(self.inputs):
            raise GraphError(f"{self.name}: takes {len(self.inputs)} inputs, got {len(images)}")
        values: dict[str, IntArray] = {}
        for (name, kind), array in zip(self.inputs.items(), images, strict=True):
            if np.shape(array)[1:] != kind.shape:
                want = ", ".join(map(str, kind.shape))
                raise GraphError(
                    f"{self.name}: input {name!r} must be (images, {want}), got {np.shape(array)}"
                )
            values[name] = kind.dtype.check(array, f"input {name!r}")
        for stage in self.stages:
            shapes = (kind.shape for kind in stage.input_types)
            results = stage.execute(
                *(
                    values[name].reshape(len(values[name]), *shape)
                    for name, shape in zip(stage.inputs, shapes, strict=True)
                )
            )
            values.update(zip(stage.outputs, results, strict=True))
        return values
