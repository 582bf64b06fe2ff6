"""Cycles of the dataflow: latency, initiation interval, frames a second, what each stage does."""

from __future__ import annotations

import json
from typing import Any

from ...hw.errors import PopshiftError
from ..config import Config
from .step import Step, Workspace

# A thousand images cost no more than the few until they repeat.
_IMAGES = 1000


class RateNotReachedError(PopshiftError, ValueError):
    """The accelerator is slower than the configuration asks."""


class Simulate(Step):
    """Simulates images back to back, exactly, with a source and a sink that never wait."""

    name = "simulate"
    summary = "simulate the cycles of the dataflow"

    def settings(self, config: Config) -> Any:
        """Return the clock and the asked rate."""
        hardware = config.hardware
        return [hardware.clock_mhz, hardware.fps]

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the dataflow."""
        return ("dataflow.json", "dataflow.npz")

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return the timing."""
        return ("timing.json",)

    def run(self, work: Workspace) -> None:
        """Simulate.

        Raises:
            RateNotReachedError: The simulated rate is below ``hardware.fps``.
            StalledError: The FIFOs lead to a deadlock.
        """
        from ...hw import storage  # noqa: PLC0415 (numba is slow to load)
        from ...hw.sim import simulate  # noqa: PLC0415
        from ..timing import timing_figures, timing_table  # noqa: PLC0415

        dataflow = storage.load(work.folder)
        hardware = work.config.hardware
        simulation = simulate(dataflow, images=_IMAGES)
        timing = timing_figures(dataflow, simulation, hardware.clock_mhz)
        work.output("timing.json").write_text(json.dumps(timing, indent=1) + "\n", "utf-8")
        work.note(timing_table(timing))
        if hardware.fps is not None and timing["fps"] < hardware.fps:
            advice = "ask for a little more than you need"
            if hardware.fifos not in ("throughput", "minimal"):
                advice = f"leave out hardware.fifos or {advice}"
            raise RateNotReachedError(
                f"hardware.fps: {hardware.fps:g} images/s are asked for, but the simulated "
                f"accelerator reaches {timing['fps']:.0f} (one image in "
                f"{timing['initiation_interval_cycles']} cycles; {timing['limit']}); {advice}"
            )
