from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from popshift import models
from popshift.flows.golden import load_golden, qonnx_integers, stream_images
from popshift.flows.verify import compare_golden
from popshift.hw.frontend import load


@pytest.fixture(scope="module", params=["adder4", "shift-ps3", "ternary"])
def exported(request, tmp_path_factory):
    net = models.zoo.create("mlp", hidden=(6, 5), weight=request.param, act="uint4")
    images = torch.randint(0, 17, (5, 64), generator=torch.Generator().manual_seed(0))
    for _ in range(9):
        net.train()(images.float())
    folder = tmp_path_factory.mktemp(request.param)
    return models.export(net.eval(), folder / "model.onnx", inputs=images)


def test_qonnx_computes_the_golden_integers_of_every_point(exported):
    """Also where the file has operators of its own, which stand for functions in it."""
    golden = load_golden(exported.golden)
    integers = qonnx_integers(exported.model, golden)
    assert set(integers) == set(exported.tensors)
    for name, values in integers.items():
        np.testing.assert_array_equal(values, golden.tensors[name])


def test_other_integers_are_seen(exported):
    golden = load_golden(exported.golden, images=2)
    name = exported.tensors[1]
    golden.tensors[name][1, 3] += 1
    differs = qonnx_integers(exported.model, golden)[name] != golden.tensors[name]
    assert np.argwhere(differs).tolist() == [[1, 3]]


@pytest.mark.parametrize("factor", [0.7, 3.0])
def test_what_is_no_whole_number_of_steps_is_seen(exported, factor):
    golden = load_golden(exported.golden, images=2)
    name = exported.tensors[1]
    scales = {**golden.scales, name: golden.scales[name] * factor}
    integers = qonnx_integers(exported.model, replace(golden, scales=scales))[name]
    assert (integers == np.iinfo(np.int64).min).any()


def test_levels_farther_apart_than_torch_counts_are_compared_in_its_steps(tmp_path):
    """Sums of three signs: the file counts levels, torch the steps of their scales."""
    net = models.zoo.create("mlp", hidden=(6, 5), weight="abc3", act="abc3")
    images = torch.randint(0, 17, (9, 64), generator=torch.Generator().manual_seed(0))
    net.train()(images.float())
    result = models.export(net.eval(), tmp_path / "model.onnx", inputs=images)
    dataflow, golden = load(result.model), load_golden(result.golden)
    streams = dataflow.execute(stream_images(dataflow, golden.images))
    assert compare_golden(dataflow, streams, golden).first == ()
    stream = next(n for n, o in dataflow.origins.items() if "MultiThreshold" in o.tensor)
    streams[stream] = streams[stream] + 1
    assert f"stream {stream}" in compare_golden(dataflow, streams, golden).first[0]
