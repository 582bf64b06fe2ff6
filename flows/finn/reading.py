"""A graph of FINN's own ops, read and simulated: what ``popshift finn import`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...hw import storage
from ...hw.errors import GraphError
from ...hw.finn.foreign import read_finn
from ...hw.graph import Dataflow
from ...hw.passes import connect
from ...hw.passes.fold import cycles_per_image
from ...hw.sim import simulate


@dataclass(frozen=True, kw_only=True)
class ReadNode:
    """A node of FINN and the stage that it became.

    Attributes:
        node: Name in the graph.
        op: FINN's op.
        stage: Name of the stage; "" where it is a part of another, or of a connection.
        estimate: FINN's estimate of its cycles per image, where the file has it.
        cycles: Cycles per image of the stage when nothing stalls it.
    """

    node: str
    op: str
    stage: str
    estimate: int | None
    cycles: int | None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A graph of FINN with its exact timing as stages of popshift.

    Attributes:
        nodes: In the order of the graph.
        images: Images simulated back to back.
        interval_cycles: Cycles between the last two images.
        latency_cycles: Cycles from the first beat that enters to the last one of the first image.
    """

    nodes: tuple[ReadNode, ...]
    images: int
    interval_cycles: int
    latency_cycles: int


def read(model: Path, *, fifos: int | None, images: int, output: Path | None = None) -> Reading:
    """Read, simulate and, if ``output`` is given, store a graph of FINN.

    Args:
        model: Graph of FINN's hardware ops.
        fifos: Beats of a FIFO on every stream instead of FINN's; None for FINN's.
        images: Images to simulate.
        output: Folder of the stored dataflow.

    Raises:
        PopshiftError: As :func:`read_finn`, or the simulation deadlocks.
    """
    if output is not None and (output / storage.JSON_FILE).exists():
        raise GraphError(f"{output}: holds a dataflow already; choose another --output")
    imported = read_finn(model)
    dataflow = imported.dataflow
    if fifos is not None:
        dataflow = connect(dataflow, fifo_depth=fifos)
    cycles = {stage.name: cycles_per_image(stage) for stage in dataflow.stages}
    interval, latency = timing(dataflow, images)
    if output is not None:
        storage.save(dataflow, output)
    return Reading(
        nodes=tuple(
            ReadNode(node=node, op=op, stage=stage, estimate=estimate, cycles=cycles.get(stage))
            for node, op, stage, estimate in imported.nodes
        ),
        images=images,
        interval_cycles=interval,
        latency_cycles=latency,
    )


def timing(dataflow: Dataflow, images: int) -> tuple[int, int]:
    """Return the cycles between the last two of ``images`` and the latency of the first."""
    trace = simulate(dataflow, images=images)
    ends = [trace.cycles[name].reshape(images, -1)[:, -1] for name in dataflow.outputs]
    first = min(int(trace.cycles[name][0]) for name in dataflow.inputs)
    interval = max(int(end[-1] - end[-2]) for end in ends)
    return interval, max(int(end[0]) for end in ends) - first
