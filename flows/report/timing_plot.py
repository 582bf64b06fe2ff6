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
_HELD = {"most": "#9ecae1", "least": "#2171b5"}
_PARTS = 1500  # of a run; as many as a picture has columns


def plot_timing(dataflow: Dataflow, simulation: Simulation, path: Path) -> None:
    """Draw utilisation and occupancy into ``path``: PNG, SVG or PDF by its name.

    Above, per stage, the shares of the cycles of an image. Below, a row for each FIFO that is as
    high as it is deep: the most and the least beats that it holds in each part of the whole run.
    Streams without a FIFO are left out.

    Raises:
        ValueError: The file name says no such format.
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 (slow to load)

    figures = timing_figures(dataflow, simulation, None)
    stages = figures["stages"]
    fifos = [stage for stage in dataflow.stages if isinstance(stage, Fifo)]
    heights = [0.24 * len(stages) + 1.2, *([0.36 * len(fifos) + 1.2] if fifos else [])]
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
    bars.set_ylim(len(stages) - 0.4, -0.6)
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
    parts = min(simulation.total_cycles, _PARTS)
    edges = np.unique(np.linspace(0, simulation.total_cycles, parts + 1).astype(np.int64))
    for row, fifo in enumerate(fifos):
        least, most = extremes(*simulation.handshakes(fifo.outputs[0]).held, edges)
        for (what, colour), held in zip(_HELD.items(), (most, least), strict=True):
            # Rows count downwards, and beats upwards.
            top = row + 0.45 - 0.9 * np.append(held, held[-1:]) / fifo.depth
            axes.fill_between(
                edges, row + 0.45, top, step="post", color=colour, linewidth=0,
                label=None if row else f"{what} beats held",
            )  # fmt: skip
    axes.set_yticks(
        range(len(fifos)), [f"{fifo.name} ({fifo.depth})" for fifo in fifos], fontsize=8
    )
    axes.set_ylim(len(fifos) - 0.4, -0.6)
    axes.set_xlim(0, simulation.total_cycles)
    axes.set_xlabel("cycle")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize=8)


def extremes(at: Cycles, held: Cycles, edges: Cycles) -> tuple[Cycles, Cycles]:
    """Return the least and the most that is held in each part of a run.

    Args:
        at: Cycles in which what is held changes, ascending.
        held: To what.
        edges: Where the parts begin, and the end of the last one.
    """
    begins = edges[:-1]
    entering = np.append(0, held)[np.searchsorted(at, begins, "right")]
    is_within = at < edges[-1]
    cycles = np.concatenate([begins, at[is_within]])
    values = np.concatenate([entering, held[is_within]])
    order = np.argsort(cycles, kind="stable")
    first = np.searchsorted(cycles[order], begins)
    least: Cycles = np.minimum.reduceat(values[order], first)
    most: Cycles = np.maximum.reduceat(values[order], first)
    return least, most
