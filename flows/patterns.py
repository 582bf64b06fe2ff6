"""Random gaps of sources and stalls of sinks."""

from __future__ import annotations

import numpy as np

from ..hw.graph import Dataflow

Pattern = list[int]


def random_patterns(
    dataflow: Dataflow, rng: np.random.Generator
) -> tuple[dict[str, Pattern], dict[str, Pattern]]:
    """Return gaps per input and ready calendars per output, busy and idle ones mixed.

    Both repeat; see ``hw.sim.clock.simulate`` for their meaning.
    """
    gaps: dict[str, Pattern] = {}
    for name in dataflow.inputs:
        often = rng.choice([0.0, 0.1, 0.5, 0.9])
        waits = rng.integers(1, 9, int(rng.integers(1, 40)))
        gaps[name] = [int(w) if rng.random() < often else 0 for w in waits]
    ready: dict[str, Pattern] = {}
    for name in dataflow.outputs:
        often = rng.choice([0.1, 0.5, 0.9, 1.0])
        calendar = (rng.random(int(rng.integers(1, 40))) < often).astype(int)
        calendar[rng.integers(0, len(calendar))] = 1
        ready[name] = calendar.tolist()
    return gaps, ready
