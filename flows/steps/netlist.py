"""The synthesized netlist, fed images through its serial pins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..config import Config
from .step import CheckFailedError, Step, Workspace
from .synth import SYNTH_FOLDER, ends

if TYPE_CHECKING:
    from ..synth import SynthResult


class Netlist(Step):
    """Simulates the netlist after synthesis: pixels into the UART, classes out of it."""

    name = "netlist"
    summary = "simulate the synthesized netlist through its serial pins"

    def is_part_of(self, config: Config) -> bool:
        """Return whether synthesis is asked for."""
        return config.is_synthesized

    def settings(self, config: Config) -> Any:
        """Return the number of images."""
        return config.synth.netlist_images

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the netlist, the dataflow and the golden images."""
        return ("synth.json", SYNTH_FOLDER, "dataflow.json", "dataflow.npz", "golden.npz")

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return what the netlist answered."""
        return ("netlist.json",)

    def check(self, config: Config) -> None:
        """Raise if Verilator or a C++ compiler is missing."""
        from ..tools import find_tool  # noqa: PLC0415

        find_tool("verilator")
        find_tool("c++")

    def run(self, work: Workspace) -> None:
        """Simulate.

        Raises:
            CheckFailedError: An answer is not the integer that the dataflow computes, or the
                class is not the one that the software predicts.
        """
        import numpy as np  # noqa: PLC0415 (numpy and numba are slow to load)

        from ...hw import storage  # noqa: PLC0415
        from ..answers import classes  # noqa: PLC0415
        from ..boards.uart import from_uart_bytes, image_bytes, to_uart_bytes  # noqa: PLC0415
        from ..golden import stream_images  # noqa: PLC0415
        from ..synth.netlist import netlist_model  # noqa: PLC0415

        dataflow = storage.load(work.folder)
        source, sink = ends(dataflow)
        (output,) = dataflow.outputs
        with np.load(work.input("golden.npz")) as golden:
            count = min(work.config.synth.netlist_images, len(golden["input"]))
            images = stream_images(dataflow, golden["input"][:count].astype(np.int64))
            predicted = golden["prediction"][:count]
        expected = dataflow.execute(images)[output]
        work.progress(0, 2, "compile the netlist")
        with netlist_model(_stored_result(work), work.scratch) as board:
            work.progress(1, 2, f"send {count} images")
            octets = board.run_uart(to_uart_bytes(images, source), image_bytes(sink))
            cycles = board.cycles
        answers = from_uart_bytes(octets, sink)
        chosen = classes(dataflow, {output: answers})
        wrong = (answers != expected).reshape(count, -1).any(axis=1) | (chosen != predicted)
        found = {"images": count, "mismatches": int(wrong.sum()), "cycles": cycles}
        work.output("netlist.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        if wrong.any():
            lines = tuple(
                f"image {i}: the netlist answers class {chosen[i]}, the software {predicted[i]}"
                for i in np.flatnonzero(wrong)
            )
            raise CheckFailedError(f"netlist: {len(lines)} of {count} images differ", lines)


def _stored_result(work: Workspace) -> SynthResult:
    """Return the result of the synthesis in this build folder, as its step stored it."""
    from ..synth.ecp5 import SynthResult, Utilization  # noqa: PLC0415

    stored = json.loads(work.input("synth.json").read_text("utf-8"))
    used = {name: stored[name] for name in ("lut", "ff", "bram", "dsp", "fmax_mhz")}
    same = ("board", "device", "clock_mhz", "sha256", "top", "clocks_per_bit", "window")
    return SynthResult(
        **{name: stored[name] for name in same},
        used=Utilization(**used),
        bitstream=work.input(stored["file"]),
        netlist=work.input(stored["netlist"]),
        sources=tuple(work.input(name) for name in stored["sources"]),
        plan_digest=stored["plan_digest"],
        seconds=stored["seconds"],
    )
