"""What is said of a deadlock: the FIFO that is named ends it, and with a beat less it does not."""

from __future__ import annotations

import re

import numpy as np
import pytest

from popshift.hw.graph import Dataflow
from popshift.hw.passes import connect, logical_stages
from popshift.hw.sim import StalledError, simulate

from .test_bypass import random_folding, random_net, residual

CURES = re.compile(
    r"FIFO (\w+)_fifo is too small: a depth of (\d+) ends this, it has (\d+);"
    r"|a FIFO of depth (\d+) on (\w+) ends this;"
)


def no_fifos(dataflow: Dataflow) -> dict[str, int]:
    """Return a depth of 0 for every stream that may have a FIFO."""
    stages = logical_stages(dataflow)
    return dict.fromkeys([*dataflow.inputs, *(n for s in stages for n in s.outputs)], 0)


def cure(dataflow: Dataflow) -> tuple[str, int] | None:
    """Return the stream and the depth that are named; None where no FIFO alone is enough."""
    with pytest.raises(StalledError) as stalled:
        simulate(dataflow, images=2)
    found = CURES.search(str(stalled.value))
    if found is None:
        assert "no FIFO alone ends this; let the FIFOs be sized" in str(stalled.value)
        return None
    stream, depth, _, depth_of_new, stream_of_new = found.groups()
    return (stream, int(depth)) if stream else (stream_of_new, int(depth_of_new))


def test_the_fifo_that_is_named_ends_the_deadlock_and_a_beat_less_does_not() -> None:
    cured = 0
    for seed in range(40):
        net = random_folding(random_net(seed), np.random.default_rng(seed))
        depths = no_fifos(net)
        stuck = connect(net, fifo_depth=depths)
        try:
            simulate(stuck, images=2)
            continue
        except StalledError:
            found = cure(stuck)
        if found is None:
            continue
        stream, depth = found
        assert stream in depths, seed
        simulate(connect(net, fifo_depth=depths | {stream: depth}), images=2)
        if depth > 1:
            less = connect(net, fifo_depth=depths | {stream: depth - 1})
            assert cure(less) == (stream, depth), seed
        cured += 1
    assert cured >= 10


def test_a_fifo_that_is_there_is_told_the_depth_that_it_needs_as_a_whole() -> None:
    net = residual()
    for depth in (0, 3, 55):
        assert cure(connect(net, fifo_depth={"x_0": depth})) == ("x_0", 56)
    simulate(connect(net, fifo_depth={"x_0": 56}), images=2)
