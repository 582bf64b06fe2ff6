"""Simulated cycles per CPU-second: fast simulator, clock simulator and Verilator.

Networks have FIFOs sized for their slowest layer.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ...hw.graph import Dataflow
from ...hw.passes import connect, size_fifos
from ...hw.sim import TimingModel, clock
from .dataflows import DATAFLOWS
from .measure import Row, interleaved_rates, machine
from .verilator_speed import FastModel, compile_for_speed

MANY_IMAGES = 1000
VERILATED_CYCLES = 150_000  # enough for a rate
VERILATED_SECONDS = 20.0  # of CPU time, after which a slow model is not run again


@dataclass(frozen=True)
class Measured:
    """What was measured of one network.

    Attributes:
        rows: Rates against the peers, in cycles per CPU-second.
        setup: CPU seconds before the first simulation: of the fast simulator, of Verilator.
        interval_cycles: Cycles of an image in the long run.
        latency_cycles: Cycles of the first image.
    """

    rows: tuple[Row, ...]
    setup: Mapping[str, float]
    interval_cycles: int
    latency_cycles: int


def measure(
    name: str, dataflow: Dataflow, folder: Path, *, block_seconds: float = 0.2, rounds: int = 5
) -> Measured:
    """Measure one network, one image and a thousand, after comparing the cycles of all.

    Verilator runs a few images; as it does the same in every cycle, its rate serves for both.

    Args:
        name: Of the network.
        dataflow: With its FIFOs.
        folder: Receives RTL and program.
        block_seconds: CPU time of one turn of a simulator of this process.
        rounds: Turns of each; the median counts.

    Raises:
        ArithmeticError: Two simulators need different cycles.
    """
    begin = time.process_time()
    model = TimingModel(dataflow)
    first = model.simulate(images=1)
    setup = {"popshift": time.process_time() - begin}
    many = model.simulate(images=MANY_IMAGES)
    begin = _children_seconds()
    verilated = compile_for_speed(dataflow, folder)
    setup["verilator"] = _children_seconds() - begin
    images = max(2, -(-VERILATED_CYCLES // many.interval_cycles))
    few = model.simulate(images=images)
    verilator_rate = _best_rate(name, verilated, images, few.total_cycles, rounds)
    if clock.simulate(dataflow, images=1).total_cycles != first.total_cycles:
        raise ArithmeticError(f"bench simulate: {name}: the clock simulator needs other cycles")
    peer = f"verilator {verilated.version} -O3 -march=native"
    rows = []
    for count, whole in ((1, first), (MANY_IMAGES, many)):
        rates = interleaved_rates(
            {"popshift": partial(model.simulate, images=count)},
            work=whole.total_cycles, block_seconds=block_seconds, rounds=rounds,
        )  # fmt: skip
        work = f"{name}, {count:,} image{'s' * (count > 1)}"
        rows.append(Row(work, rates["popshift"], verilator_rate, peer))
    rates = interleaved_rates(
        {
            "popshift": partial(model.simulate, images=1),
            "clock": partial(clock.simulate, dataflow, images=1),
        },
        work=first.total_cycles, block_seconds=block_seconds, rounds=rounds,
    )  # fmt: skip
    rows.append(Row(f"{name}, 1 image", rates["popshift"], rates["clock"], "clock simulator"))
    return Measured(tuple(rows), setup, many.interval_cycles, first.latency_cycles)


def _children_seconds() -> float:
    """Return the CPU time of all finished programs that this process started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _best_rate(name: str, verilated: FastModel, images: int, expected: int, rounds: int) -> float:
    """Return the best of some runs, so that Verilator loses nothing to what else runs.

    Raises:
        ArithmeticError: It needs other cycles than the simulator.
    """
    best = spent = 0.0
    for _ in range(rounds):
        cycles, seconds = verilated.run(images)
        if cycles != expected:
            raise ArithmeticError(
                f"bench simulate: {name}: {images} images take {cycles} cycles in Verilator, but "
                f"{expected} here"
            )
        best, spent = max(best, cycles / seconds), spent + seconds
        if spent > VERILATED_SECONDS:
            break
    return best


def main(as_json: bool) -> int:
    """Print the table, or the JSON object, and return the exit status."""
    rows: list[Row] = []
    details: dict[str, Any] = {}
    terminal = Console(stderr=True)
    for name in track(DATAFLOWS, "networks", console=terminal, disable=as_json):
        dataflow = DATAFLOWS[name]()
        dataflow = connect(dataflow, fifo_depth=size_fifos(dataflow).depths)
        with tempfile.TemporaryDirectory(prefix="popshift-") as folder:
            found = measure(name, dataflow, Path(folder))
        for row in found.rows:
            line = f"{row.work}: {row.ratio:,.0f} times the rate of {row.peer_name}"
            terminal.print(line, soft_wrap=True, highlight=False)
        rows += found.rows
        details[name] = {
            "initiation_interval_cycles": found.interval_cycles,
            "latency_cycles": found.latency_cycles,
            "setup_seconds": found.setup,
        }
    if as_json:
        report = {
            "unit": "simulated cycles per CPU-second",
            "machine": machine(),
            "rows": [row.as_json() for row in rows],
            "networks": details,
        }
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
        return 0
    table = Table(title=f"Simulated cycles per CPU-second, one thread, {machine()['cpu']}")
    for heading in ("work", "popshift", "peer", "", "ratio"):
        table.add_column(heading, justify="left" if heading in {"work", "peer"} else "right")
    for row in rows:
        cells = (f"{row.popshift:,.0f}", row.peer_name, f"{row.peer:,.0f}", f"{row.ratio:,.0f}")
        table.add_row(row.work, *cells)
    console = Console()
    console.print(table)
    for name, detail in details.items():
        seconds = detail["setup_seconds"]
        console.print(
            f"{name}: one image in {detail['initiation_interval_cycles']:,} cycles; before the "
            f"first cycle {seconds['popshift']:.2f} s, Verilator {seconds['verilator']:.0f} s"
        )
    return 0
