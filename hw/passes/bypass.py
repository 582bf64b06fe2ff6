"""What a branch must hold until another one, which it meets again, yields its part.

A fork waits for all its outputs, a join for all its inputs. If one branch needs many beats before
it yields anything, the other one must hold them meanwhile, or both wait for ever.

Deadlock of a marked graph does not depend on time, only on whether some order of operations goes on
for ever (Commoner, Holt, Even, Pnueli, "Marked directed graphs", 1971). So one such order is
enough: the fork passes one beat, then everything behind it does what it can, the latest stages
first, before the next beat. What lies at the inputs of a join in this order is the bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ..graph import Stage

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Crossing:
    """What the beats of an output need from an input, and leave of it, in one image.

    Attributes:
        needs: Beats that must have come for each beat of the output, cumulative.
        frees: Beats that are of no use any more after it, cumulative.
    """

    needs: Counts
    frees: Counts


def held_elements(stages: Sequence[Stage]) -> dict[str, int]:
    """Return how much of each stream that meets another one must be held, in elements.

    Args:
        stages: In topological order, converters among them; FIFOs make no difference.

    Returns:
        By stream that enters a stage of several inputs; a stream of which never more than the beat
        that is being joined has to wait is left out.
    """
    held: dict[str, int] = {}
    if any(len(stage.inputs) > 1 for stage in stages):
        graph = _Graph(stages)
        for stage in stages:
            if len(stage.inputs) > 1:
                held.update(_held_at(graph, stage))
    return held


class _Graph:
    """Who yields a stream, and through which stages all ways to it lead.

    Attributes:
        stages: In topological order.
        producer: By stream, the stage that yields it; inputs of the dataflow have none.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = stages
        self.producer = {name: stage for stage in stages for name in stage.outputs}
        self._depth: dict[str, int] = {}
        self._dominator: dict[str, Stage | None] = {}
        for stage in stages:
            above = self.meeting(stage.inputs)
            self._dominator[stage.name] = above
            self._depth[stage.name] = 1 + (self._depth[above.name] if above else 0)

    def meeting(self, streams: Sequence[str]) -> Stage | None:
        """Return the last stage that all ways to all streams lead through, if there is one."""
        return reduce(self._nearest, (self.producer.get(name) for name in streams))

    def _nearest(self, one: Stage | None, other: Stage | None) -> Stage | None:
        """Return the nearest common ancestor in the dominator tree."""
        while one is not other:
            if one is None or other is None:
                return None
            if self._depth[one.name] >= self._depth[other.name]:
                one = self._dominator[one.name]
            else:
                other = self._dominator[other.name]
        return one

    def between(self, root: Stage | None, stream: str) -> set[str]:
        """Return the names of the stages behind ``root`` that ``stream`` depends on."""
        found: set[str] = set()
        waiting = [stream]
        while waiting:
            stage = self.producer.get(waiting.pop())
            if stage is not None and stage is not root and stage.name not in found:
                found.add(stage.name)
                waiting += stage.inputs
        return found


def _held_at(graph: _Graph, join: Stage) -> dict[str, int]:
    """Return what must be held at the inputs of a join, in elements."""
    types = dict(zip(join.inputs, join.input_types, strict=True))
    root = graph.meeting(join.inputs)
    behind = {name: graph.between(root, name) for name in join.inputs}
    if root is None:
        # Several sources: a branch holds a whole image, which is always enough.
        forks = {stage.name for stage in graph.stages if len(stage.outputs) > 1}
        return {name: types[name].elements for name in join.inputs if behind[name] & forks}
    stamps = _stamps(graph, root, set().union(*behind.values()))
    (port,) = join.output_ports
    crossings = _crossings(join, port)
    joined = _fired(join, crossings, stamps)
    times, first = np.unique(joined, return_index=True)
    held, waits = {}, {}
    for name, input_port in zip(join.inputs, join.input_ports, strict=True):
        freed = np.append(0, crossings[input_port].frees)[first]
        held[name] = int((np.searchsorted(stamps[name], times, side="right") - freed).max())
        waits[name] = int((np.searchsorted(stamps[name], times, side="left") - freed).max())
    # Where nothing ever waits, and no stage behind the root serves another branch too, that branch
    # may be the last one to do what it can, and each of its beats is joined at once.
    last = max(held, key=lambda name: (waits[name] <= 0, held[name]))
    others = set().union(*(behind[name] for name in join.inputs if name != last))
    if waits[last] <= 0 and not behind[last] & others:
        held[last] = 1
    return {name: beats * types[name].lanes for name, beats in held.items() if beats > 1}


def _stamps(graph: _Graph, root: Stage, region: set[str]) -> dict[str, Counts]:
    """Return, by stream, how many beats ``root`` has taken when each beat of an image can come."""
    (port,) = root.input_ports
    stamps = {
        name: _crossings(root, out)[port].needs
        for name, out in zip(root.outputs, root.output_ports, strict=True)
    }
    for stage in graph.stages:
        if stage.name in region:
            for name, out in zip(stage.outputs, stage.output_ports, strict=True):
                stamps[name] = _fired(stage, _crossings(stage, out), stamps)
    return stamps


def _fired(stage: Stage, crossings: Mapping[str, Crossing], stamps: Mapping[str, Counts]) -> Counts:
    """Return the stamp of each beat of an output: the latest of what it needs, in order."""
    given = [
        np.where(crossings[port].needs > 0, stamps[name][crossings[port].needs - 1], 0)
        for name, port in zip(stage.inputs, stage.input_ports, strict=True)
        if port in crossings
    ]
    return np.asarray(np.maximum.accumulate(np.max(given, axis=0)), np.int64)


def _crossings(stage: Stage, port: str) -> dict[str, Crossing]:
    """Return, by input port, what each beat of an image at output ``port`` needs and leaves of it.

    The thread of the port consumes by itself, or reads words that other threads wrote of what they
    consumed.
    """
    schedule = stage.schedule()
    thread = next(k for k, thread in enumerate(schedule.threads) if port in thread.produces)
    yields = np.flatnonzero(schedule.threads[thread].produces[port])
    kind = dict(zip(stage.output_ports, stage.output_types, strict=True))[port]
    periods = kind.beats // len(yields)
    found: dict[str, Crossing] = {}
    for input_port, taken in schedule.threads[thread].consumes.items():
        beats = np.cumsum(taken, dtype=np.int64)
        every = _repeated(beats[yields], periods, int(beats[-1]))
        found[input_port] = Crossing(needs=every, frees=every)
    for buffer in schedule.buffers:
        if buffer.reader != thread:
            continue
        for input_port, taken in schedule.threads[buffer.writer].consumes.items():
            beats = np.cumsum(np.append(0, taken), dtype=np.int64)
            needs, frees = (
                _repeated(beats[words[yields]], periods, int(beats[-1]))
                for words in (buffer.needs, buffer.releases)
            )
            found[input_port] = Crossing(needs=needs, frees=frees)
    return found


def _repeated(counts: Counts, periods: int, step: int) -> Counts:
    """Return cumulative counts of one period for several, each of which adds ``step``."""
    return (counts + step * np.arange(periods, dtype=np.int64)[:, None]).reshape(-1)
