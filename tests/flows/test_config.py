"""The configuration: what is accepted, and the one line that says what is wrong."""

from pathlib import Path

import pytest

from popshift.flows import ConfigError, examples, load_config
from popshift.flows.yaml_file import MAX_BYTES

MINIMAL = """\
name: digits
model: {zoo: mlp, hidden: [64]}
hardware: {fps: 1000}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "digits.yaml"
    path.write_text(text)
    return path


def problem(path: Path | str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_defaults_fill_what_the_file_leaves_out(tmp_path):
    config = load_config(write(tmp_path, MINIMAL))
    assert config.model.zoo == "mlp"
    assert config.model.options == {"hidden": [64]}
    assert config.hardware.clock_mhz == 25.0
    assert config.verify.images is None
    assert config.synth.board == "ulx3s-85f"
    assert config.output == tmp_path / "build" / "digits"


def test_the_name_of_the_file_is_the_name_of_the_build_if_none_is_given(tmp_path):
    config = load_config(write(tmp_path, MINIMAL.replace("name: digits\n", "")))
    assert config.name == "digits"


def test_a_configuration_and_its_sections_are_frozen(tmp_path):
    config = load_config(write(tmp_path, MINIMAL))
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 2
    with pytest.raises(ValueError, match="frozen"):
        config.hardware.fps = 2.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("modle: {}", "digits.yaml: modle: unknown key; did you mean 'model'?"),
        ("zzz: 1", "digits.yaml: zzz: unknown key; known keys: "),
        ("train: {epoch: 3}", "digits.yaml: train.epoch: unknown key; did you mean 'epochs'?"),
        ("train: {epochs: 0}", "digits.yaml: train.epochs: must be at least 1, got 0"),
        ("train: {epochs: 1.5}", "digits.yaml: train.epochs: must be a whole number, got 1.5"),
        ("train: {epochs: ten}", "digits.yaml: train.epochs: must be a whole number, got 'ten'"),
        ("train: {lr: 0}", "digits.yaml: train.lr: must be more than 0, got 0"),
        ("train: {lr: .nan}", "digits.yaml: train.lr: must be a finite number, got nan"),
        ("seed: -1", "digits.yaml: seed: must be at least 0, got -1"),
        ("seed: true", "digits.yaml: seed: must be a whole number, got True"),
        ("synth: 3", "digits.yaml: synth: must be keys and values, got 3"),
        ("synth: {enabled: 1}", "digits.yaml: synth.enabled: must be true or false, got 1"),
        ("synth: {also_fits: ulx3s-12f}", "digits.yaml: synth.also_fits: must be a list"),
        ("data: {name: digit}", "digits.yaml: data.name: 'digit' is unknown; did you mean"),
        ("verify: {images: 0}", "digits.yaml: verify.images: must be at least 1, got 0"),
        ("data: {name: mnist}", "digits.yaml: data.folder: mnist is not shipped; give the folder"),
        ("data: {folder: .}", "digits.yaml: data.folder: digits is shipped and takes no folder"),
        (
            "data: {name: mnist, folder: nowhere}",
            "digits.yaml: data.folder: no such folder: ",
        ),
    ],
)
def test_a_wrong_line_is_named_by_file_place_rule_and_value(tmp_path, line, message):
    said = problem(write(tmp_path, MINIMAL + line + "\n"))
    assert said.startswith(message)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{zoo: mlp, hiden: [64]}", "model.hiden: unknown key; did you mean 'hidden'?"),
        ("{zoo: mpl}", "model.zoo: 'mpl' is unknown; did you mean 'mlp'?"),
        ("{zoo: mlp, hidden: []}", "model: mlp: hidden needs widths >= 1, got ()"),
        ("{zoo: mlp, hidden: {a: 1}}", "model.hidden: must be a number, text, or a list of these"),
        ("{}", "model: give either zoo (a network to train), or both onnx and golden"),
        ("{onnx: my.onnx, golden: my.npz}", "model.onnx: no such file: "),
    ],
)
def test_a_wrong_network_is_named_before_anything_runs(tmp_path, model, message):
    text = MINIMAL.replace("{zoo: mlp, hidden: [64]}", model)
    assert problem(write(tmp_path, text)).startswith(f"digits.yaml: {message}")


def test_several_problems_take_one_line_each(tmp_path):
    lines = problem(write(tmp_path, MINIMAL + "seed: -1\ntrain: {epoch: 3, lr: -1}\n")).split("\n")
    assert lines == [
        "digits.yaml: seed: must be at least 0, got -1",
        "digits.yaml: train.lr: must be more than 0, got -1",
        "digits.yaml: train.epoch: unknown key; did you mean 'epochs'?",
    ]


def test_a_rate_or_a_folding_is_needed_and_not_both(tmp_path):
    said = "digits.yaml: hardware: give either fps or folding, and not both"
    assert problem(write(tmp_path, MINIMAL.replace("{fps: 1000}", "{}"))) == said
    both = "{fps: 1000, folding: {fc0: {pe: 2}}}"
    assert problem(write(tmp_path, MINIMAL.replace("{fps: 1000}", both))) == said


def test_a_folding_may_stand_in_a_file_beside_the_configuration(tmp_path):
    (tmp_path / "fold.yaml").write_text("fc0: {pe: 4, simd: 8}\n")
    path = write(tmp_path, MINIMAL.replace("{fps: 1000}", "{folding: fold.yaml}"))
    folding = load_config(path).hardware.folding
    assert folding is not None
    assert (folding["fc0"].pe, folding["fc0"].simd) == (4, 8)
    (tmp_path / "fold.yaml").write_text("fc0: {pe: 4, kernel: shift}\n")
    (entry,) = (load_config(path).hardware.folding or {}).values()
    assert entry.model_dump(exclude_unset=True) == {"pe": 4, "kernel": "shift"}
    (tmp_path / "fold.yaml").write_text("fc0: {pe: 4, smid: 8}\n")
    wrong = "digits.yaml: hardware.folding.fc0.smid: unknown key; did you mean 'simd'?"
    assert problem(path) == wrong


def test_paths_are_relative_to_the_file_and_not_to_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "my.onnx").touch()
    (tmp_path / "my.npz").touch()
    text = MINIMAL.replace("{zoo: mlp, hidden: [64]}", "{onnx: my.onnx, golden: my.npz}")
    path = write(tmp_path, text + "output: out\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load_config(path)
    assert config.model.onnx == tmp_path / "my.onnx"
    assert config.output == tmp_path / "out"
    assert load_config(path, ["output=out"]).output == elsewhere / "out"


def test_an_override_wins_and_is_named_in_errors(tmp_path):
    path = write(tmp_path, MINIMAL)
    config = load_config(path, ["train.epochs=3", "train.lr=1e-3", "model.hidden=[8, 8]"])
    assert (config.train.epochs, config.train.lr) == (3, 0.001)
    assert config.model.options["hidden"] == [8, 8]
    assert problem(path, "train.epoch=3") == (
        "--set: train.epoch: unknown key; did you mean 'epochs'?"
    )
    assert problem(path, "train.epochs") == (
        "--set train.epochs: must be key=value, for example train.epochs=3"
    )
    assert problem(path, "name.x=1") == "--set name.x=1: name is a value, it has no keys"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", "digits.yaml:2:1: the key 'seed' is given twice"),
        ("seed: &a 1\nname: *a\n", "digits.yaml:2:7: aliases (*name) are not allowed"),
        ("seed: !!python/name:os.system\n", "digits.yaml:1:7: could not determine a constructor"),
        ("a: [1\n", "digits.yaml:2:1: "),
        ("- 1\n", "digits.yaml: must hold keys and values, got list"),
        ("", "digits.yaml: must hold keys and values, got NoneType"),
        ("[" * 5000, "digits.yaml: "),
    ],
)
def test_only_plain_yaml_is_read(tmp_path, text, message):
    said = problem(write(tmp_path, text))
    assert said.startswith(message)
    assert "\n" not in said


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path):
    path = write(tmp_path, MINIMAL + "#" * MAX_BYTES)
    assert f"larger than {MAX_BYTES} bytes" in problem(path)
    path.write_bytes(b"name: \xff\n")
    assert "not UTF-8 text: byte 6 is wrong" in problem(path)


def test_an_unknown_source_names_the_nearest_example():
    assert problem("digits-mpl") == (
        "digits-mpl: no such file or packaged example; did you mean 'digits-mlp'?"
    )


@pytest.mark.parametrize("name", examples())
def test_every_packaged_example_loads(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(name)
    assert config.name == name
    assert config.output == tmp_path / "build" / name


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ("throughput", "throughput"),
        ("minimal", "minimal"),
        ("0", 0),
        ("16", 16),
        ("{fc0_out: 8, fc1_out: 0}", {"fc0_out": 8, "fc1_out": 0}),
    ],
)
def test_fifos_are_a_word_a_number_or_depths_by_stream(tmp_path, given, choice):
    text = MINIMAL.replace("fps: 1000", f"fps: 1000, fifos: {given}")
    assert load_config(write(tmp_path, text)).hardware.fifos == choice
    assert load_config(write(tmp_path, MINIMAL)).hardware.fifos == "throughput"


@pytest.mark.parametrize(
    "content", ["fc0_out: 8\n", '{"is_minimal": true, "depths": {"fc0_out": 8}}']
)
def test_fifos_may_be_in_a_file_beside_the_configuration(tmp_path, content):
    (tmp_path / "fifos.json").write_text(content)
    text = MINIMAL.replace("fps: 1000", "fps: 1000, fifos: fifos.json")
    assert load_config(write(tmp_path, text)).hardware.fifos == {"fc0_out": 8}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("minmal", "hardware.fifos: must be throughput or minimal, a number of beats, or"),
        ("-1", "hardware.fifos: must be 0 to 65536 beats, got -1"),
        ("65537", "hardware.fifos: must be 0 to 65536 beats, got 65537"),
        ("true", "hardware.fifos: must be a number of beats, got True"),
        ("{fc0_out: 2.5}", "hardware.fifos: fc0_out: must be a number of beats, got 2.5"),
        ("{fc0_out: -3}", "hardware.fifos: fc0_out: must be 0 to 65536 beats, got -3"),
    ],
)
def test_wrong_fifos_are_named(tmp_path, given, message):
    text = MINIMAL.replace("fps: 1000", f"fps: 1000, fifos: {given}")
    assert message in problem(write(tmp_path, text))
    assert "--set: " + message in problem(write(tmp_path, MINIMAL), f"hardware.fifos={given}")
