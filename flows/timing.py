"""Figures of a simulation: rate, latency, what each stage does, how full the FIFOs get."""

from __future__ import annotations

from typing import Any

from ..hw.graph import Dataflow
from ..hw.sim import Simulation
from ..hw.stages import Fifo


def timing_figures(
    dataflow: Dataflow, simulation: Simulation, clock_mhz: float | None
) -> dict[str, Any]:
    """Return the figures as plain values, the contents of ``timing.json``.

    Args:
        dataflow: What was simulated.
        simulation: Of one image or more.
        clock_mhz: Clock; without one there is no rate in images per second.
    """
    interval = simulation.interval_cycles
    cycle = simulation.critical_cycle()
    return {
        "clock_mhz": clock_mhz,
        "images": len(simulation.ends),
        "initiation_interval_cycles": interval,
        "latency_cycles": simulation.latency_cycles,
        "fps": clock_mhz * 1e6 / interval if clock_mhz and interval else None,
        "total_cycles": simulation.total_cycles,
        "limit": None if cycle is None else str(cycle),
        "stages": [
            {
                "stage": activity.stage,
                "images": activity.images,
                "busy_cycles": activity.busy,
                "starved_cycles": activity.starved,
                "blocked_cycles": activity.blocked,
            }
            for activity in simulation.activities()
        ],
        "fifos": [
            {
                "stream": stage.inputs[0],
                "stage": stage.name,
                "depth": stage.depth,
                "most_beats": int(simulation.handshakes(stage.outputs[0]).held[1].max(initial=0)),
            }
            for stage in dataflow.stages
            if isinstance(stage, Fifo)
        ],
    }


def timing_table(figures: dict[str, Any]) -> str:
    """Return the figures for a terminal."""
    lines = [f"{'stage':<28}{'busy':>9}{'starved':>9}{'blocked':>9}"]
    for stage in figures["stages"]:
        cycles = [stage[f"{what}_cycles"] for what in ("busy", "starved", "blocked")]
        shares = "".join(f"{100 * part / max(sum(cycles), 1):8.1f}%" for part in cycles)
        lines.append(f"{stage['stage']:<28}{shares}")
    if figures["fifos"]:
        lines += ["", f"{'FIFO':<28}{'depth':>9}{'most':>9}"]
        lines += [
            f"{fifo['stage']:<28}{fifo['depth']:>9}{fifo['most_beats']:>9}"
            for fifo in figures["fifos"]
        ]
    lines += ["", f"images               {figures['images']:,}"]
    if figures["images"] > 1:
        lines.append(f"initiation interval  {figures['initiation_interval_cycles']:,} cycles")
    lines.append(f"latency              {figures['latency_cycles']:,} cycles")
    if figures["fps"]:
        rate = f"{figures['fps']:,.0f} images/s at {figures['clock_mhz']:g} MHz"
        lines.append(f"rate                 {rate}")
    if figures["limit"]:
        lines.append(f"limit                {figures['limit']}")
    return "\n".join(lines)
