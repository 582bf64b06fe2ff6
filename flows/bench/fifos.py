"""What FIFOs cost when they are sized on the event graph, against those of the largest fill.

The peer is the usual method, FINN's too: simulate with FIFOs that never fill, the source paced at
the rate of the slowest layer, and give each FIFO the most beats that it ever held.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ...hw.graph import Dataflow
from ...hw.passes import FifoSizing, connect, size_fifos
from ...hw.passes.connect import fifo_places, without_fifos
from ...hw.sim import simulate
from .dataflows import DATAFLOWS, with_tight_line_buffers
from .measure import Row, machine

_IMAGES = 8
PROOF_SECONDS = 60.0
TIGHT = ("CNV 3 k FPS", "CNV 12 k FPS")


@dataclass(frozen=True)
class Measured:
    """The FIFOs of one network.

    Attributes:
        name: Of the network.
        quick: Sized for throughput.
        quick_seconds: CPU time of that.
        minimal: With the proof.
        minimal_seconds: CPU time of that.
        largest_fill_bits: Bits of the FIFOs of the largest fill.
    """

    name: str
    quick: FifoSizing
    quick_seconds: float
    minimal: FifoSizing
    minimal_seconds: float
    largest_fill_bits: int

    def rows(self) -> list[Row]:
        """Return bits of storage, ours and the peer's."""
        peer = "largest fill"
        return [
            Row(f"{self.name}, bits", float(self.quick.bits), float(self.largest_fill_bits), peer),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return all figures as plain values."""
        return {
            name: {"cpu_seconds": seconds, **sizing.as_json()}
            for name, sizing, seconds in (
                ("throughput", self.quick, self.quick_seconds),
                ("minimal", self.minimal, self.minimal_seconds),
            )
        }


def measure(name: str, dataflow: Dataflow) -> Measured:
    """Size the FIFOs of one network in every way; checks that the rate is kept.

    Raises:
        ArithmeticError: FIFOs do not keep the interval that they are sized for.
    """
    begin = time.process_time()
    quick = size_fifos(dataflow)
    quick_seconds = time.process_time() - begin
    begin = time.process_time()
    minimal = size_fifos(dataflow, effort="minimal", seconds=PROOF_SECONDS)
    minimal_seconds = time.process_time() - begin
    for sizing in (quick, minimal):
        sized = connect(dataflow, fifo_depth=sizing.depths)
        if simulate(sized, images=1000).interval_cycles > sizing.interval_cycles:
            raise ArithmeticError(f"bench fifos: {name}: {sizing.depths} do not keep the rate")
    fill = largest_fill(dataflow, quick.interval_cycles)
    places = {place.stream: place.type for place in fifo_places(without_fifos(dataflow))}
    bits = sum(depth * places[stream].width_bits for stream, depth in fill.items())
    return Measured(name, quick, quick_seconds, minimal, minimal_seconds, bits)


def largest_fill(dataflow: Dataflow, interval: int) -> dict[str, int]:
    """Return the most beats that FIFOs without limit hold with a source at the asked rate."""
    streams = fifo_places(without_fifos(dataflow))
    deep = connect(dataflow, fifo_depth={p.stream: _IMAGES * p.type.beats + 64 for p in streams})
    gaps = {}
    for name, kind in deep.inputs.items():
        # The beats of an image are spread evenly over the interval.
        starts = [beat * interval // kind.beats for beat in range(kind.beats + 1)]
        gaps[name] = [max(after - before - 1, 0) for before, after in pairwise(starts)]
    run = simulate(deep, images=_IMAGES, gaps=gaps)
    return {
        place.stream: max(int(run.handshakes(f"{place.stream}_fifo_out").held[1].max()), 2)
        for place in streams
    }


def dataflows() -> Iterator[tuple[str, Dataflow]]:
    """Yield what is measured.

    Line buffers of CNV have room for what their layers read again, so that it needs no FIFOs; with
    the fewest words in them its layers wait for each other.
    """
    for name, make in DATAFLOWS.items():
        dataflow = make()
        yield name, dataflow
        if name in TIGHT:
            yield f"{name}, tight line buffers", with_tight_line_buffers(dataflow)


def main(as_json: bool) -> int:
    """Print the table, or the JSON object, and return the exit status."""
    found: list[Measured] = []
    console = Console(stderr=True)
    every = track(
        dataflows(), "networks", len(TIGHT) + len(DATAFLOWS), console=console, disable=as_json
    )
    for name, dataflow in every:
        if not found:
            size_fifos(dataflow)  # compiles
        found.append(measure(name, dataflow))
    if as_json:
        report = {
            "unit": "bits of storage",
            "machine": machine(),
            "rows": [row.as_json() for one in found for row in one.rows()],
            "networks": {one.name: one.as_json() for one in found},
        }
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
        return 0
    table = Table(title="FIFOs with which the slowest layer never waits")
    headings = ("network", "bits", "LUTs", "CPU s", "minimal LUTs", "CPU s", "proven")
    for heading in (*headings, "bits by largest fill", "ratio"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for one in found:
        (row,) = one.rows()
        quick, minimal = one.quick, one.minimal
        proven = "the least" if minimal.is_minimal else f">= {minimal.lower_bound:,.1f} LUTs"
        table.add_row(
            one.name, f"{quick.bits:,}", f"{quick.total:,.1f}", f"{one.quick_seconds:.2f}",
            f"{minimal.total:,.1f}", f"{one.minimal_seconds:.1f}", proven, f"{row.peer:,.0f}",
            f"{row.ratio:.3f}",
        )  # fmt: skip
    Console().print(table)
    return 0
