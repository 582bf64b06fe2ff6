"""What limits the rate: the cycle of waits that takes the longest for an image."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .evaluate import NEVER
from .event_graph import EdgeKind, Events
from .order import Array
from .program import LINE, SLOTS
from .run import Run

_FIRST_FRAMES = 4
_MAX_FRAMES = 64


@dataclass(frozen=True, kw_only=True)
class CriticalCycle:
    """Waits that close a cycle: no image can take less than they do.

    Attributes:
        interval: Cycles of an image on it.
        stages: Stages whose operations are on it, in the order of the dataflow.
        full: Streams whose places are waited for on it: deeper FIFOs there may help.
    """

    interval: Fraction
    stages: tuple[str, ...]
    full: tuple[str, ...]

    def __str__(self) -> str:
        """Return a sentence."""
        shown = f"{float(self.interval):,.10g} cycles an image"
        if len(self.stages) == 1:
            return f"{self.stages[0]} is the bottleneck: {shown}"
        text = f"{', '.join(self.stages)} wait for each other: {shown}"
        return text + (f"; full: {', '.join(self.full)}" if self.full else "")


def critical_cycle(run: Run) -> CriticalCycle | None:
    """Return the cycle of waits that the last image of a run closes.

    It is what limits the rate once the images follow each other evenly. None if no event comes
    again: in a run of few images, or where a source or a sink is the limit.
    """
    frames = _FIRST_FRAMES
    while True:
        count = min(frames, run.frames)
        if count < 2:
            return None
        found = _in_last_frames(run, count)
        if found is not None or count == run.frames or frames > _MAX_FRAMES:
            return found
        frames *= 2


def _in_last_frames(run: Run, count: int) -> CriticalCycle | None:
    program, graph = run.program, run.program.graph
    cycles = np.full(1 + count * program.events, NEVER, np.int64)
    numbers = np.arange(run.frames - count, run.frames)
    cycles[1:] = run.at(numbers, np.arange(program.events, dtype=np.int32)).reshape(-1)
    used = np.zeros(len(graph.edges), np.bool_)
    stepped = np.zeros(program.events, np.bool_)
    took, images = follow(
        cycles, count, program.code, program.edges, program.fixes,
        np.full(program.events, -1, np.int32), np.ones(len(graph.edges), np.int64), used, stepped,
    )  # fmt: skip
    if images == 0:
        return None
    on_it = {graph.threads[thread].stage for thread in np.unique(program.thread[stepped])}
    order = dict.fromkeys(thread.stage for thread in graph.threads if thread.stage is not None)
    places = (edge for edge, is_used in zip(graph.edges, used, strict=True) if is_used)
    return CriticalCycle(
        interval=Fraction(took, images),
        stages=tuple(stage for stage in order if stage in on_it),
        full=tuple(edge.name for edge in places if edge.kind == EdgeKind.PLACES),
    )


@njit(cache=True)  # pragma: no cover - compiled
def follow(
    cycles: Array,
    frames: int,
    code: Events,
    edges: Events,
    fixes: Array,
    own_edge: Events,
    rank: Array,
    used: NDArray[np.bool_],
    stepped: NDArray[np.bool_],
) -> tuple[int, int]:
    """Follow what the latest event of the last frame waited for until an event comes again.

    Of several waits that ended in the same cycle, the one of least rank is followed: that of the
    thread itself has rank 0, one for a paced source 3.

    Args:
        cycles: Of every event, see ``evaluate``.
        frames: Frames in it, at least 2.
        code: See ``Program``.
        edges: See ``Program``.
        fixes: See ``Program.fixes``.
        own_edge: Per event, a number that stands for its wait for the event before it of its
            thread; -1 if that is the thread's own.
        rank: Per edge or number.
        used: Receives which edges or numbers are on the cycle.
        stepped: Receives which events are on it.

    Returns:
        The cycles and images that the cycle takes; no images if the first frame was reached before
        an event came again.
    """
    events = len(own_edge)
    seen = np.full(events, -1, np.int64)
    base = (frames - 1) * events
    latest, at = -(1 << 62), base
    for event in range(events):
        delay = int(cycles[1 + base + event] - cycles[1 + base - events + event])
        if delay > latest:
            latest, at = delay, base + event
    first = -1
    end = at
    while True:
        event = at % events
        if first < 0:
            if seen[event] >= 0:
                # Once more around, this time with the edges.
                first = at
                end = int(seen[event])
                at = end
            seen[event] = at
        elif at == first:
            return int(cycles[1 + end] - cycles[1 + at]), (end - at) // events
        now = cycles[1 + at]
        line = event * LINE
        best, chosen, before = 9, -1, -1
        if at >= code[line] and cycles[1 + at - code[line]] + code[line + 1] == now:
            chosen = int(own_edge[event])
            best = int(rank[chosen]) if chosen >= 0 else 0
            before = at - int(code[line])
        for slot in range(SLOTS - 1):
            if best == 0:
                break
            edge = int(edges[event * (SLOTS - 1) + slot])
            distance, delay = int(code[line + 2 * slot + 2]), int(code[line + 2 * slot + 3])
            if edge < 0 or at < distance or cycles[1 + at - distance] + delay != now:
                continue
            if rank[edge] < best:
                best, chosen, before = int(rank[edge]), edge, at - distance
        fix = np.searchsorted(fixes[:, 0], event)
        while best > 0 and fix < len(fixes) and fixes[fix, 0] == event:
            distance, delay, edge = int(fixes[fix, 2]), int(fixes[fix, 3]), int(fixes[fix, 5])
            if fixes[fix, 1] == 1 and at >= distance and cycles[1 + at - distance] + delay == now:
                order = int(rank[edge]) if edge >= 0 else 3
                if order < best:
                    best, chosen, before = order, edge, at - distance
            fix += 1
        if before < 0:
            return 0, 0
        if first >= 0:
            stepped[event] = True
            if chosen >= 0:
                used[chosen] = True
        at = before
