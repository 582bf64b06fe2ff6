"""Cycles of the dataflow: latency, initiation interval, frames a second."""

from __future__ import annotations

import json
from typing import Any

from ...hw.errors import PopshiftError
from ..config import Config
from .step import Step, Workspace

_LEAST_IMAGES = 8  # enough for the pipeline to fill and to show its rate


class RateNotReachedError(PopshiftError, ValueError):
    """The accelerator is slower than the configuration asks."""


class Simulate(Step):
    """Simulates images back to back, clock by clock, with a source and a sink that never wait."""

    name = "simulate"
    summary = "simulate the dataflow clock by clock"

    def settings(self, config: Config) -> Any:
        """Return the clock, the asked rate and the number of images."""
        hardware = config.hardware
        return [hardware.clock_mhz, hardware.fps, config.verify.cycle_images]

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
        """
        from ...hw import storage  # noqa: PLC0415 (numba is slow to load)
        from ...hw.sim.clock import simulate  # noqa: PLC0415

        dataflow = storage.load(work.folder)
        images = max(_LEAST_IMAGES, work.config.verify.cycle_images)
        trace = simulate(dataflow, images=images)
        began = {name: trace.cycles[name] for name in dataflow.inputs}
        left = {
            name: trace.cycles[name].reshape(images, -1)[:, -1].tolist()
            for name in dataflow.outputs
        }
        # Ends of the second half of the images, when the pipeline is full. The slowest pair counts.
        interval = max(
            after - before
            for ends in left.values()
            for before, after in zip(ends[images // 2 - 1 :], ends[images // 2 :], strict=False)
        )
        first = min(int(cycles[0]) for cycles in began.values())
        clock_mhz = work.config.hardware.clock_mhz
        timing = {
            "clock_mhz": clock_mhz,
            "images": images,
            "initiation_interval_cycles": interval,
            "latency_cycles": max(ends[0] for ends in left.values()) - first,
            "fps": clock_mhz * 1e6 / interval,
            "total_cycles": trace.total_cycles,
        }
        work.output("timing.json").write_text(json.dumps(timing, indent=1) + "\n", "utf-8")
        asked = work.config.hardware.fps
        if asked is not None and timing["fps"] < asked:
            raise RateNotReachedError(
                f"hardware.fps: {asked:g} images/s are asked for, but the simulated accelerator "
                f"reaches {timing['fps']:.0f} (one image in {interval} cycles); leave out "
                "hardware.fifo_depth or ask for a little more than you need"
            )
