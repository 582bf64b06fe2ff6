"""A schedule as a finite machine, as ``hw.schedule`` defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from popshift.hw.graph import Stage
from popshift.hw.schedule import Schedule


@dataclass(frozen=True)
class State:
    """Registers of the machine.

    Attributes:
        operations: Next operation of each thread.
        places: Free places of each pipe.
        offered: Beats that each pipe offers.
        in_flight: Beats on their way in each pipe; bit i arrives in i + 1 cycles.
        written: Words written to each buffer, less those of the reader's earlier periods.
        visible: Alike, those that the reader sees.
        freed: Alike, those that it has freed.
        on_the_way: Words on their way to the reader, as ``in_flight``.
    """

    operations: tuple[int, ...]
    places: tuple[int, ...]
    offered: tuple[int, ...]
    in_flight: tuple[int, ...]
    written: tuple[int, ...]
    visible: tuple[int, ...]
    freed: tuple[int, ...]
    on_the_way: tuple[int, ...]


class Machine:
    """The machine of a stage: which beats it takes and offers in a cycle, and what follows."""

    def __init__(self, stage: Stage) -> None:
        self.schedule: Schedule = stage.schedule()
        self.inputs: Sequence[str] = stage.input_ports
        self.outputs: Sequence[str] = stage.output_ports
        self._pipes = [self.schedule.pipes[port] for port in self.outputs]

    @property
    def reset(self) -> State:
        """The state after a reset."""
        pipes, buffers = len(self._pipes), len(self.schedule.buffers)
        return State(
            operations=(0,) * len(self.schedule.threads),
            places=tuple(pipe.capacity for pipe in self._pipes),
            offered=(0,) * pipes,
            in_flight=(0,) * pipes,
            written=(0,) * buffers,
            visible=(0,) * buffers,
            freed=(0,) * buffers,
            on_the_way=(0,) * buffers,
        )

    def valid(self, state: State) -> tuple[bool, ...]:
        """Return which outputs offer a beat."""
        return tuple(count > 0 for count in state.offered)

    def step(
        self, state: State, valid: Sequence[bool], ready: Sequence[bool]
    ) -> tuple[tuple[bool, ...], State]:
        """Return which inputs are taken from in a cycle, and the next state.

        Args:
            state: Registers.
            valid: Per input, whether a beat is offered.
            ready: Per output, whether a beat is taken.
        """
        fires = [self._fires(thread, state, valid) for thread in range(len(state.operations))]
        takes, puts = set(), set()
        for thread, here, does in zip(self.schedule.threads, state.operations, fires, strict=True):
            if does:
                takes |= {port for port, table in thread.consumes.items() if table[here]}
                puts |= {port for port, table in thread.produces.items() if table[here]}
        pipes = [
            _pipe(
                (state.places[i], state.offered[i], state.in_flight[i]),
                is_put=port in puts,
                is_ready=ready[i],
                latency=self._pipes[i].latency,
            )
            for i, port in enumerate(self.outputs)
        ]
        buffers = [self._buffer(i, state, fires) for i in range(len(self.schedule.buffers))]
        operations = tuple(
            (here + does) % thread.operations
            for thread, here, does in zip(
                self.schedule.threads, state.operations, fires, strict=True
            )
        )
        places, offered, in_flight = zip(*pipes, strict=True)
        written, visible, freed, on_the_way = zip(*buffers, strict=True) if buffers else ((),) * 4
        return tuple(port in takes for port in self.inputs), State(
            operations, places, offered, in_flight, written, visible, freed, on_the_way
        )

    def _fires(self, number: int, state: State, valid: Sequence[bool]) -> bool:
        thread, here = self.schedule.threads[number], state.operations[number]
        for port, table in thread.consumes.items():
            if table[here] and not valid[self.inputs.index(port)]:
                return False
        for port, table in thread.produces.items():
            if table[here] and not state.places[self.outputs.index(port)]:
                return False
        for i, buffer in enumerate(self.schedule.buffers):
            is_full = state.written[i] - state.freed[i] >= buffer.capacity
            if buffer.writer == number and is_full:
                return False
            if buffer.reader == number and state.visible[i] < buffer.needs[here]:
                return False
        return True

    def _buffer(
        self, number: int, state: State, fires: Sequence[bool]
    ) -> tuple[int, int, int, int]:
        buffer = self.schedule.buffers[number]
        written, visible = state.written[number], state.visible[number]
        freed, on_the_way = state.freed[number], state.on_the_way[number]
        if fires[buffer.writer]:
            written += 1
            on_the_way |= 1 << (buffer.latency - 1)
        visible += on_the_way & 1
        if fires[buffer.reader]:
            here = state.operations[buffer.reader]
            freed = int(buffer.releases[here])
            if here == self.schedule.threads[buffer.reader].operations - 1:
                words = self.schedule.threads[buffer.writer].operations
                written, visible, freed = written - words, visible - words, freed - words
        return written, visible, freed, on_the_way >> 1


def _pipe(
    state: tuple[int, int, int], *, is_put: bool, is_ready: bool, latency: int
) -> tuple[int, int, int]:
    """Return places, offered beats and beats in flight of a pipe a cycle later."""
    places, offered, in_flight = state
    if offered and is_ready:
        offered, places = offered - 1, places + 1
    if is_put:
        places -= 1
        in_flight |= 1 << (latency - 1)
    return places, offered + (in_flight & 1), in_flight >> 1
