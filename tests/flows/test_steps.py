"""The real steps on a small network: from training to the report, and what stops them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from popshift.flows import CheckFailedError, ConfigError, build, load_config, run_step
from popshift.flows.steps.simulate import RateNotReachedError
from popshift.flows.steps.synth import DoesNotFitError, ends
from popshift.hw import storage
from popshift.hw.errors import FoldingError, GraphError, ModelFileError

SMALL = """\
name: tiny
model: {zoo: mlp, hidden: [16]}
train: {epochs: 2, float_epochs: 1}
hardware: {fps: 20_000}
verify: {cycle_images: 3}
synth: {enabled: false}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:
    """A build of a small network up to its dataflow and cycles; tests copy it."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "small.yaml").write_text(SMALL)
    build(folder / "small.yaml", until="simulate", output=folder / "out")
    return folder


@pytest.fixture
def folder(compiled, tmp_path) -> Path:
    shutil.copytree(compiled, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_the_dataflow_computes_the_golden_integers(folder):
    dataflow = storage.load(folder / "out")
    with np.load(folder / "out" / "golden.npz") as golden:
        images, predicted = golden["input"].astype(np.int64), golden["prediction"]
    (output,) = dataflow.outputs
    assert (dataflow.execute(images)[output].reshape(-1) == predicted).all()
    assert len(images) == 360


def test_the_timing_is_that_of_the_simulator_and_reaches_the_rate(folder):
    timing = json.loads((folder / "out" / "timing.json").read_text())
    assert timing["fps"] == 25e6 / timing["initiation_interval_cycles"]
    assert timing["fps"] >= 20_000
    assert timing["latency_cycles"] > 0
    for stage in timing["stages"]:
        cycles = [stage[f"{what}_cycles"] for what in ("busy", "starved", "blocked")]
        assert sum(cycles) == timing["initiation_interval_cycles"] * stage["images"]
    slowest = [stage["stage"] for stage in timing["stages"] if not stage["starved_cycles"]]
    assert slowest
    assert any(stage in timing["limit"] for stage in slowest)


def test_the_fifos_of_a_build_are_sized_for_its_slowest_layer(folder):
    dataflow = storage.load(folder / "out")
    fifos = json.loads((folder / "out" / "fifos.json").read_text())
    timing = json.loads((folder / "out" / "timing.json").read_text())
    assert fifos["choice"] == "throughput"
    assert fifos["interval_cycles"] == timing["initiation_interval_cycles"]
    depths = {stage.inputs[0]: stage.depth for stage in dataflow.stages if stage.kind == "fifo"}
    assert sorted(depths.values()) == sorted(fifos["depths"].values())
    assert [fifo["depth"] for fifo in timing["fifos"]] == list(depths.values())
    assert all(0 < fifo["most_beats"] <= fifo["depth"] for fifo in timing["fifos"])


@pytest.mark.parametrize(
    ("given", "choice"), [("minimal", "minimal"), ("3", "given"), ("{fc0_out: 5}", "given")]
)
def test_fifos_are_as_the_configuration_asks(folder, given, choice):
    overrides = [f"hardware.fifos={given}"]
    build(folder / "small.yaml", overrides=overrides, output=folder / "out", until="compile")
    fifos = json.loads((folder / "out" / "fifos.json").read_text())
    assert fifos["choice"] == choice
    assert fifos.get("is_minimal", choice == "given")
    if choice == "given":
        assert fifos["depths"]["fc0_out"] == (5 if "fc0_out" in given else 3)
        assert len(fifos["depths"]) == (1 if "fc0_out" in given else 4)  # the ends have one too


def test_a_fifo_of_an_unknown_stream_is_named(folder):
    with pytest.raises(GraphError, match="FIFO of stream 'fc9': unknown; the streams are"):
        build(
            folder / "small.yaml", overrides=["hardware.fifos={fc9: 2}"], output=folder / "out",
            until="compile",
        )  # fmt: skip


def test_a_data_set_is_read_from_the_folder_that_the_configuration_names(tmp_path):
    config = tmp_path / "mnist.yaml"
    config.write_text(SMALL + "data: {name: mnist, folder: files}\n")
    (tmp_path / "files").mkdir()
    with pytest.raises(ValueError, match=f"{tmp_path / 'files'} lacks train-images-idx3-ubyte"):
        build(config, until="train", output=tmp_path / "out")


def test_training_twice_gives_the_same_model(folder):
    build(folder / "small.yaml", until="export", output=folder / "again")
    first, second = (folder / run / "model.onnx" for run in ("out", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_fifos_that_are_too_small_for_the_rate_are_named(folder):
    overrides = ["hardware.fps=780000", "model.hidden=[32,32]", "hardware.fifos=1"]
    with pytest.raises(RateNotReachedError, match=r"leave out hardware\.fifos"):
        build(folder / "small.yaml", overrides=overrides, output=folder / "out", until="simulate")


def test_a_fold_that_does_not_divide_is_named(folder):
    overrides = ["hardware.fps=null", "hardware.folding={fc0: {pe: 3}}"]
    with pytest.raises(FoldingError, match="pe=3 must divide"):
        build(folder / "small.yaml", overrides=overrides, output=folder / "out", until="compile")


def test_a_folding_by_hand_is_what_the_dataflow_has(folder):
    overrides = ["hardware.fps=null", "hardware.folding={fc0: {pe: 4, simd: 8}}"]
    build(folder / "small.yaml", overrides=overrides, output=folder / "out", until="compile")
    stage = storage.load(folder / "out").stage("fc0")
    assert (stage.pe, stage.simd) == (4, 8)


def own_files(folder: Path) -> Path:
    for name in ("model.onnx", "golden.npz"):
        shutil.copyfile(folder / "out" / name, folder / f"my-{name}")
    text = SMALL.replace("{zoo: mlp, hidden: [16]}", "{onnx: my-model.onnx, golden: my-golden.npz}")
    (folder / "own.yaml").write_text(text)
    return folder / "own.yaml"


def test_a_model_of_ones_own_becomes_the_same_dataflow_without_training(folder):
    result = build(own_files(folder), until="compile", output=folder / "own")
    assert [run.name for run in result.steps] == ["export", "compile"]
    for name in ("dataflow.json", "dataflow.npz"):
        assert (folder / "own" / name).read_bytes() == (folder / "out" / name).read_bytes()


def test_a_truncated_model_is_named_and_nothing_is_left(folder):
    config = own_files(folder)
    content = (folder / "my-model.onnx").read_bytes()
    (folder / "my-model.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError, match=r"my-model\.onnx: truncated or not ONNX"):
        build(config, until="compile", output=folder / "own")
    assert not (folder / "own" / "model.onnx").exists()


def test_a_model_of_ones_own_that_vanished_is_named(folder):
    config = own_files(folder)
    (folder / "my-golden.npz").unlink()
    with pytest.raises(ConfigError, match=r"own\.yaml: model\.golden: no such file"):
        load_config(config)


def test_the_serial_line_serves_one_input_and_one_output(folder):
    dataflow = storage.load(folder / "out")
    source, sink = ends(dataflow)
    assert (source.shape, sink.shape) == ((64,), (1,))
    two = type(dataflow)(
        name="two",
        inputs={"a": source, "b": source},
        outputs=("a", "b"),
        stages=(),
    )
    with pytest.raises(DoesNotFitError, match="2 inputs and 2 outputs"):
        ends(two)


@pytest.mark.slow
def test_a_build_without_synthesis_ends_with_a_verified_report(folder):
    result = build(folder / "small.yaml", output=folder / "out")
    assert [run.name for run in result.steps] == [
        "train", "export", "compile", "simulate", "rtl", "verify", "report",
    ]  # fmt: skip
    report = result.report
    assert report is not None
    assert report["verify"]["passed"]
    assert report["model"]["accuracy_hardware"] == report["model"]["accuracy_quantized"]
    assert report["timing"]["simulated_cycles_equal_rtl"]
    assert report["bitstream"] is None
    assert [step["name"] for step in report["steps"]] == [run.name for run in result.steps[:-1]]
    classes = report["verify"]["stages"][-1]
    assert (classes["name"], classes["images"], classes["mismatches"]) == ("rtl classes", 360, 0)
    assert "<svg" in (folder / "out" / "report.html").read_text()

    weights = next((folder / "out" / "rtl").glob("fc0_*weights.hex"))
    digits = weights.read_text()
    flipped = f"{int(digits[0], 16) ^ 1:x}{digits[1:]}"
    weights.write_text(flipped)
    with pytest.raises(CheckFailedError) as caught:
        run_step(folder / "out", "verify")
    assert any("fc0" in line and "channel" in line for line in caught.value.lines)
    assert weights.read_text() == flipped
    assert not (folder / "out" / "report.json").exists()
    assert not json.loads((folder / "out" / "verify.json").read_text())["passed"]

    repaired = build(folder / "out")
    assert [run.name for run in repaired.steps if run.status == "ran"] == [
        "rtl", "verify", "report",
    ]  # fmt: skip
    assert weights.read_text() == digits


def test_a_name_that_cannot_be_a_module_is_refused_before_training(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    with pytest.raises(
        ValueError, match="'small' becomes the top module small, which is a keyword"
    ):
        build(tmp_path / "small.yaml", overrides=["name=small"], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
