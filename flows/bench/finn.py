"""FINN's estimates of its own graphs against the exact cycles of the same graphs here."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from ...hw.finn import bootstrap
from ...hw.finn.foreign import read_finn
from ...hw.passes import connect, size_fifos
from ...models import export, zoo
from ..finn.own import OwnEstimate, estimate
from ..finn.reading import timing
from .measure import Row, machine

CLOCK_MHZ = 100.0
# Networks and the rates that FINN folds them for.
NETWORKS = (("tfc", 10_000), ("sfc", 10_000), ("lfc", 1_000), ("cnv", 1_000))
_IMAGES = 6


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A graph of FINN, its estimates, and what it takes.

    Attributes:
        name: Network.
        fps: Images per second that FINN folded for.
        own: FINN's estimates.
        interval_cycles: Cycles between images, simulated with FIFOs that are sized for the rate.
        latency_cycles: Cycles from the first beat that enters to the last one that leaves.
        bare_interval_cycles: Interval without FIFOs, as the graph leaves FINN's estimate.
    """

    name: str
    fps: int
    own: OwnEstimate
    interval_cycles: int
    latency_cycles: int
    bare_interval_cycles: int


def measure(name: str, fps: int, folder: Path) -> Measured:
    """Return FINN's estimates of a zoo network with random weights, and its exact cycles."""
    model = folder / f"{name}.onnx"
    write_random(name, model, folder / f"{name}.npz")
    own = estimate(model, folder, fps=fps, clock_mhz=CLOCK_MHZ)
    bare = read_finn(own.graph, name=name).dataflow
    buffered = connect(bare, fifo_depth=size_fifos(bare).depths)
    interval, latency = timing(buffered, _IMAGES)
    return Measured(
        name=name,
        fps=fps,
        own=own,
        interval_cycles=interval,
        latency_cycles=latency,
        bare_interval_cycles=timing(bare, _IMAGES)[0],
    )


def write_random(name: str, model: Path, golden: Path, **options: Any) -> None:
    """Write a zoo network with random weights and the statistics of random images as QONNX.

    Args:
        name: Network of the zoo.
        model: File to write.
        golden: File of its integers to write.
        options: Options of the network.
    """
    net = zoo.create(name, **options)
    high = {"UINT8": 256, "UINT5": 17, "BIPOLAR": 2}[net.input_dtype]
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, high, (32, *net.input_shape), generator=generator)
    if net.input_dtype == "BIPOLAR":
        images = 2 * images - 1
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the statistics of these images, not a running mean
    with torch.no_grad():
        net.train()(images.float())
    export(
        net.eval(),
        model,
        inputs=images[:4].numpy(),
        golden=golden,
        input_dtype=net.input_dtype,
    )


def main(as_json: bool) -> int:
    """Print the table, or the JSON object, and return the exit status.

    Raises:
        FinnNotFoundError: FINN is not installed.
    """
    bootstrap.require()
    found = []
    for name, fps in NETWORKS:
        # FINN's steps print; that is no result.
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            found.append(measure(name, fps, Path(folder)))
    if as_json:
        report = {
            "unit": "cycles, exact against FINN's estimate",
            "clock_mhz": CLOCK_MHZ,
            "machine": machine(),
            "rows": [row.as_json() for one in found for row in rows(one)],
        }
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        Console().print(table(found))
    return 0


def rows(one: Measured) -> list[Row]:
    """Return interval and latency of a network, and the interval without FIFOs."""
    peer = f"finn-plus {bootstrap.VERSION} estimate"
    work = f"{one.name.upper()} for {one.fps:,} images/s at {CLOCK_MHZ:g} MHz"
    interval, latency = float(one.own.interval_cycles), float(one.own.latency_cycles)
    return [
        Row(f"{work}, interval", float(one.interval_cycles), interval, peer),
        Row(f"{work}, interval without FIFOs", float(one.bare_interval_cycles), interval, peer),
        Row(f"{work}, latency", float(one.latency_cycles), latency, peer),
    ]


def table(found: Sequence[Measured]) -> Table:
    """Return the figures for the terminal, one network a line."""
    shown = Table(
        title=f"cycles: finn-plus {bootstrap.VERSION} estimates, popshift simulates the same graph"
    )
    headings = ("", "images/s", "interval: FINN", "exact", "no FIFOs", "latency: FINN", "exact")
    for heading in headings:
        shown.add_column(heading, justify="right" if heading else "left")
    for one in found:
        cycles = (
            one.fps,
            one.own.interval_cycles,
            one.interval_cycles,
            one.bare_interval_cycles,
            one.own.latency_cycles,
            one.latency_cycles,
        )
        shown.add_row(one.name.upper(), *(f"{number:,}" for number in cycles))
    return shown
