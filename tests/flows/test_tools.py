"""External tools: found, missing, failing, interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from popshift.flows import tools
from popshift.flows.tools import (
    TOOLS,
    BuildError,
    ToolNotFoundError,
    find_tool,
    last_error,
    run_tool,
    tool_report,
)


def program(path: Path, body: str) -> Path:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def fake_yosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a script that stands for Yosys; a test may overwrite it."""
    path = program(tmp_path / "yosys", "echo Yosys 9.9")
    monkeypatch.setenv("YOSYS", str(path))
    return path


def test_every_tool_is_reported_with_its_remedies() -> None:
    report = tool_report()
    assert [status.name for status in report] == list(TOOLS)
    for status in report:
        assert status.needed_for
        assert TOOLS[status.name].variable in status.how_to_get
        assert status.is_found == (status.version is not None)


def test_the_environment_names_another_program(fake_yosys: Path) -> None:
    tool = find_tool("yosys")
    assert tool.command == (str(fake_yosys),)
    assert tool.version == "Yosys 9.9"


def test_a_variable_that_names_no_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(ToolNotFoundError, match=r"YOSYS='/nowhere/yosys' is not a program"):
        find_tool("yosys")


@pytest.mark.parametrize("name", list(TOOLS))
def test_a_missing_tool_names_both_remedies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = TOOLS[name]
    monkeypatch.delenv(source.variable, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ToolNotFoundError, match="pip install") as caught:
        find_tool(name)
    assert source.variable in str(caught.value)
    assert source.needed_for in str(caught.value)
    assert "\n" not in str(caught.value)
    status = next(status for status in tool_report() if status.name == name)
    assert (status.is_found, status.version, status.path) == (False, None, None)


def test_a_run_leaves_a_log_and_its_time(fake_yosys: Path, tmp_path: Path) -> None:
    program(fake_yosys, 'echo "$PWD $*"; echo warning >&2')
    log = tmp_path / "yosys.log"
    assert run_tool("yosys", ["-p", "help"], tmp_path, log) > 0
    assert log.read_text().splitlines()[1:] == [f"{tmp_path} -p help", "warning"]


def test_a_failure_names_tool_status_error_and_log(fake_yosys: Path, tmp_path: Path) -> None:
    program(
        fake_yosys, "echo 'a.sv:3: ERROR: no such thing'; echo 'Exiting due to 1 error'; exit 7"
    )
    log = tmp_path / "yosys.log"
    with pytest.raises(BuildError) as caught:
        run_tool("yosys", [], tmp_path, log)
    expected = f"yosys failed with exit status 7: a.sv:3: ERROR: no such thing (log: {log})"
    assert str(caught.value) == expected


def test_a_folder_that_cannot_be_written_is_a_build_error(fake_yosys: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="yosys: cannot run in"):
        run_tool("yosys", [], tmp_path, tmp_path / "missing" / "yosys.log")


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("Error: first\nerror: second\nbye", "error: second"),
        ("no trouble\nlast line\n\n", "last line"),
        (
            "ld: undefined symbol\ncollect2: error: ld returned 1 exit status",
            "ld: undefined symbol",
        ),
        ("%Error: x.sv:1\n... For error description see\n%Error: Exiting due to", "%Error: x.sv:1"),
        ("", "no output"),
    ],
)
def test_the_last_error_of_a_log_is_the_telling_one(lines: str, error: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"$ tool --on-error\n{lines}\n")
    assert last_error(log) == error


def test_ctrl_c_ends_the_tool_and_its_children(tmp_path: Path) -> None:
    marker = tmp_path / "child.pid"
    script = program(
        tmp_path / "yosys", f'[ "$1" = --version ] && exit 0\nsleep 60 & echo $! > {marker}\nwait'
    )
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from pathlib import Path; from popshift.flows.tools import run_tool; "
        f"run_tool('yosys', [], Path({str(tmp_path)!r}), Path({str(tmp_path / 'log')!r}))"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "YOSYS": str(script)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (marker.exists() and marker.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    runner.send_signal(signal.SIGINT)
    _, errors = runner.communicate(timeout=30)
    assert runner.returncode != 0
    assert "KeyboardInterrupt" in errors
    child = int(marker.read_text())
    state = Path(f"/proc/{child}/stat")
    deadline = time.monotonic() + 10
    # Ended, or ended and not yet collected by whoever adopted it.
    while state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)
