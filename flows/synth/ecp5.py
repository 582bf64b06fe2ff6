"""From RTL to an ECP5 bitstream: Yosys, nextpnr, ecppack."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...hw.graph import StreamType
from ..boards import Board, BoardError
from ..boards.lpf import lpf
from ..boards.uart import DEFAULT_BAUD, clocks_per_bit, fifo_bytes, image_bytes
from ..tools import BuildError, run_tool
from .cells import disconnect_unread_carries
from .plan import NETLIST, NETLIST_JSON, PACKED, REPORT, Command, ecp5_plan, place_and_route

DSP_CELLS = ("MULT18X18D", "ALU54B")


@dataclass(frozen=True, kw_only=True)
class Utilization:
    """What a placed and routed design takes.

    Attributes:
        lut: 4-input lookup tables, carry chains and distributed memory included.
        ff: Flip-flops.
        bram: Block RAMs of 18 kbit.
        dsp: Multiplier blocks.
        fmax_mhz: Highest clock frequency that timing analysis allows.
    """

    lut: int
    ff: int
    bram: int
    dsp: int
    fmax_mhz: float


@dataclass(frozen=True, kw_only=True)
class SynthResult:
    """A bitstream and what was measured on the way.

    Attributes:
        board: Name of the board.
        device: Name of the FPGA.
        used: Resources and frequency after routing.
        clock_mhz: Clock of the board, which ``used.fmax_mhz`` reaches.
        bitstream: The bitstream file.
        sha256: Its digest in hex.
        netlist: Verilog netlist of the board's top level after synthesis.
        sources: SystemVerilog files of the top level in dependency order.
        top: Name of the top-level module.
        clocks_per_bit: Clock cycles of one bit on the serial line.
        window: Images that a host may send ahead of their answers, at least 1.
        plan_digest: Digest of everything that went in.
        seconds: Wall time by tool.
    """

    board: str
    device: str
    used: Utilization
    clock_mhz: float
    bitstream: Path
    sha256: str
    netlist: Path
    sources: tuple[Path, ...]
    top: str
    clocks_per_bit: int
    window: int
    plan_digest: str
    seconds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Whether a synthesized netlist fits another board.

    Attributes:
        board: Name of that board.
        used: Resources and frequency after routing.
        shortage: What it lacks, empty if the design fits.
        seconds: Wall time.
    """

    board: str
    used: Utilization
    shortage: tuple[str, ...]
    seconds: float

    @property
    def is_fit(self) -> bool:
        """Whether every resource and the clock suffice."""
        return not self.shortage


