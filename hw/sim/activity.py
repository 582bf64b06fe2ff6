"""What the stages do with their cycles: work, wait for beats, wait for places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .event_graph import EdgeKind
from .order import Array
from .patterns import Patterns
from .program import SLOTS, Fix
from .run import Run

_INPUT_KINDS = (EdgeKind.BEATS, EdgeKind.WORDS)


@dataclass(frozen=True, kw_only=True)
class StageActivity:
    """Cycles of a stage for some images: of its thread with the most operations.

    Attributes:
        stage: Name.
        images: Images that these cycles are for.
        busy: Operations.
        starved: An operation waits for a beat, whether or not there is a place for its result.
        blocked: It has its beats and waits for a place.
    """

    stage: str
    images: int
    busy: int
    starved: int
    blocked: int

    @property
    def utilisation(self) -> float:
        """Share of cycles with an operation, 0 to 1."""
        return self.busy / max(self.busy + self.starved + self.blocked, 1)


def stage_activities(run: Run, gaps: Patterns) -> list[StageActivity]:
    """Return what each stage does in the last images of a run: as many as repeat.

    That is what it does in the long run, once the images follow each other evenly.
    """
    program = run.program
    threads = len(program.graph.threads)
    starved, blocked = np.zeros(threads, np.int64), np.zeros(threads, np.int64)
    spent = np.zeros(threads, np.int64)
    frames = min(max(run.period, 1), run.frames)
    for frame in range(run.frames - frames, run.frames):
        ready, fed, done, before = _frame(run, gaps, frame)
        np.add.at(spent, program.thread, done - before)
        np.add.at(starved, program.thread, np.maximum(fed - ready, 0))
        np.add.at(blocked, program.thread, done - np.maximum(ready, fed))
    longest: dict[str, int] = {}
    for index, thread in enumerate(program.graph.threads):
        if thread.stage is not None:
            best = longest.get(thread.stage, index)
            longest[thread.stage] = max(best, index, key=lambda i: _operations(run, i))
    return [
        StageActivity(
            stage=stage,
            images=frames * program.images,
            busy=int(spent[index] - starved[index] - blocked[index]),
            starved=int(starved[index]),
            blocked=int(blocked[index]),
        )
        for stage, index in longest.items()
    ]


def _operations(run: Run, thread: int) -> int:
    found = run.program.graph.threads[thread]
    programs = int(run.program.order.done[thread]) // len(found.gaps)
    return programs * found.operations


def _frame(run: Run, gaps: Patterns, frame: int) -> tuple[Array, Array, Array, Array]:
    """Return four cycles of each event of a frame.

    Returns:
        When its thread could have done it, when all its beats and words were there, when it was
        done, and when the event before it of its thread was done.
    """
    program = run.program
    events = np.arange(program.events)
    done = run.cycles_of(np.full(program.events, frame), events)
    lines = program.code.reshape(-1, SLOTS, 2)
    before = _earlier(run, frame, events, lines[:, 0, 0], -1)
    ready = before + lines[:, 0, 1]
    first = np.flatnonzero(before < 0)
    starts = program.fixes[program.fixes[:, 1] == Fix.START]
    lead = np.zeros(program.events, np.int64)
    lead[starts[:, 0]] = starts[:, 2]
    ready[first] = lead[first]
    fed = np.full(program.events, -1, np.int64)
    is_input = np.zeros(len(program.graph.edges) + 1, np.bool_)
    is_input[:-1] = [edge.kind in _INPUT_KINDS for edge in program.graph.edges]
    for slot in range(1, SLOTS):
        edges = program.edges[slot - 1 :: SLOTS - 1]
        at = np.flatnonzero(is_input[edges])
        arrived = _earlier(run, frame, at, lines[at, slot, 0], -1 << 40) + lines[at, slot, 1]
        fed[at] = np.maximum(fed[at], arrived)
    more = program.more[is_input[program.more[:, 3]]]
    arrived = _earlier(run, frame, more[:, 0], more[:, 1], -1 << 40) + more[:, 2]
    np.maximum.at(fed, more[:, 0], arrived)
    for source, name in enumerate(program.graph.inputs):
        pattern = gaps.of(source)
        if pattern.any():
            taken = program.taken[name].astype(np.int64)
            distance = np.diff(taken, prepend=taken[-1:] - program.events)
            numbers = frame * len(taken) + np.arange(len(taken))
            offered = (
                _earlier(run, frame, taken, distance, -1) + 1 + pattern[numbers % len(pattern)]
            )
            fed[taken] = np.maximum(fed[taken], offered)
    return ready, fed, done, before


def _earlier(
    run: Run, frame: int, events: NDArray[np.integer], distance: NDArray[np.integer], never: int
) -> Array:
    """Return the cycle of what lies ``distance`` before each event, ``never`` before the run."""
    at = np.asarray(events, np.int64) - distance
    frames_ago = -(at // run.program.events)
    known = frame - frames_ago >= 0
    found = np.full(len(at), never, np.int64)
    others = at + frames_ago * run.program.events
    found[known] = run.cycles_of((frame - frames_ago)[known], others[known])
    return found
