"""A small residual network from training to the proof of its RTL."""

from __future__ import annotations

import pytest

from popshift.flows import build, load_config
from popshift.flows.verify import verify_build
from popshift.hw import storage
from popshift.hw.passes import folding_report, logical_stages

SMALL = """\
name: tiny-resnet
model: {zoo: digits-resnet, widths: [4, 6], act: uint2}
data: {name: digits-8}
train: {epochs: 1, float_epochs: 0}
hardware: {clock_mhz: 25, fps: 4000}
verify: {images: 3, cycle_images: 2}
synth: {enabled: false}
"""


@pytest.mark.slow
def test_every_check_of_a_residual_network_passes(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    build(tmp_path / "small.yaml", until="rtl", output=tmp_path / "out")
    dataflow = storage.load(tmp_path / "out")
    kinds = [stage.kind for stage in logical_stages(dataflow)]
    assert (kinds.count("fork"), kinds.count("add")) == (2, 2)
    assert folding_report(dataflow, clock_mhz=25).fps >= 4000
    config = load_config(tmp_path / "small.yaml")
    report = verify_build(tmp_path / "out", config, scratch=tmp_path / "scratch")
    assert [line for stage in report.stages for line in stage.first] == []
    assert report.passed
    # The sums, which the bounds keep off the streams, are compared as well.
    assert set(dataflow.accumulators) >= {"add0", "add1"}
