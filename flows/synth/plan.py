"""Synthesis plans: files and commands as plain data, with a digest, before anything runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...hw.emit import RTL_FOLDER, SOURCES_FILE
from ...hw.graph import StreamType
from ..boards import Board
from ..boards.lpf import lpf
from ..boards.top import TOP_SOURCES, top_level
from ..boards.uart import DEFAULT_BAUD
from ..tools import BuildError

# Names of what the commands write into the folder they run in.
STATISTICS = "statistics.json"
NETLIST_JSON = "netlist.json"
NETLIST = "netlist.v"
REPORT = "report.json"
ROUTED = "routed.config"
PACKED = "packed.part"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A tool run in the plan's folder.

    Attributes:
        tool: Key of :data:`popshift.flows.tools.TOOLS`.
        args: Its arguments; every path is relative to the folder.
        log: File that receives what it prints.
    """

    tool: str
    args: tuple[str, ...]
    log: str


@dataclass(frozen=True, kw_only=True)
class SynthPlan:
    """Files to write and commands to run, in order.

    Attributes:
        top: Top-level module.
        sources: Names of the SystemVerilog files in dependency order, the top level last.
        files: Contents by name, sources and memory images included.
        commands: What runs, in order.
    """

    top: str
    sources: tuple[str, ...]
    files: Mapping[str, bytes]
    commands: tuple[Command, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over names, contents and commands, in hex."""
        digest = hashlib.sha256()
        for name in sorted(self.files):
            digest.update(f"{name} {len(self.files[name])}\n".encode())
            digest.update(self.files[name])
        for command in self.commands:
            digest.update("\0".join((command.tool, *command.args, "\n")).encode())
        return digest.hexdigest()


def ecp5_plan(
    rtl_folder: Path,
    accelerator: str,
    input_type: StreamType,
    output_type: StreamType,
    board: Board,
    *,
    baud: int = DEFAULT_BAUD,
    seed: int = 1,
    min_fmax_mhz: float | None = None,
) -> SynthPlan:
    """Return the plan that makes a bitstream of an accelerator for an ECP5 board.

    Args:
        rtl_folder: Holds ``sources.f``, the files it lists and the memory images ``*.hex``.
        accelerator: Name of the accelerator's top module.
        input_type: Type of its ``s_axis``.
        output_type: Type of its ``m_axis``.
        board: Board it goes to.
        baud: Bits per second on the serial line.
        seed: Seed of the placer.
        min_fmax_mhz: Frequency that place and route works for; at least the board's clock.

    Raises:
        BoardError: The board cannot make the baud rate.
        BuildError: A file is missing or its name clashes with a file of the top level.
    """
    files = {f"{name}.sv": (RTL_FOLDER / f"{name}.sv").read_bytes() for name in TOP_SOURCES}
    for name, content in _accelerator_files(rtl_folder).items():
        if files.setdefault(name, content) != content:
            raise BuildError(f"{rtl_folder / name}: the board's top level has a file of this name")
    sources = [name for name in files if name.endswith(".sv")]
    top_file = f"{board.top}.sv"
    if top_file in files or board.top == accelerator:
        raise BuildError(f"{accelerator}: {board.top} is the name of the board's top level")
    text = top_level(board, accelerator, input_type, output_type, baud=baud)
    sources.append(top_file)
    files[top_file] = text.encode()
    files["board.lpf"] = lpf(board, max(board.clock_mhz, min_fmax_mhz or 0)).encode()
    files["synth.ys"] = _yosys_script(board.top, sources).encode()
    commands = (
        Command(tool="yosys", args=("-Q", "-T", "-s", "synth.ys"), log="yosys.log"),
        place_and_route(board, "board.lpf", REPORT, seed, "--textcfg", ROUTED),
        Command(
            tool="ecppack",
            args=("--compress", "--input", ROUTED, "--bit", PACKED),
            log="ecppack.log",
        ),
    )
    return SynthPlan(top=board.top, sources=tuple(sources), files=files, commands=commands)


def place_and_route(
    board: Board, constraints: str, report: str, seed: int, *args: str, log: str = "nextpnr.log"
) -> Command:
    """Return the nextpnr command for the synthesized netlist on a board."""
    flags = (board.device_flag, "--package", board.package, "--json", NETLIST_JSON)
    # A clock that is too slow is reported with its frequency instead of ending nextpnr.
    more = ("--lpf", constraints, "--report", report, "--seed", str(seed), "--timing-allow-fail")
    return Command(tool=f"nextpnr-{board.family}", args=(*flags, *more, *args), log=log)


def _accelerator_files(folder: Path) -> dict[str, bytes]:
    """Return the files of ``sources.f`` in order, then the memory images."""
    try:
        listed = (folder / SOURCES_FILE).read_text().split()
        images = sorted(path.name for path in folder.glob("*.hex"))
        for name in listed:
            if PurePosixPath(name).name != name or not name.endswith(".sv"):
                raise BuildError(f"{folder / SOURCES_FILE}: {name!r} must be a .sv file beside it")
        return {name: (folder / name).read_bytes() for name in (*listed, *images)}
    except OSError as error:
        raise BuildError(f"{folder}: cannot read the accelerator: {error}") from error


def synth_command(top: str) -> str:
    """Return the Yosys command that maps a design to ECP5 cells."""
    return f"synth_ecp5 -top {top} -nowidelut"


def _yosys_script(top: str, sources: list[str]) -> str:
    # Yosys' own reader and not slang: it is in every Yosys, keeps the names that the netlist is
    # debugged with, and the netlist simulation would show a misread source. -defer reads a module
    # only once its parameters are known. Multipliers are allowed to become DSP blocks, so that one
    # is counted and refused instead of hiding in lookup tables.
    return "\n".join(
        (
            *(f"read_verilog -sv -defer {name}" for name in sources),
            f"hierarchy -check -top {top}",
            synth_command(top),
            "check -assert",
            f"tee -q -o {STATISTICS} stat -json",
            f"write_json {NETLIST_JSON}",
            f"write_verilog -noattr {NETLIST}",
            "",
        )
    )