def synthesize(
    rtl_folder: Path,
    accelerator: str,
    input_type: StreamType,
    output_type: StreamType,
    board: Board,
    out_folder: Path,
    *,
    baud: int = DEFAULT_BAUD,
    seed: int = 1,
    min_fmax_mhz: float | None = None,
) -> SynthResult:
    """Make the bitstream of an accelerator on a board; equal inputs give an equal file.

    Args:
        rtl_folder: Holds ``sources.f``, the files it lists and the memory images ``*.hex``.
        accelerator: Name of the accelerator's top module.
        input_type: Type of its ``s_axis``.
        output_type: Type of its ``m_axis``.
        board: Board it goes to.
        out_folder: Receives sources, netlists, reports, one log a tool and the bitstream.
        baud: Bits per second on the serial line.
        seed: Seed of the placer.
        min_fmax_mhz: Frequency that the routed design must reach; None for the board's clock.

    Raises:
        BoardError: The board cannot make the baud rate.
        BuildError: A tool failed, the design holds a multiplier block, is too large for the device
            or too slow for the board's clock or ``min_fmax_mhz``.
        ToolNotFoundError: A tool is missing.
    """
    plan = ecp5_plan(
        rtl_folder,
        accelerator,
        input_type,
        output_type,
        board,
        baud=baud,
        seed=seed,
        min_fmax_mhz=min_fmax_mhz,
    )
    bitstream = out_folder / f"{accelerator}.bit"
    try:
        out_folder.mkdir(parents=True, exist_ok=True)
        bitstream.unlink(missing_ok=True)
        for name, content in plan.files.items():
            (out_folder / name).write_bytes(content)
    except OSError as error:
        raise BuildError(f"{out_folder}: cannot write: {error}") from error
    seconds = {}
    for command in plan.commands:
        seconds[command.tool] = _run(command, out_folder)
        if command.tool == "yosys":
            disconnect_unread_carries(out_folder / NETLIST_JSON)
    used = read_report(out_folder / REPORT)
    if missing := shortage(used, board, min_fmax_mhz):
        raise BuildError(f"{accelerator} on {board.name}: {'; '.join(missing)}")
    (out_folder / PACKED).replace(bitstream)
    return SynthResult(
        board=board.name,
        device=board.device,
        used=used,
        clock_mhz=board.clock_mhz,
        bitstream=bitstream,
        sha256=hashlib.sha256(bitstream.read_bytes()).hexdigest(),
        netlist=out_folder / NETLIST,
        sources=tuple(out_folder / name for name in plan.sources),
        top=plan.top,
        clocks_per_bit=clocks_per_bit(board, baud),
        window=max(1, fifo_bytes(input_type) // image_bytes(input_type)),
        plan_digest=plan.digest,
        seconds=seconds,
    )


def fit(result: SynthResult, board: Board, *, seed: int = 1) -> FitResult:
    """Place and route an already synthesized netlist on another board of the same kind.

    Raises:
        BoardError: The board has another top level, so the netlist is not for it.
        BuildError: nextpnr failed, for instance because the design is far too large.
    """
    if board.top != result.top:
        raise BoardError(f"{board.name}: needs {board.top}, but the netlist holds {result.top}")
    folder = result.netlist.parent
    names = [f"fit-{board.name}.{ending}" for ending in ("lpf", "json", "log")]
    try:
        (folder / names[0]).write_text(lpf(board, board.clock_mhz))
    except OSError as error:
        raise BuildError(f"{folder}: cannot write: {error}") from error
    seconds = _run(place_and_route(board, names[0], names[1], seed, log=names[2]), folder)
    used = read_report(folder / names[1])
    return FitResult(board=board.name, used=used, shortage=shortage(used, board), seconds=seconds)


def _run(command: Command, folder: Path) -> float:
    return run_tool(command.tool, command.args, folder, folder / command.log)


def read_report(path: Path) -> Utilization:
    """Return what nextpnr's JSON report states.

    Raises:
        BuildError: The report is missing, damaged or has no clock.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        used = {cell: entry["used"] for cell, entry in report["utilization"].items()}
        return Utilization(
            lut=used["TRELLIS_COMB"],
            ff=used["TRELLIS_FF"],
            bram=used["DP16KD"],
            dsp=sum(used[cell] for cell in DSP_CELLS),
            fmax_mhz=min(clock["achieved"] for clock in report["fmax"].values()),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{path}: no usable report of nextpnr: {error!r}") from error


def shortage(used: Utilization, board: Board, min_fmax_mhz: float | None = None) -> tuple[str, ...]:
    """Return one sentence for each rule that a routed design breaks on a board.

    Args:
        used: What the design takes.
        board: The board.
        min_fmax_mhz: Frequency that it must reach besides the board's clock.
    """
    rules = (
        (used.dsp > 0, f"{used.dsp} multiplier blocks are used, none is allowed"),
        (used.lut > board.lut, f"{used.lut} LUTs are needed, {board.device} has {board.lut}"),
        (used.bram > board.bram, f"{used.bram} BRAMs are needed, {board.device} has {board.bram}"),
        (
            used.fmax_mhz < board.clock_mhz,
            f"fmax is {used.fmax_mhz:.1f} MHz, the board's clock {board.clock_mhz:g} MHz",
        ),
        (
            min_fmax_mhz is not None and used.fmax_mhz < min_fmax_mhz,
            f"fmax is {used.fmax_mhz:.1f} MHz, but min_fmax_mhz={min_fmax_mhz}; "
            "try another seed of the placer",
        ),
    )
    return tuple(sentence for broken, sentence in rules if broken)
