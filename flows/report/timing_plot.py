"""A picture of a simulation: what each stage does, and how full the FIFOs are over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...hw.graph import Dataflow
from ...hw.sim import Simulation
from ...hw.sim.trace import Cycles
from ...hw.stages import Fifo
from ..timing import timing_figures

_COLOURS = {"busy": "#2b7a4b", "starved": "#d9d9d9", "blocked": "#c0392b"}
_MEANINGS = {"busy": "busy", "starved": "waits for input", "blocked": "waits for output"}
_POINTS = 4000  # of a curve; more than a picture has columns


def plot_timing(dataflow: Dataflow, simulation: Simulation, path: Path) -> None:
    """Draw utilisation and occupancy into ``path``: PNG, SVG or PDF by its name.

    Above, per stage, the shares of the cycles of an image. Below, per FIFO, the beats that it holds
    over the whole run, as a share of its depth; streams without a FIFO are left out.

    Raises:
        ValueError: The file name says no such format.
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 (slow to load)

    figures = timing_figures(dataflow, simulation, None)
    stages = figures["stages"]
    fifos = [stage for stage in dataflow.stages if isinstance(stage, Fifo)]
    heights = [0.24 * len(stages) + 1.2, *([2.8] if fifos else [])]
    figure = Figure(figsize=(10, sum(heights) + 0.6), layout="constrained")
    axes = figure.subplots(len(heights), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)
    bars = axes[0, 0]
    left = np.zeros(len(stages))
    totals = np.array([sum(stage[f"{what}_cycles"] for what in _COLOURS) for stage in stages])
    for what, colour in _COLOURS.items():
        cycles = np.array([stage[f"{what}_cycles"] for stage in stages])
        share = 100 * cycles / np.maximum(totals, 1)
        bars.barh(range(len(stages)), share, left=left, color=colour, label=_MEANINGS[what])
        left += share
    bars.set_yticks(range(len(stages)), [stage["stage"] for stage in stages], fontsize=8)
    bars.invert_yaxis()
    bars.set_xlim(0, 100)
    bars.set_xlabel("share of the cycles of an image, %")
    bars.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize=8)
    if fifos:
        _draw_occupancy(axes[1, 0], simulation, fifos)
    interval = figures["initiation_interval_cycles"]
    rate = f", one in {interval:,} cycles" if interval else ""
    figure.suptitle(
        f"{dataflow.name}: {figures['images']} images{rate}, latency "
        f"{figures['latency_cycles']:,} cycles",
        fontsize=10,
    )
    part = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        figure.savefig(part, dpi=150)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _draw_occupancy(axes: Any, simulation: Simulation, fifos: list[Fifo]) -> None:
    for fifo in fifos:
        at, held = _envelope(*simulation.handshakes(fifo.outputs[0]).held)
        label = f"{fifo.name} ({fifo.depth})"
        axes.step(at, 100 * held / fifo.depth, where="post", label=label, linewidth=0.8)
    axes.set_ylim(0, 105)
    axes.set_xlim(0, simulation.total_cycles)
    axes.set_xlabel("cycle")
    axes.set_ylabel("FIFO filled, %")
    axes.legend(loc="upper right", fontsize=7)


def _envelope(at: Cycles, held: Cycles) -> tuple[Cycles, Cycles]:
    """Return the curve with as many points as a picture can show, each the most of its part."""
    if len(at) <= _POINTS:
        return at, held
    begins = np.linspace(0, len(at), _POINTS, endpoint=False).astype(np.int64)
    return at[begins], np.maximum.reduceat(held, begins)
