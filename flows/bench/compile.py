"""CPU time from a QONNX file to SystemVerilog, against FINN's own steps on the same file."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...hw.emit import emit
from ...hw.finn import bootstrap
from ...hw.frontend import load
from ...hw.passes import connect, fold, size_fifos
from ..finn.own import estimate
from .finn import write_random
from .measure import Row, machine

FPS, CLOCK_MHZ = 3_000, 100.0
# Of FINN's CNV; the weights and activations of each precision.
PRECISIONS = {
    "CNV-W1A1": {"weight": "binary", "act": "binary"},
    "CNV-W1A2": {"weight": "binary", "act": "int2"},
    "CNV-W2A2": {"weight": "int2", "act": "int2"},
}


@dataclass(frozen=True)
class Measured:
    """What the compilation of one network takes.

    Attributes:
        name: Of the network.
        seconds: CPU seconds by phase, in the order in which they run.
        finn_seconds: CPU seconds of FINN's steps up to its estimates, without any HDL.
    """

    name: str
    seconds: dict[str, float]
    finn_seconds: float

    @property
    def row(self) -> Row:
        """Compilations a CPU-minute, ours to SystemVerilog, FINN's to its estimates."""
        return Row(
            f"{self.name}, {FPS:,} images/s at {CLOCK_MHZ:g} MHz",
            60 / sum(self.seconds.values()),
            60 / self.finn_seconds,
            f"finn-plus {bootstrap.VERSION}, estimate_only_dataflow_steps",
        )


def compile_once(model: Path, folder: Path) -> dict[str, float]:
    """Return the CPU seconds of each phase from a QONNX file to SystemVerilog and memory images."""
    seconds: dict[str, float] = {}
    with _timed(seconds, "load"):
        loaded = load(model)
    with _timed(seconds, "fold"):
        folded = fold(loaded, fps=FPS, clock_mhz=CLOCK_MHZ)
    with _timed(seconds, "FIFOs"):
        connected = connect(folded, fifo_depth=size_fifos(folded).depths)
    with _timed(seconds, "RTL"):
        emit(connected, folder)
    return seconds


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    begin = time.process_time()
    yield
    seconds[phase] = time.process_time() - begin


def measure(name: str, folder: Path) -> Measured:
    """Compile one network here and by FINN, each twice; the second time counts.

    The first time loads modules and compiles what Numba compiles.
    """
    model = folder / "model.onnx"
    write_random("cnv", model, folder / "golden.npz", **PRECISIONS[name])
    for turn in range(2):
        ours = compile_once(model, folder / f"rtl{turn}")
        spent: dict[str, float] = {}
        with _timed(spent, "FINN"):
            _finn(model, folder / f"finn{turn}")
    return Measured(name, ours, spent["FINN"])


def _finn(model: Path, folder: Path) -> None:
    # FINN's steps print; that is no result.
    with contextlib.redirect_stdout(io.StringIO()):
        estimate(model, folder, fps=FPS, clock_mhz=CLOCK_MHZ)


def main(as_json: bool) -> int:
    """Print the table, or the JSON object, and return the exit status.

    Raises:
        FinnNotFoundError: FINN is not installed.
    """
    bootstrap.require()
    found = []
    for name in PRECISIONS:
        with tempfile.TemporaryDirectory(prefix="popshift-") as folder:
            found.append(measure(name, Path(folder)))
    if as_json:
        report: dict[str, Any] = {
            "unit": "compilations per CPU-minute",
            "machine": machine(),
            "rows": [one.row.as_json() for one in found],
            "cpu_seconds": {one.name: one.seconds for one in found},
        }
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        Console().print(table(found))
    return 0


def table(found: Sequence[Measured]) -> Table:
    """Return the figures for the terminal, one network a line."""
    shown = Table(
        title=f"CPU seconds from QONNX to SystemVerilog; finn-plus {bootstrap.VERSION} to estimates"
    )
    for heading in ("", *found[0].seconds, "all", "FINN", "ratio"):
        shown.add_column(heading, justify="right" if heading else "left")
    for one in found:
        numbers = (*one.seconds.values(), sum(one.seconds.values()), one.finn_seconds)
        ratio = f"{one.row.ratio:.1f}"
        shown.add_row(one.name, *(f"{number:.2f}" for number in numbers), ratio)
    return shown
