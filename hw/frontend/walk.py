"""The state of one walk over a graph, and what every handler of a node may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..dtypes import DataType
from ..errors import ModelFileError, UnsupportedOpError
from ..graph import Origin, Stage, StreamType
from .functions import F64
from .islands import Constant, Island, Undeclared
from .layout import Layout
from .names import identifier
from .nodes import Node
from .report import LayerNote

Value: TypeAlias = "Constant | Island | Undeclared"


@dataclass(frozen=True)
class Use:
    """Who takes the values of a tensor.

    Attributes:
        user: A node, or the name of a graph output.
        index: Input of the node.
    """

    user: Node | str
    index: int = 0

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return f"output '{self.user}'" if isinstance(self.user, str) else self.user.label


@dataclass
class OpenFork:
    """A tensor that several nodes take, until stages take its stream.

    Branches may meet again before: then they are functions of the same integers, and one branch.

    Attributes:
        label: Who yields the tensor, for messages.
        alive: Numbers of the branches that are left.
        stage: Name of the fork, "" as long as there is none.
        dtype: Datatype of its streams.
        numbers: Numbers given so far.
    """

    label: str
    alive: list[int]
    dtype: DataType
    stage: str = ""
    numbers: int = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = len(self.alive)


@dataclass(kw_only=True)
class Walk:
    """What is known so far: values by tensor name, and the dataflow that grows.

    Attributes:
        uses: By tensor, who takes its values: nodes and the outputs of the graph.
        values: Value of each tensor that has been reached.
        branches: Of a tensor that several take, the value for each of them: by node and input, or
            by the name of the graph output and 0.
        forks: Of a tensor that several take, what is known of its fork.
        inputs: Streams that enter.
        stages: Stages in topological order.
        origins: By stream.
        accumulators: By stage whose thresholds keep its accumulators off the streams.
        layers: Note of each stage, by stage name.
        notes: Sentences for the report.
        has_maps: Whether the graph has nodes that look at height and width.
    """

    uses: Mapping[str, Sequence[Use]] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    branches: dict[tuple[Node | str, int], Island] = field(default_factory=dict)
    forks: dict[str, OpenFork] = field(default_factory=dict)
    inputs: dict[str, StreamType] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    accumulators: dict[str, Origin] = field(default_factory=dict)
    layers: dict[str, LayerNote] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    has_maps: bool = False

    def value(self, node: Node, index: int) -> Value:
        """Return the value of an input of ``node``.

        Raises:
            UnsupportedOpError: The node lacks the input, or it is a side output.
        """
        if index >= len(node.inputs) or not node.inputs[index]:
            raise node.refuse(f"input {index} is missing", "export the model again")
        name = node.inputs[index]
        if name not in self.values:
            raise ModelFileError(
                f"{node.label}: input '{name}' has no producer before it; export the model again"
            )
        return self.branches.get((node, index), self.values[name])

    def island(self, node: Node, index: int = 0, *, takes_padding: bool = False) -> Island:
        """Return the input of ``node`` that depends on a stream.

        Raises:
            UnsupportedOpError: It is a constant, a graph input without an integer datatype, or
                padded where the node takes no padding.
        """
        value = self.value(node, index)
        if isinstance(value, Undeclared):
            raise node.refuse(
                f"graph input '{value.tensor}' has no integer datatype",
                "annotate it in the file, pass input_dtype (e.g. 'UINT8'), or start the model with "
                "a quantizer",
            )
        if isinstance(value, Constant):
            raise node.refuse(f"input '{node.inputs[index]}' is constant", "fold it on export")
        if value.padding is not None and not takes_padding:
            raise node.refuse(
                f"its data is padded by {value.padding.node}, which only a Conv can take in",
                "put the padding right before a Conv, behind the quantizer",
            )
        return value

    def constant(self, node: Node, index: int, role: str) -> Constant:
        """Return a constant input of ``node``.

        Raises:
            UnsupportedOpError: It depends on the data.
        """
        value = self.value(node, index)
        if not isinstance(value, Constant):
            raise node.refuse(
                f"its {role} '{node.inputs[index]}' depends on the data",
                f"make the {role} a constant of the model",
            )
        return value

    def floats(self, node: Node, index: int, role: str) -> F64:
        """Return a constant input as finite float64.

        Raises:
            UnsupportedOpError: It depends on the data, is no number or not finite.
        """
        values = self.constant(node, index, role).values
        if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
            raise node.refuse(
                f"its {role} '{node.inputs[index]}' holds values that are not finite numbers",
                "train or export the model again",
            )
        return values.astype(np.float64)

    def per_channel(
        self, node: Node, values: NDArray[np.float64], layout: Layout, role: str
    ) -> F64:
        """Return broadcast parameters of a tensor as one value or one per channel of its stream.

        Raises:
            UnsupportedOpError: They do not broadcast to one image, or differ from pixel to pixel.
        """
        if values.size == 1:
            return values.reshape(1)
        try:
            pixels = layout.spread(values)
        except ValueError:
            raise node.refuse(
                f"its {role} has shape {values.shape}, which does not broadcast to one image of "
                f"shape {layout.shape[1:]}",
                "give one value or one per channel",
            ) from None
        row: F64 = pixels[0]
        if (pixels != row).any():
            raise node.refuse(
                f"its {role} differs from pixel to pixel of an image", "give one value per channel"
            )
        return row[:1].copy() if (row == row[0]).all() else row.copy()

    def add_input(self, tensor: str, dtype: DataType, shape: tuple[int, ...], scale: F64) -> Island:
        """Return the integer point of a new input stream.

        Args:
            tensor: Tensor of the file that the stream carries.
            dtype: Datatype of an element.
            shape: Shape of the tensor, the batch first.
            scale: Scale of the tensor, one value or one per channel of ``input_layout``.
        """
        stream = identifier(tensor, [*self.inputs, *self.origins])
        layout = self.input_layout(shape)
        self.inputs[stream] = StreamType(dtype=dtype, shape=layout.image, lanes=1)
        self.add_origin(stream, tensor, layout, scale)
        return Island(
            stream=stream, dtype=dtype, low=dtype.min, high=dtype.max, layout=layout, scale=scale
        )

    def input_layout(self, shape: tuple[int, ...]) -> Layout:
        """Return how a stream would carry a graph input of ``shape``.

        Tensors ``(N, C, H, W)`` enter pixel by pixel if any node looks at pixels.
        """
        if len(shape) == 4 and self.has_maps:
            return Layout.planes(shape[0], (*shape[2:], shape[1]))
        return Layout.vector(shape)

    def add_origin(
        self,
        stream: str,
        tensor: str,
        layout: Layout,
        scale: F64,
        *,
        multiplier: int = 1,
        offset: int = 0,
    ) -> None:
        """Say which tensor of the file ``stream`` carries, if an ``Origin`` can."""
        origin = origin_of(tensor, layout, scale, multiplier=multiplier, offset=offset)
        if origin is None:
            self.origins.pop(stream, None)
            self.notes.append(f"tensor '{tensor}' has an order of its own: it is not compared")
        else:
            self.origins[stream] = origin

    def add_alias(self, island: Island, tensor: str) -> None:
        """Say that ``tensor`` holds the same integers as the tensor of an integer point does."""
        origin = self.origins.get(island.stream)
        if origin is None or origin.tensor == tensor:
            return
        alias = origin_of(
            tensor,
            island.layout,
            island.scale,
            multiplier=island.multiplier,
            offset=island.offset,
        )
        places = ("multiplier", "offset", "planes", "channels")
        if alias and all(getattr(alias, name) == getattr(origin, name) for name in places):
            aliases = (*origin.aliases, tensor)
            self.origins[island.stream] = replace(origin, aliases=aliases)

    def new_stage(self, prefix: str) -> tuple[str, str]:
        """Return the name of the next stage of a kind, and of its output stream."""
        number = sum(name.rstrip("0123456789") == prefix for name in self.stages)
        name = identifier(f"{prefix}{number}", self.stages)
        return name, identifier(f"{name}_out", self.streams)

    def type_of(self, stream: str) -> StreamType:
        """Return the type of a stream."""
        if stream in self.inputs:
            return self.inputs[stream]
        producer = self.stages[self.producer_name(stream)]
        return producer.output_types[producer.outputs.index(stream)]

    def producer_name(self, stream: str) -> str:
        """Return the name of the stage that yields a stream, "" for an input."""
        return next((stage.name for stage in self.stages.values() if stream in stage.outputs), "")

    @property
    def streams(self) -> set[str]:
        """Names of all streams so far."""
        return set(self.inputs).union(*(stage.outputs for stage in self.stages.values()))

    def note(self, stage: str, **changes: object) -> None:
        """Change the note of ``stage``."""
        self.layers[stage] = replace(self.layers[stage], **changes)  # type: ignore[arg-type]


Handler: TypeAlias = Callable[[Walk, Node], "Value | tuple[Value, ...]"]
Handlers: TypeAlias = Mapping[str, Handler]


def origin_of(
    tensor: str, layout: Layout, scale: F64, *, multiplier: int = 1, offset: int = 0
) -> Origin | None:
    """Return how a stream relates to a tensor of the file; None where the order is too unlike."""
    planes = layout.order
    if planes is None:
        return None
    channels = layout.channel_order if planes > 1 else None
    is_moved = channels is not None and (np.diff(channels) != 1).any()
    return Origin(
        tensor=tensor,
        multiplier=multiplier,
        offset=offset,
        scale=as_scale(scale),
        planes=planes,
        channels=tuple(map(int, channels)) if channels is not None and is_moved else (),
    )


def as_scale(scale: F64) -> tuple[float, ...]:
    """Return a scale as stored in an Origin: one value where all are equal."""
    values = tuple(float(s) for s in scale)
    return values[:1] if len(set(values)) == 1 else values


def refuse_file(where: str, reason: str, cure: str) -> UnsupportedOpError:
    """Return a refusal that names no node."""
    return UnsupportedOpError(f"{where}: {reason}; {cure}")
