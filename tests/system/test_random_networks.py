"""Random small networks agree at all levels, integer by integer and cycle by cycle.

torch == QONNX (the export compares them itself) == reference == packed reference == RTL, and the
clock simulator == RTL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from popshift.flows.compare import Comparison, compare_values
from popshift.flows.conformance import check, side_by_side
from popshift.flows.golden import load_golden, stream_images
from popshift.flows.verify import compare_golden
from popshift.hw.dtypes import IntArray
from popshift.hw.frontend import load_with_report
from popshift.hw.graph import Dataflow
from popshift.hw.passes import apply_folding, connect, logical_stages
from popshift.hw.passes.fold import foldings
from popshift.hw.reference import compile_reference
from popshift.models import export

from .random_branches import random_branches
from .random_networks import RandomNetwork, images_of, random_network

IMAGES = 4
# One Verilator model holds many networks: compiling it is what takes time.
BATCHES, NETWORKS_PER_BATCH = 10, 30


def compiled(
    network: RandomNetwork, seed: int, folder: Path
) -> tuple[Dataflow, IntArray, Comparison]:
    """Return a network with a random folding, its images, and its reference against torch."""
    result = export(
        network,
        folder / f"net{seed}.onnx",
        inputs=images_of(network, IMAGES, seed),
        golden=folder / f"net{seed}.npz",
    )
    dataflow, report = load_with_report(result.model, name=f"net{seed}")
    assert not [layer for layer in report.layers if layer.channels_differing], f"seed {seed}"
    rng = np.random.default_rng(seed)
    folding = {}
    for stage in logical_stages(dataflow):
        rows = foldings(stage)
        row = rows[rng.integers(0, len(rows))]
        folding[stage.name] = row[rng.integers(0, len(row))]
    dataflow = apply_folding(dataflow, folding)
    dataflow = connect(dataflow, fifo_depth=int(rng.integers(0, 6)))
    golden = load_golden(result.golden)
    images = stream_images(dataflow, golden.images)
    return dataflow, images, compare_golden(dataflow, dataflow.execute(images), golden)


def _batches(count: int, always: int) -> list[Any]:
    """Return batches of which the first ``always`` are not long."""
    more = [pytest.param(batch, marks=pytest.mark.long) for batch in range(always, count)]
    return [*range(always), *more]


@pytest.mark.slow
@pytest.mark.parametrize("batch", _batches(BATCHES, 1))
def test_random_networks_agree_at_all_levels(batch: int, tmp_path: Path) -> None:
    first = batch * NETWORKS_PER_BATCH
    agree_at_all_levels(random_network, range(first, first + NETWORKS_PER_BATCH), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("batch", _batches(3, 1))
def test_random_networks_with_branches_agree_at_all_levels(batch: int, tmp_path: Path) -> None:
    agree_at_all_levels(random_branches, range(batch * 15, batch * 15 + 15), tmp_path)


def agree_at_all_levels(
    make: Callable[[int], RandomNetwork], seeds: Sequence[int], tmp_path: Path
) -> None:
    dataflows, inputs = [], []
    for seed in seeds:
        dataflow, images, against_torch = compiled(make(seed), seed, tmp_path)
        assert against_torch.first == (), f"seed {seed}"
        assert against_torch.elements > 0
        dataflows.append(dataflow)
        inputs.append(images)
    together = side_by_side(dataflows)
    result = check(together, tmp_path, inputs=inputs, seed=seeds[0])
    assert result.first == ()
    assert result.mismatches == 0
    # Compiling the packed kernels takes seconds: one network of each batch.
    streams = compile_reference(dataflows[0]).streams(inputs[0])
    packed = compare_values(dataflows[0], dataflows[0].execute(inputs[0]), streams)
    assert packed.first == ()
