"""A small convolutional network from training to the proof of its RTL."""

from __future__ import annotations

import json

import numpy as np
import pytest

from popshift.flows import build, load_config
from popshift.flows.golden import load_golden, stream_images
from popshift.flows.verify import verify_build
from popshift.hw import storage

SMALL = """\
name: tiny-cnn
model: {{zoo: digits-cnn, features: {features}, pool_at: {pool_at}}}
data: {{name: digits-8}}
train: {{epochs: 1, float_epochs: 0}}
hardware: {{folding: folding.json, fifos: 2}}
verify: {{images: 3, cycle_images: 2}}
synth: {{enabled: false}}
"""
FOLDING = {
    "Defaults": {},
    "MVAU_0": {"PE": 4, "SIMD": 1, "ram_style": "auto"},
    "MVAU_1": {"PE": 2, "SIMD": 4},
    "StreamingMaxPool_0": {"PE": 2},
    "MVAU_2": {"PE": 5, "SIMD": 12},
}


def compile_small(folder, pool_at="accumulator", features="[4, 6, max2]"):
    (folder / "small.yaml").write_text(SMALL.format(features=features, pool_at=pool_at))
    (folder / "folding.json").write_text(json.dumps(FOLDING))
    build(folder / "small.yaml", until="rtl", output=folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return compile_small(tmp_path_factory.mktemp("cnn"))


@pytest.mark.slow
def test_every_check_of_a_convolutional_network_passes(out, tmp_path):
    report = verify_build(out, load_config(out.parent / "small.yaml"), scratch=tmp_path)
    assert [line for stage in report.stages for line in stage.first] == []
    assert report.passed
    names = [stage.name for stage in report.stages]
    assert names[-2:] == ["rtl", "rtl with gaps and stalls"]


def test_the_folding_file_of_finn_is_applied(out):
    dataflow = storage.load(out)
    assert (dataflow.stage("conv1").pe, dataflow.stage("conv1").simd) == (2, 4)
    assert dataflow.stage("window1").simd == 4
    assert dataflow.stage("pool0").pe == 2


def test_images_enter_pixel_by_pixel_and_the_classes_are_those_of_torch(out):
    golden = load_golden(out / "golden.npz")
    dataflow = storage.load(out)
    images = stream_images(dataflow, golden.images)
    assert golden.images.shape[1:] == (1, 8, 8)
    assert images.shape[1:] == (8, 8, 1)
    (output,) = dataflow.outputs
    np.testing.assert_array_equal(dataflow.execute(images)[output].reshape(-1), golden.prediction)
