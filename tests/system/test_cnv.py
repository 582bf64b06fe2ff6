"""FINN's CNV in its three precisions: torch == QONNX == reference == RTL, clock simulator == RTL.

Every integer of every stream and the cycle of every beat, images back to back and under random gaps
and stalls, with random and with trained weights, at two foldings. Back to back, an image takes as
many cycles as its slowest layer.
"""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from popshift.flows.compare import compare_cycles, compare_values
from popshift.flows.golden import load_golden, stream_images
from popshift.flows.patterns import random_patterns
from popshift.flows.verify import compare_golden
from popshift.flows.verilate import compile_model
from popshift.hw.emit import emit
from popshift.hw.frontend import load_with_report
from popshift.hw.passes import connect, fold, size_fifos
from popshift.hw.passes.fold import cycles_per_image
from popshift.hw.sim import simulate
from popshift.models import data, export, train, zoo

PRECISIONS = {"w1a1": ("binary", "binary"), "w1a2": ("binary", "int2"), "w2a2": ("int2", "int2")}
IMAGES = 3
CLOCK_MHZ = 100


@cache
def digits() -> data.DataSplit:
    return data.load("digits-32")


def random_cnv(precision: str) -> nn.Module:
    """Random weights, and BatchNorm of a few images with factors of both signs and 0."""
    torch.manual_seed(0)
    weight, act = PRECISIONS[precision]
    net = zoo.create("cnv", weight=weight, act=act)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None
        net.train()(digits().train.images[:8].float())
        for norm in norms:
            norm.weight.normal_()
            norm.bias.normal_(0, 0.3)
            norm.weight[0] = 0.0
    return net.eval()


def trained_cnv(precision: str) -> nn.Module:
    weight, act = PRECISIONS[precision]
    net = zoo.create("cnv", weight=weight, act=act)
    train.fit(net, digits(), recipe="bnn", epochs=1, seed=0)
    return net


# One and two bits, each folding and each kind of weights are among those that are not long. The
# wide ones of several bits take minutes to compile.
_SOME = [(trained_cnv, "w1a1", 12_000), (random_cnv, "w2a2", 3_000)]
_REST = [
    case
    for case in itertools.product((random_cnv, trained_cnv), PRECISIONS, (3_000, 12_000))
    if case not in _SOME
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "precision", "fps"),
    [*_SOME, *(pytest.param(*case, marks=pytest.mark.long) for case in _REST)],
)
def test_cnv_agrees_at_all_levels(weights, precision: str, fps: int, tmp_path: Path) -> None:
    net = weights(precision)
    images = digits().test.images[:IMAGES]
    result = export(net, tmp_path / "cnv.onnx", inputs=images)
    dataflow, report = load_with_report(result.model)
    assert not [layer for layer in report.layers if layer.channels_differing]
    dataflow = fold(dataflow, fps=fps, clock_mhz=CLOCK_MHZ)
    slowest = max(cycles_per_image(stage) for stage in dataflow.stages)
    # With one bit those that the rate needs, which are none; with more bits some everywhere, behind
    # which the same integers are compared once more.
    fifos, least = (size_fifos(dataflow).depths, 330_000) if precision == "w1a1" else (64, 400_000)
    dataflow = connect(dataflow, fifo_depth=fifos)
    golden = load_golden(result.golden)
    entering = stream_images(dataflow, golden.images)
    streams = dataflow.execute(entering)
    against_torch = compare_golden(dataflow, streams, golden)
    assert against_torch.first == ()
    assert against_torch.elements > least * IMAGES

    emit(dataflow, tmp_path / "rtl")
    model = compile_model(tmp_path / "rtl", dataflow, tmp_path)
    for gaps, ready in (({}, {}), random_patterns(dataflow, np.random.default_rng(0))):
        clock = simulate(dataflow, images=IMAGES, gaps=gaps, ready=ready)
        rtl = model.run(entering, gaps=gaps, ready=ready, max_cycles=2 * clock.total_cycles)
        assert compare_values(dataflow, streams, rtl.values).first == ()
        assert compare_cycles(dataflow, clock.cycles, rtl.cycles).first == ()
        if not gaps:
            ends = rtl.cycles[dataflow.outputs[0]].reshape(IMAGES, -1)[:, -1]
            assert np.diff(ends).tolist() == [slowest] * (IMAGES - 1)
