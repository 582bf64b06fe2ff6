"""``popshift simulate``: figures, pictures and waveforms of builds, dataflows and model files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from popshift.flows.cli import main
from popshift.hw import load

BUILD = """\
name: tiny
model: {zoo: mlp, hidden: [16]}
train: {epochs: 1, float_epochs: 0}
hardware: {fps: 20_000}
synth: {enabled: false}
"""


def popshift(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulate")
    (folder / "tiny.yaml").write_text(BUILD)
    result = popshift("simulate", folder / "tiny.yaml", "--output", folder / "out")
    assert result.exit_code == 0, result.output
    return folder / "out"


def figures(*args) -> dict:
    result = popshift("simulate", *args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_build_prints_its_steps_and_what_each_stage_does(built):
    result = popshift("simulate", built)
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["train", "export", "compile", "simulate"]
    assert lines[4].split() == ["stage", "busy", "starved", "blocked"]
    assert any(line.startswith("fc0 ") and "%" in line for line in lines)
    assert any(line.startswith("limit ") and "bottleneck" in line for line in lines)


def test_json_has_the_steps_and_the_contents_of_timing_json(built):
    shown = figures(built)
    assert shown["folder"] == str(built)
    assert [step["status"] for step in shown["steps"]] == [*["unchanged"] * 3, "ran"]
    assert shown["timing"] == json.loads((built / "timing.json").read_text())
    assert figures(built, "--images", 7)["timing"]["images"] == 7


def test_a_model_file_is_folded_and_its_fifos_are_sized(built):
    timing = figures(built / "model.onnx", "--fps", 20_000, "--clock-mhz", 25)["timing"]
    expected = json.loads((built / "timing.json").read_text())
    assert timing["initiation_interval_cycles"] == expected["initiation_interval_cycles"]
    assert timing["fps"] == expected["fps"]
    unfolded = figures(built / "model.onnx", "--fifos", "0")["timing"]
    faster = figures(built / "model.onnx", "--fps", 100_000, "--clock-mhz", 25)["timing"]
    assert unfolded["initiation_interval_cycles"] > faster["initiation_interval_cycles"]
    assert unfolded["fps"] is None
    assert unfolded["fifos"] == []


def test_a_stored_dataflow_is_simulated_as_it_is(built, tmp_path):
    accelerator = load(built / "model.onnx").fold(fps=20_000, clock_mhz=25).with_fifos(2)
    accelerator.save(tmp_path / "stored")
    timing = figures(tmp_path / "stored", "--images", 5)["timing"]
    assert timing["latency_cycles"] == accelerator.simulate(images=5).latency_cycles
    assert {fifo["depth"] for fifo in timing["fifos"]} == {2}
    assert figures(tmp_path / "stored", "--fifos", "0")["timing"]["fifos"] == []


def test_fifos_reach_the_build_from_the_command_line_and_from_a_file(built, tmp_path):
    (tmp_path / "depths.json").write_text('{"fc0_out": 3}')
    out = tmp_path / "again"
    shown = figures(
        built.parent / "tiny.yaml", "--output", out, "--fifos", tmp_path / "depths.json"
    )
    assert [fifo["depth"] for fifo in shown["timing"]["fifos"]] == [3]
    assert json.loads((out / "fifos.json").read_text())["depths"] == {"fc0_out": 3}


def test_a_picture_and_a_waveform_are_written_whole(built, tmp_path):
    for picture in ("timing.png", "timing.svg"):
        assert popshift("simulate", built, "--plot", tmp_path / picture).exit_code == 0
    assert (tmp_path / "timing.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    drawing = (tmp_path / "timing.svg").read_text()
    assert "<svg" in drawing
    assert figures(built, "--trace", tmp_path / "run.fst")["timing"]["images"] == 3
    assert popshift("simulate", built, "--trace", tmp_path / "run.vcd").exit_code == 0
    text = (tmp_path / "run.vcd").read_text()
    assert "$scope module tiny $end" in text
    assert " fc0_out_tvalid $end" in text
    assert (tmp_path / "run.fst").stat().st_size > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "run.fst", "run.vcd", "timing.png", "timing.svg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "timing.gif"], "--plot timing.gif: must be one of .png, .svg, .pdf"),
        (["--trace", "run.txt"], "--trace run.txt: must be one of .fst, .vcd"),
        (["--fps", "10"], "--fps and --input-datatype are for model files"),
        (["--fifos", "minmal"], "hardware.fifos: must be throughput or minimal, a number of"),
        (["--images", "0"], "Invalid value for '--images': 0 is not in the range"),
    ],
)
def test_wrong_arguments_are_refused(built, arguments, message):
    result = popshift("simulate", built, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_settings_of_a_configuration_are_refused_for_a_model_file(built):
    result = popshift("simulate", built / "model.onnx", "--set", "train.epochs=2")
    assert result.exit_code == 2
    assert "--set and --output are for configurations and builds" in result.stderr
