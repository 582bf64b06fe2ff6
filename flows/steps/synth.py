"""RTL to a bitstream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...hw.errors import PopshiftError
from ..config import Config
from .compile import accelerator
from .step import Step, Workspace

if TYPE_CHECKING:
    from ...hw.graph import Dataflow, StreamType

SYNTH_FOLDER = "synth"
_TOOLS = {"ecp5": ("yosys", "nextpnr-ecp5", "ecppack")}


class DoesNotFitError(PopshiftError, ValueError):
    """The design is too large or too slow for a board of ``synth.also_fits``."""


class Synth(Step):
    """Synthesizes, places and routes for a board, packs the bitstream, tries smaller boards."""

    name = "synth"
    summary = "synthesize, place, route and pack the bitstream"

    def is_part_of(self, config: Config) -> bool:
        """Return whether synthesis is asked for."""
        return config.is_synthesized

    def settings(self, config: Config) -> Any:
        """Return the synth section without what the netlist simulation needs."""
        return config.synth.model_dump(mode="json", exclude={"netlist_images", "enabled"})

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the dataflow, for the types of its ends, and the RTL."""
        return ("dataflow.json", "dataflow.npz", "rtl")

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return the bitstream, what was measured, and the netlists with their logs."""
        return (f"{accelerator(config)}.bit", "synth.json", SYNTH_FOLDER)

    def check(self, config: Config) -> None:
        """Raise if a board is unknown, its clock is not the accelerator's, or a tool is missing."""
        from ..boards import find_board  # noqa: PLC0415
        from ..boards.uart import clocks_per_bit  # noqa: PLC0415
        from ..tools import find_tool  # noqa: PLC0415

        board = find_board(config.synth.board)
        for name in config.synth.also_fits:
            find_board(name)
        clocks_per_bit(board, config.synth.baud)
        if config.hardware.clock_mhz != board.clock_mhz:
            raise ValueError(
                f"hardware.clock_mhz: {config.hardware.clock_mhz:g} is not the clock of "
                f"{board.name}; set it to {board.clock_mhz:g}, or synth.enabled to false"
            )
        for tool in _TOOLS[board.family]:
            find_tool(tool)

    def run(self, work: Workspace) -> None:
        """Synthesize.

        Raises:
            DoesNotFitError: A board of ``also_fits`` is too small or too slow.
        """
        from ...hw import storage  # noqa: PLC0415 (numba is slow to load)
        from .. import synth  # noqa: PLC0415
        from ..boards import find_board  # noqa: PLC0415

        settings = work.config.synth
        dataflow = storage.load(work.folder)
        source, sink = ends(dataflow)
        whole = 1 + len(settings.also_fits)
        work.progress(0, whole, f"synthesize for {settings.board}")
        result = synth.synthesize(
            work.input("rtl"),
            dataflow.name,
            source,
            sink,
            find_board(settings.board),
            work.output(SYNTH_FOLDER),
            baud=settings.baud,
            seed=settings.seed,
            min_fmax_mhz=settings.min_fmax_mhz,
        )
        for done, name in enumerate(settings.also_fits, start=1):
            work.progress(done, whole, f"place and route for {name}")
            fit = synth.fit(result, find_board(name), seed=settings.seed)
            if fit.shortage:
                raise DoesNotFitError(f"synth.also_fits: {name}: {'; '.join(fit.shortage)}")
            work.note(f"fits {name}: {fit.used}")
        bitstream = work.output(f"{dataflow.name}.bit")
        result.bitstream.replace(bitstream)
        measured = {
            "board": result.board,
            "device": result.device,
            "lut": result.used.lut,
            "ff": result.used.ff,
            "bram": result.used.bram,
            "dsp": result.used.dsp,
            "fmax_mhz": result.used.fmax_mhz,
            "clock_mhz": result.clock_mhz,
            "file": bitstream.name,
            "sha256": result.sha256,
            "also_fits": list(settings.also_fits),
            "top": result.top,
            "netlist": f"{SYNTH_FOLDER}/{result.netlist.name}",
            "sources": [f"{SYNTH_FOLDER}/{source.name}" for source in result.sources],
            "plan_digest": result.plan_digest,
            "clocks_per_bit": result.clocks_per_bit,
            "window": result.window,
            "seconds": dict(result.seconds),
        }
        work.output("synth.json").write_text(json.dumps(measured, indent=1) + "\n", "utf-8")


def ends(dataflow: Dataflow) -> tuple[StreamType, StreamType]:
    """Return the types of the one input and the one output that a serial line can serve.

    Raises:
        DoesNotFitError: There are more.
    """
    if len(dataflow.inputs) != 1 or len(dataflow.outputs) != 1:
        raise DoesNotFitError(
            f"{dataflow.name}: the board has one serial line, but the accelerator has "
            f"{len(dataflow.inputs)} inputs and {len(dataflow.outputs)} outputs; "
            "set synth.enabled to false"
        )
    (source,) = dataflow.inputs.values()
    return source, dataflow.streams[dataflow.outputs[0]]
