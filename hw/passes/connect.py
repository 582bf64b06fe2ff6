"""Connections: width converters and FIFOs between stages whose beats differ.

What a network computes is its *logical* stages; converters and FIFOs are put between them by
:func:`connect` and taken out by :func:`logical_stages`, so that a connected dataflow can be folded
again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import GraphError
from ..graph import Dataflow, HostAffine, Origin, Stage, StreamType
from ..stages import Fifo, Width
from .bypass import held_elements

_CONNECTORS = (Fifo, Width)


def logical_stages(dataflow: Dataflow) -> tuple[Stage, ...]:
    """Return the stages without converters and FIFOs.

    A stage behind a connector takes the stream before it again.
    """
    source = _sources(dataflow)
    return tuple(
        stage.with_(inputs=tuple(source.get(name, name) for name in stage.inputs))
        for stage in dataflow.stages
        if not isinstance(stage, _CONNECTORS)
    )


def fifo_depths(dataflow: Dataflow) -> dict[str, int]:
    """Return the depth of the FIFO of each logical stream that has one."""
    source = _sources(dataflow)
    depths = {}
    for stage in dataflow.stages:
        if isinstance(stage, Fifo):
            name = source.get(stage.inputs[0], stage.inputs[0])
            depths[name] = stage.depth
    return depths


def _sources(dataflow: Dataflow) -> dict[str, str]:
    """Return, by stream behind a connector, the logical stream that it carries."""
    source: dict[str, str] = {}
    for stage in dataflow.stages:
        if isinstance(stage, _CONNECTORS):
            (taken,), (given,) = stage.inputs, stage.outputs
            source[given] = source.get(taken, taken)
    return source


def connect(
    dataflow: Dataflow,
    stages: Iterable[Stage] | None = None,
    *,
    fifo_depth: int | Mapping[str, int] | None = None,
) -> Dataflow:
    """Return ``dataflow`` with other logical stages, joined where their beats differ.

    1. Converters and FIFOs that are there are taken out.
    2. An input takes the lanes of the stage that consumes it, and its shape where they do not
       divide its own channels.
    3. A logical stream with a depth gets a FIFO ``<stream>_fifo`` on the side that has more lanes:
       a consumer that takes a burst of wide beats finds them there, and does not wait for a
       converter to fill each.
    4. Where lanes differ a converter ``<stream>_width`` follows; where neither number divides the
       other, one to their least common multiple (which divides the channels, since both do) and
       ``<stream>_width2`` from there. No converter is slower than both of its neighbours. Where
       the consumer sees the image in another shape, the converters see it as one vector.
    5. A stream that meets another one gets a FIFO that holds what it must until the other one comes
       (see ``bypass``), and a row more, so that nothing waits for long; but not where a mapping
       says what it gets.

    Every new stream carries the ``Origin`` of its logical stream.

    Args:
        dataflow: Names, inputs, outputs, origins and host metadata.
        stages: Logical stages in topological order, with the stream names of ``dataflow`` and any
            folding; by default those of ``dataflow``.
        fifo_depth: Beats of every FIFO, or by logical stream; 0 for none. They are the beats that
            the FIFO stores, those of the side with more lanes. By default the FIFOs stay as they
            are, but for streams that meet where ``stages`` are given, which hold what the new beats
            need. A number is the least for such streams, a mapping is taken at its word.

    Raises:
        GraphError: A depth is given for an unknown stream, or is negative.
    """
    source = _sources(dataflow)
    logical = logical_stages(dataflow) if stages is None else tuple(stages)
    outputs = [source.get(name, name) for name in dataflow.outputs]
    host = {source.get(name, name): affine for name, affine in dataflow.host.items()}
    streams = [*dataflow.inputs, *(name for stage in logical for name in stage.outputs)]
    depths = dict(_depths(dataflow, streams, fifo_depth))
    if stages is not None and fifo_depth is None:
        joined = {name for stage in logical if len(stage.inputs) > 1 for name in stage.inputs}
        depths = {name: depth for name, depth in depths.items() if name not in joined}
    return assemble(
        name=dataflow.name,
        inputs=dataflow.inputs,
        outputs=outputs,
        stages=logical,
        origins={name: o for name, o in dataflow.origins.items() if name in streams},
        accumulators=dataflow.accumulators,
        host=host,
        fifo_depth=depths,
        is_least=isinstance(fifo_depth, int),
    )


def without_fifos(dataflow: Dataflow) -> Dataflow:
    """Return ``dataflow`` with no FIFO at all, so that branches that meet may wait for ever."""
    stages = logical_stages(dataflow)
    streams = [*dataflow.inputs, *(name for stage in stages for name in stage.outputs)]
    return connect(dataflow, fifo_depth=dict.fromkeys(streams, 0))


def assemble(
    *,
    name: str,
    inputs: Mapping[str, StreamType],
    outputs: Sequence[str],
    stages: Sequence[Stage],
    origins: Mapping[str, Origin],
    accumulators: Mapping[str, Origin],
    host: Mapping[str, HostAffine],
    fifo_depth: Mapping[str, int] = MappingProxyType({}),
    is_least: bool = False,
) -> Dataflow:
    """Return the dataflow of logical stages, joined as :func:`connect` says.

    Args:
        name: Of the top level.
        inputs: Type of each input.
        outputs: Logical streams that leave.
        stages: Logical stages in topological order.
        origins: By logical stream.
        accumulators: By stage.
        host: By output.
        fifo_depth: By logical stream, beats that its FIFO stores.
        is_least: Whether streams that meet may get deeper FIFOs than ``fifo_depth`` says.
    """
    wanted = {
        stream: kind
        for stage in stages
        for stream, kind in zip(stage.inputs, stage.input_types, strict=True)
    }
    entering = {
        stream: _entering(kind, wanted.get(stream, kind)) for stream, kind in inputs.items()
    }
    depths = dict(fifo_depth)
    for stream, held in _held_beats(entering, stages, wanted).items():
        depths[stream] = max(held, depths.get(stream, 0)) if is_least else depths.get(stream, held)
    connected, behind = _join(entering, stages, wanted, depths)
    known = dict(origins)
    for stream, bridges in behind.items():
        if stream in origins:
            known.update((bridge.outputs[0], origins[stream]) for bridge in bridges)
    ends = {
        stream: bridges[-1].outputs[0] if bridges else stream for stream, bridges in behind.items()
    }
    return Dataflow(
        name=name,
        inputs=entering,
        outputs=tuple(ends[stream] for stream in outputs),
        stages=tuple(connected),
        origins=known,
        accumulators=accumulators,
        host={ends[stream]: affine for stream, affine in host.items()},
    )


def _join(
    inputs: Mapping[str, StreamType],
    logical: Sequence[Stage],
    wanted: Mapping[str, StreamType],
    depths: Mapping[str, int],
) -> tuple[list[Stage], dict[str, list[Stage]]]:
    """Return logical stages with converters and FIFOs between them, and those of each stream."""
    connected: list[Stage] = []
    bridges: dict[str, list[Stage]] = {}

    def join(name: str, have: StreamType) -> None:
        want = wanted.get(name, have)
        bridges[name] = bridge_stages(name, have, want, depths.get(name, 0))
        connected.extend(bridges[name])

    for name, kind in inputs.items():
        join(name, kind)
    for stage in logical:
        entering = [
            bridges[name][-1].outputs[0] if bridges[name] else name for name in stage.inputs
        ]
        connected.append(stage.with_(inputs=tuple(entering)))
        for name, kind in zip(stage.outputs, stage.output_types, strict=True):
            join(name, kind)
    return connected, bridges


def _held_beats(
    inputs: Mapping[str, StreamType], logical: Sequence[Stage], wanted: Mapping[str, StreamType]
) -> dict[str, int]:
    """Return, by logical stream that meets another one, beats that its FIFO must store.

    That is what keeps the dataflow from deadlock, two beats for the rounding of converters, and a
    row of the image, at most a whole image.
    """
    if all(len(stage.inputs) < 2 for stage in logical):
        return {}
    connected, bridges = _join(inputs, logical, wanted, {})
    held = held_elements(connected)
    kinds = dict(inputs) | {
        name: kind
        for stage in logical
        for name, kind in zip(stage.outputs, stage.output_types, strict=True)
    }
    depths = {}
    for name, between in bridges.items():
        elements = held.get(between[-1].outputs[0] if between else name, 0)
        if elements:
            want = wanted[name]
            lanes = max(kinds[name].lanes, want.lanes)
            image = kinds[name].elements // lanes
            row = image // want.shape[0] if len(want.shape) > 1 else 0
            beats = -(-elements // lanes) + 2
            depths[name] = max(beats, min(beats + row, image))
    return depths


def _depths(
    dataflow: Dataflow, streams: list[str], fifo_depth: int | Mapping[str, int] | None
) -> Mapping[str, int]:
    """Return the depth of each logical stream that shall have a FIFO."""
    if fifo_depth is None:
        return fifo_depths(dataflow)
    given = dict.fromkeys(streams, fifo_depth) if isinstance(fifo_depth, int) else fifo_depth
    for name, depth in given.items():
        if name not in streams:
            raise GraphError(f"FIFO of stream {name!r}: unknown; the streams are {streams}")
        if depth < 0:
            raise GraphError(f"FIFO of stream {name!r}: depth={depth} must be >= 0 (0 for none)")
    return given


def _entering(kind: StreamType, wanted: StreamType) -> StreamType:
    """Return the type of an input for the stage that consumes it."""
    return kind.with_lanes(wanted.lanes) if kind.shape[-1] % wanted.lanes == 0 else wanted


def bridge_stages(name: str, have: StreamType, want: StreamType, depth: int) -> list[Stage]:
    """Return the stages that bring stream ``name`` to the beats of ``want``, through a FIFO."""
    bridges: list[Stage] = []
    lanes = want.lanes
    at = name

    def store(beats: int) -> None:
        nonlocal at
        fifo = f"{name}_fifo"
        bridges.append(
            Fifo(name=fifo, inputs=(at,), outputs=(f"{fifo}_out",), type=have, depth=beats)
        )
        at = f"{fifo}_out"

    is_first = _is_before_converters(have, want)
    if depth and is_first:
        store(depth)
    if have.shape != want.shape and have.lanes != lanes:
        have = have.flat
    middle = math.lcm(have.lanes, lanes)
    steps = [middle, lanes] if middle not in (have.lanes, lanes) else [lanes]
    for number, to in enumerate(steps, start=1):
        if to == have.lanes:
            continue
        width = f"{name}_width{number if number > 1 else ''}"
        stage = Width(name=width, inputs=(at,), outputs=(f"{width}_out",), type=have, lanes=to)
        bridges.append(stage)
        at, have = f"{width}_out", stage.output_types[0]
    if depth and not is_first:
        store(depth)
    return bridges


def _is_before_converters(have: StreamType, want: StreamType) -> bool:
    return want.lanes <= have.lanes


@dataclass(frozen=True, kw_only=True)
class FifoPlace:
    """Where :func:`connect` would put the FIFO of a logical stream.

    Attributes:
        stream: Logical stream.
        before: Stream that the FIFO would take, of the dataflow without FIFOs.
        type: Its type.
    """

    stream: str
    before: str
    type: StreamType


def fifo_places(dataflow: Dataflow) -> list[FifoPlace]:
    """Return the places for FIFOs between the logical stages, in stream order.

    There are none at inputs and outputs: a FIFO there smooths what is outside.
    """
    stages = logical_stages(dataflow)
    wanted = {
        name: kind for s in stages for name, kind in zip(s.inputs, s.input_types, strict=True)
    }
    places = []
    for stage in stages:
        for name, have in zip(stage.outputs, stage.output_types, strict=True):
            if name not in wanted:
                continue
            before, kind = name, have
            if not _is_before_converters(have, wanted[name]):
                last = bridge_stages(name, have, wanted[name], 0)[-1]
                before, kind = last.outputs[0], last.output_types[0]
            places.append(FifoPlace(stream=name, before=before, type=kind))
    return places
