"""A dataflow's schedules as flat arrays, the form that compiled simulators read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError
from ..graph import Dataflow
from .patterns import Array, Pattern, gap_patterns, ready_patterns


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Threads, ports, streams and buffers by index.

    Attributes:
        stream_names: Streams in ``Dataflow.streams`` order.
        thread_ops: Operations of each thread's program.
        port_thread: Thread of each port.
        port_stream: Stream of each port.
        port_is_input: Whether the port consumes.
        port_table: Where the port's 0/1 table begins in ``tables``.
        tables: All tables, one after the other.
        latency: Of the pipe before each stream, cycles; 0 for an input of the dataflow.
        capacity: Of the pipe before each stream, beats; 0 for an input of the dataflow.
        buffers: Writing thread, reading thread, capacity, latency, words of a period, and where
            needs and releases begin in ``tables``; shape ``(buffers, 7)``.
        beats: Beats of each stream in the whole run.
        beats_offset: Where each stream's beats begin in one flat array, and the total.
        source_streams: Streams that enter.
        sink_streams: Streams that leave.
        gap_offset: Where each source's gaps begin in ``gap_values``, and the total.
        gap_values: Idle cycles before a beat.
        ready_offset: Where each sink's calendar begins in ``ready_values``, and the total.
        ready_values: 1 where the sink takes a beat.
    """

    stream_names: tuple[str, ...]
    thread_ops: Array
    port_thread: Array
    port_stream: Array
    port_is_input: NDArray[np.bool_]
    port_table: Array
    tables: NDArray[np.int32]
    latency: Array
    capacity: Array
    buffers: Array
    beats: Array
    beats_offset: Array
    source_streams: Array
    sink_streams: Array
    gap_offset: Array
    gap_values: Array
    ready_offset: Array
    ready_values: Array

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """Return all fields but the names, in order."""
        return tuple(getattr(self, name) for name in list(self.__dataclass_fields__)[1:])


def tabulate(
    dataflow: Dataflow,
    *,
    images: int,
    gaps: Mapping[str, Pattern] | None,
    ready: Mapping[str, Pattern] | None,
) -> Tables:
    """Return the flat arrays of a run; see ``hw.sim.clock.simulate`` for the arguments.

    Raises:
        SimulationError: A pattern names no input or output, is empty, or holds an illegal value.
    """
    if images < 0:
        raise SimulationError(f"{dataflow.name}: images={images} must be >= 0")
    names = tuple(dataflow.streams)
    index = {name: i for i, name in enumerate(names)}
    latency = np.zeros(len(names), np.int64)
    capacity = np.zeros(len(names), np.int64)
    thread_ops: list[int] = []
    ports: list[tuple[int, int, bool, int]] = []
    buffers: list[tuple[int, ...]] = []
    tables: list[NDArray[np.int32]] = []
    filled = 0
    for stage in dataflow.stages:
        schedule = stage.schedule()
        stream_of = dict(zip(stage.input_ports, stage.inputs, strict=True))
        stream_of |= dict(zip(stage.output_ports, stage.outputs, strict=True))
        for port, pipe in schedule.pipes.items():
            latency[index[stream_of[port]]] = pipe.latency
            capacity[index[stream_of[port]]] = pipe.capacity
        first_thread = len(thread_ops)
        for thread in schedule.threads:
            for is_input, moves in ((True, thread.consumes), (False, thread.produces)):
                for port, table in moves.items():
                    ports.append((len(thread_ops), index[stream_of[port]], is_input, filled))
                    tables.append(table)
                    filled += len(table)
            thread_ops.append(thread.operations)
        for buffer in schedule.buffers:
            buffers.append(
                (
                    first_thread + buffer.writer,
                    first_thread + buffer.reader,
                    buffer.capacity,
                    buffer.latency,
                    schedule.threads[buffer.writer].operations,
                    filled,
                    filled + len(buffer.needs),
                )
            )
            tables += [buffer.needs, buffer.releases]
            filled += 2 * len(buffer.needs)
    port_array = np.array(ports, np.int64).reshape(-1, 4)
    beats = np.array([dataflow.streams[name].beats * images for name in names], np.int64)
    offers = gap_patterns(dataflow.name, tuple(dataflow.inputs), gaps)
    takes = ready_patterns(dataflow.name, dataflow.outputs, ready)
    return Tables(
        stream_names=names,
        thread_ops=np.array(thread_ops, np.int64),
        port_thread=port_array[:, 0].copy(),
        port_stream=port_array[:, 1].copy(),
        port_is_input=port_array[:, 2].astype(np.bool_),
        port_table=port_array[:, 3].copy(),
        tables=np.concatenate([*tables, np.zeros(0, np.int32)]),
        latency=latency,
        capacity=capacity,
        buffers=np.array(buffers, np.int64).reshape(-1, 7),
        beats=beats,
        beats_offset=np.concatenate([[0], np.cumsum(beats)]).astype(np.int64),
        source_streams=np.array([index[name] for name in dataflow.inputs], np.int64),
        sink_streams=np.array([index[name] for name in dataflow.outputs], np.int64),
        gap_offset=offers.begin,
        gap_values=offers.values,
        ready_offset=takes.begin,
        ready_values=takes.values,
    )
