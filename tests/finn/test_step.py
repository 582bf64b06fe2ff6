"""A whole build with backend finn: configuration, step, report, command line."""

import json
from contextlib import contextmanager

import numpy as np
import pytest

from popshift.flows import ConfigError, build, load_config
from popshift.flows.cli import main
from popshift.flows.report.summary import summary
from popshift.flows.steps import ALL_STEPS

pytestmark = pytest.mark.finn

TINY = """\
name: tiny
backend: finn
finn: {board: Pynq-Z2, product: hdl}
model: {zoo: mlp, hidden: [16, 12]}
train: {epochs: 1, float_epochs: 0}
hardware: {fps: 100_000, clock_mhz: 100, fifos: 2}
verify: {images: 4, cycle_images: 2}
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as monkeypatch:
        # FINN's builder behaves differently where it sees this.
        monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
        build(folder / "tiny.yaml", output=folder / "out")
    return folder / "out"


def test_the_steps_of_a_build_by_finn():
    config = load_config("digits-mlp", ["backend=finn"])
    assert [step.name for step in ALL_STEPS if step.is_part_of(config)] == [
        "train",
        "export",
        "compile",
        "simulate",
        "rtl",
        "verify",
        "finn",
        "report",
    ]
    usual = load_config("digits-mlp")
    assert "finn" not in [step.name for step in ALL_STEPS if step.is_part_of(usual)]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("backend=vivado", r"--set: backend: Input should be 'yosys' or 'finn', got 'vivado'"),
        ("finn.product=bit", r"--set: finn.product: .*'hdl', 'ip' or 'bitfile'"),
        ("finn.bord=ZCU104", r"--set: finn.bord: unknown key; did you mean 'board'\?"),
    ],
)
def test_a_wrong_setting_is_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        load_config("digits-mlp", [setting])


def test_an_unknown_board_ends_the_build_before_it_trains(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY.replace("Pynq-Z2", "Pynq-Z9"))
    with pytest.raises(ValueError, match=r"finn\.board: 'Pynq-Z9' is none of FINN's Zynq boards"):
        build(tmp_path / "tiny.yaml", output=tmp_path / "out")
    assert not (tmp_path / "out" / "training.json").exists()


@pytest.mark.slow
def test_the_report_says_what_finn_made_and_what_was_compared(out):
    report = json.loads((out / "report.json").read_text())
    finn = report["finn"]
    assert (finn["board"], finn["part"], finn["product"]) == ("Pynq-Z2", "xc7z020clg400-1", "hdl")
    assert finn["nodes"] == len(json.loads((out / "dataflow.json").read_text())["stages"])
    assert finn["estimated"]["resources"]["DSP"] == 0
    names = [stage["name"] for stage in report["verify"]["stages"]]
    assert {"rtl", "finn graph", "finn rtl", "finn rtl classes"} <= set(names)
    assert report["verify"]["passed"] is True
    assert report["bitstream"] is None
    text = summary(report)
    assert "Pynq-Z2 (xc7z020clg400-1) by FINN" in text
    assert f"{finn['nodes']} RTL nodes, built up to verified" in text
    assert "finn rtl = reference and simulator" in (out / "report.html").read_text()


@pytest.mark.slow
def test_finns_files_are_in_the_build(out):
    for name in (
        "finn/hdl/tiny.sv",
        "finn/hdl/PopshiftMatvec_rtl_0.v",
        "finn/report/estimate_layer_cycles.json",
        "finn/intermediate_models/step_hw_codegen.onnx",
        "finn/build_dataflow.log",
    ):
        assert (out / name).is_file(), name
    found = json.loads((out / "finn.json").read_text())
    assert found["passed"] is True
    assert {node["op"] for node in found["nodes"]} <= {
        "PopshiftMatvec_rtl",
        "PopshiftFifo_rtl",
        "PopshiftWidth_rtl",
        "PopshiftArgmax_rtl",
    }
    assert "Running step: step_popshift_verify" in (out / "logs" / "finn.log").read_text()


@pytest.mark.slow
def test_a_finished_build_is_left_alone(out):
    runs = {run.name: run.status for run in build(out).steps}
    assert set(runs.values()) == {"unchanged"}


def test_board_clock_product_and_images_are_settings_of_the_step():
    (step,) = [step for step in ALL_STEPS if step.name == "finn"]
    usual = step.settings(load_config("digits-mlp", ["finn.product=hdl"]))
    for setting in ("finn.board=ZCU104", "finn.product=ip", "verify.cycle_images=3"):
        other = step.settings(load_config("digits-mlp", ["finn.product=hdl", setting]))
        assert other != usual, setting
    assert step.settings(load_config("digits-mlp", ["finn.product=hdl", "seed=5"])) == usual


@pytest.mark.slow
def test_a_wrong_threshold_ends_the_command_with_status_1(out, monkeypatch, capfd):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with planted(out), pytest.raises(SystemExit) as status:
        main(["finn", "build", str(out)])
    assert status.value.code == 1
    said = capfd.readouterr().err
    assert "popshift: verification of FINN's build failed: finn reference against torch" in said
    assert "layer fc1" in said
    found = json.loads((out / "finn.json").read_text())
    assert (found["passed"], found["product"]) == (False, None)
    assert not (out / "report.json").exists()  # one that says "passed" must not lie beside it


@contextmanager
def planted(out):
    """Thresholds of fc1 that no image meets, or that all do."""
    with np.load(out / "dataflow.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    good = arrays["fc1.thresholds.levels"]
    wrong = np.where(good > 8, -100, 100)
    np.savez_compressed(out / "dataflow.npz", **{**arrays, "fc1.thresholds.levels": wrong})
    try:
        yield
    finally:
        np.savez_compressed(out / "dataflow.npz", **arrays)
