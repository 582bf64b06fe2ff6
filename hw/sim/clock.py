"""The plain model of time: every stage is a small state machine, every cycle has two phases.

1. *Evaluate*: from the registers alone, decide which operations fire. An operation fires when each
   beat it consumes is offered, each pipe it produces into has a place, and each buffer that it
   writes or reads has room or the words it needs.
2. *Commit*: move the beats of the fired operations, then advance every pipe by one cycle.

No ready or valid depends combinationally on another stage (see ``hw.schedule``), so one pass over
the threads settles a cycle. Cycle 0 is the first one after reset.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..errors import SimulationError
from ..graph import Dataflow
from .patterns import Pattern
from .tables import tabulate
from .trace import Cycles, StalledError, Trace, incomplete_streams


def simulate(
    dataflow: Dataflow,
    *,
    images: int,
    gaps: Mapping[str, Pattern] | None = None,
    ready: Mapping[str, Pattern] | None = None,
    max_cycles: int = 1 << 40,
) -> Trace:
    """Return the cycle of every beat on every stream.

    Args:
        dataflow: Stages and streams.
        images: Images offered back to back at every input.
        gaps: Per input, repeating idle cycles before each beat: beat k is offered ``gaps[k]``
            cycles after the cycle that follows the transfer of beat k - 1 (or after cycle 0).
        ready: Per output, repeating calendar of 0 and 1: whether the sink takes a beat in cycle t.
        max_cycles: Give up after so many cycles.

    Raises:
        StalledError: Deadlock, or ``max_cycles`` passed; names the streams that wait.
        SimulationError: A pattern is wrong.
    """
    tables = tabulate(dataflow, images=images, gaps=gaps, ready=ready)
    cycles = np.full(int(tables.beats_offset[-1]), -1, np.int64)
    moved = np.zeros(len(tables.stream_names), np.int64)
    end = _run(*tables.arrays(), cycles, moved, max_cycles)
    if end < 0:
        name = tables.stream_names[-1 - end]
        raise SimulationError(f"{dataflow.name}: schedule yields too many beats on {name!r}")
    begins = tables.beats_offset[:-1]
    by_stream = {
        name: cycles[begin : begin + count]
        for name, begin, count in zip(tables.stream_names, begins, moved, strict=True)
    }
    trace = Trace(cycles=by_stream, total_cycles=int(cycles.max(initial=-1)) + 1)
    if (moved != tables.beats).any():
        passed, limit = end >= max_cycles, f"max_cycles={max_cycles} passed"
        reason = limit if passed else f"deadlock at cycle {end}"
        found = dict(zip(tables.stream_names, moved.tolist(), strict=True))
        wanted = dict(zip(tables.stream_names, tables.beats.tolist(), strict=True))
        raise StalledError(f"{dataflow.name}: {reason}; {incomplete_streams(wanted, found)}", trace)
    return trace


@njit(cache=True)  # pragma: no cover - compiled
def _run(
    thread_ops: Cycles,
    port_thread: Cycles,
    port_stream: Cycles,
    port_is_input: NDArray[np.bool_],
    port_table: Cycles,
    tables: NDArray[np.int32],
    latency: Cycles,
    capacity: Cycles,
    buffers: Cycles,
    beats: Cycles,
    beats_offset: Cycles,
    source_streams: Cycles,
    sink_streams: Cycles,
    gap_offset: Cycles,
    gap_values: Cycles,
    ready_offset: Cycles,
    ready_values: Cycles,
    cycles: Cycles,
    moved: Cycles,
    max_cycles: int,
) -> int:
    threads, ports, streams = len(thread_ops), len(port_thread), len(latency)
    operation = np.zeros(threads, np.int64)
    fires = np.zeros(threads, np.bool_)
    offered = np.zeros(streams, np.int64)
    places = capacity.copy()
    longest = 1
    for s in range(streams):
        longest = max(longest, latency[s])
    for b in range(len(buffers)):
        longest = max(longest, buffers[b, 3])
    in_flight = np.zeros((streams, longest + 1), np.bool_)
    # Per buffer: words written, words that the reader sees, words freed, words of earlier periods.
    written = np.zeros(len(buffers), np.int64)
    visible = np.zeros(len(buffers), np.int64)
    freed = np.zeros(len(buffers), np.int64)
    earlier = np.zeros(len(buffers), np.int64)
    on_the_way = np.zeros((len(buffers), longest + 1), np.bool_)
    source_wait = np.zeros(len(source_streams), np.int64)
    for i in range(len(source_streams)):
        source_wait[i] = gap_values[gap_offset[i]]
    # Nothing can happen any more when no beat moved for longer than every wait of the outside.
    patience = longest + 2
    for i in range(len(sink_streams)):
        patience = max(patience, ready_offset[i + 1] - ready_offset[i] + longest + 2)

    pops = np.zeros(streams, np.bool_)
    pushes = np.zeros(streams, np.bool_)
    idle = 0
    t = 0
    while t < max_cycles and idle < patience:
        # Evaluate. A source offers its beat in the cycle in which its wait is over.
        for i in range(len(source_streams)):
            s = source_streams[i]
            offered[s] = 1 if source_wait[i] == 0 and moved[s] < beats[s] else 0
        pops[:] = False
        pushes[:] = False
        fires[:] = True
        for p in range(ports):
            k = port_thread[p]
            if tables[port_table[p] + operation[k]] == 0:
                continue
            s = port_stream[p]
            if port_is_input[p]:
                if offered[s] == 0:
                    fires[k] = False
            elif places[s] == 0:
                fires[k] = False
        for b in range(len(buffers)):
            writer, reader, needs = buffers[b, 0], buffers[b, 1], buffers[b, 5]
            if written[b] - freed[b] >= buffers[b, 2]:
                fires[writer] = False
            if visible[b] < earlier[b] + tables[needs + operation[reader]]:
                fires[reader] = False
        for p in range(ports):
            k = port_thread[p]
            if fires[k] and tables[port_table[p] + operation[k]] != 0:
                if port_is_input[p]:
                    pops[port_stream[p]] = True
                else:
                    pushes[port_stream[p]] = True
        for i in range(len(sink_streams)):
            s = sink_streams[i]
            length = ready_offset[i + 1] - ready_offset[i]
            if offered[s] > 0 and ready_values[ready_offset[i] + t % length] != 0:
                pops[s] = True

        # Commit.
        idle += 1
        for b in range(len(buffers)):
            writer, reader, releases = buffers[b, 0], buffers[b, 1], buffers[b, 6]
            if fires[writer]:
                written[b] += 1
                on_the_way[b, (t + buffers[b, 3]) % (longest + 1)] = True
            if fires[reader]:
                freed[b] = earlier[b] + tables[releases + operation[reader]]
                if operation[reader] == thread_ops[reader] - 1:
                    earlier[b] += buffers[b, 4]
            arrives = (t + 1) % (longest + 1)
            if on_the_way[b, arrives]:
                on_the_way[b, arrives] = False
                visible[b] += 1
        for k in range(threads):
            if fires[k]:
                operation[k] = (operation[k] + 1) % thread_ops[k]
                idle = 0
        for i in range(len(source_streams)):
            s = source_streams[i]
            if pops[s]:
                length = gap_offset[i + 1] - gap_offset[i]
                source_wait[i] = gap_values[gap_offset[i] + (moved[s] + 1) % length]
            elif source_wait[i] > 0:
                source_wait[i] -= 1
                idle = 0
        for s in range(streams):
            if pops[s]:
                if moved[s] == beats[s]:
                    return -1 - s
                cycles[beats_offset[s] + moved[s]] = t
                moved[s] += 1
                idle = 0
            if latency[s] == 0:
                continue
            if pops[s]:
                offered[s] -= 1
                places[s] += 1
            if pushes[s]:
                places[s] -= 1
                in_flight[s, (t + latency[s]) % (longest + 1)] = True
            arrives = (t + 1) % (longest + 1)
            if in_flight[s, arrives]:
                in_flight[s, arrives] = False
                offered[s] += 1
        t += 1
    return t
