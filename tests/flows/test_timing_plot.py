"""The picture of a simulation: its curves pass over no peak."""

from __future__ import annotations

import numpy as np

from popshift.flows.report.timing_plot import extremes


def test_the_least_and_the_most_of_each_part_are_those_of_its_cycles() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        cycles = int(rng.integers(1, 60))
        at = np.sort(rng.choice(cycles + 1, int(rng.integers(0, cycles + 1)), replace=False))
        held = rng.integers(0, 9, len(at))
        edges = np.unique(np.linspace(0, cycles, int(rng.integers(1, cycles + 1)) + 1).astype(int))
        whole = np.append(0, held)[np.searchsorted(at, np.arange(cycles), "right")]
        least, most = extremes(at, held, edges)
        parts = np.split(whole, edges[1:-1])
        assert least.tolist() == [int(part.min()) for part in parts]
        assert most.tolist() == [int(part.max()) for part in parts]
