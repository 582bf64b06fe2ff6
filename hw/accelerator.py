"""The accelerator as a user holds it: a dataflow with what can be done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import frontend, storage
from .cost import Cost
from .dtypes import IntArray
from .emit import RtlFiles, emit
from .errors import FoldingError
from .graph import Dataflow
from .passes import (
    Effort,
    FifoSizing,
    FoldingReport,
    Measure,
    apply_folding,
    connect,
    fold,
    folding_report,
    size_fifos,
)
from .reference import Reference, compile_reference
from .sim import Simulation, TimingModel


@dataclass(frozen=True)
class Accelerator:
    """An integer dataflow; every change returns a new accelerator.

    >>> acc = load("digits.onnx")                  # doctest: +SKIP
    >>> acc = acc.fold(fps=20_000, clock_mhz=25)   # doctest: +SKIP
    >>> classes = acc.run(images)                  # doctest: +SKIP

    Attributes:
        dataflow: Stages and streams.
    """

    dataflow: Dataflow

    def fold(
        self,
        folding: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        fps: float | None = None,
        clock_mhz: float | None = None,
    ) -> Accelerator:
        """Return the accelerator folded by hand, or for a frame rate at a clock.

        Raises:
            FoldingError: Neither or both are given, a factor does not divide, or no folding
                reaches the rate.
        """
        if folding is not None and fps is None and clock_mhz is None:
            return Accelerator(apply_folding(self.dataflow, folding))
        if folding is None and fps is not None and clock_mhz is not None:
            return Accelerator(fold(self.dataflow, fps=fps, clock_mhz=clock_mhz))
        raise FoldingError("fold: give either a folding, or both fps and clock_mhz")

    def with_fifos(self, depth: int | Mapping[str, int]) -> Accelerator:
        """Return the accelerator with FIFOs of ``depth`` beats, of all streams or by stream.

        Raises:
            GraphError: A stream is unknown or a depth negative.
        """
        return Accelerator(connect(self.dataflow, fifo_depth=depth))

    def size_fifos(
        self,
        *,
        interval: int | None = None,
        effort: Effort = "throughput",
        measure: Measure = "luts",
        budget: float | None = None,
    ) -> FifoSizing:
        """Return cheap FIFOs with which the slowest stage never waits, and what each is for.

        >>> sizing = acc.size_fifos(effort="minimal")  # doctest: +SKIP
        >>> acc = acc.with_fifos(sizing.depths)        # doctest: +SKIP

        Args:
            interval: Cycles of an image to keep instead.
            effort: "throughput" for cheap ones quickly, "minimal" for the cheapest with proof.
            measure: What to minimise, "luts" or "bits".
            budget: LUTs or bits that the FIFOs may cost, at the price of a longer interval.

        Raises:
            SimulationError: No FIFOs keep the interval, or none within the budget.
        """
        return size_fifos(
            self.dataflow, interval=interval, effort=effort, measure=measure, budget=budget
        )

    @cached_property
    def _reference(self) -> Reference:
        return compile_reference(self.dataflow)

    @cached_property
    def _timing(self) -> TimingModel:
        return TimingModel(self.dataflow)

    def run(self, *images: NDArray[np.integer]) -> IntArray | tuple[IntArray, ...]:
        """Return the integers of the output, or of each output, bit-exact.

        Args:
            images: Integers of each input, ``(images, *shape)``.

        Raises:
            DatatypeError: A value is outside the datatype of its input.
        """
        outputs = self._reference(*images)
        return outputs[0] if len(outputs) == 1 else outputs

    def streams(self, *images: NDArray[np.integer]) -> dict[str, IntArray]:
        """Return the integers of every stream, ``(images, *shape)`` each."""
        return self._reference.streams(*images)

    def simulate(
        self,
        *,
        images: int,
        gaps: Mapping[str, Sequence[int]] | None = None,
        ready: Mapping[str, Sequence[int]] | None = None,
        max_cycles: int = 1 << 40,
    ) -> Simulation:
        """Return the cycle of every beat, and what the stages do with theirs.

        Beats are made when they are asked for: the figures of a thousand images cost no more than
        those of the first few.

        Args:
            images: Images offered back to back at every input.
            gaps: Per input, repeating idle cycles before each beat.
            ready: Per output, repeating calendar of 0 and 1: whether a beat is taken in a cycle.
            max_cycles: Give up after so many cycles.

        Raises:
            StalledError: Deadlock, or ``max_cycles`` passed; says which stages wait for which.
        """
        return self._timing.simulate(images=images, gaps=gaps, ready=ready, max_cycles=max_cycles)

    def cost(self) -> Cost:
        """Return the estimated resources."""
        return self.dataflow.cost()

    def report(self, *, clock_mhz: float) -> FoldingReport:
        """Return folding, cycles and LUTs of every stage, and which is the bottleneck."""
        return folding_report(self.dataflow, clock_mhz=clock_mhz)

    def write_rtl(self, folder: str | Path) -> RtlFiles:
        """Write the SystemVerilog and the memory images into ``folder``."""
        return emit(self.dataflow, Path(folder))

    def save(self, folder: str | Path) -> None:
        """Write ``dataflow.json`` and ``dataflow.npz`` into ``folder``."""
        storage.save(self.dataflow, Path(folder))


def load(
    path: str | Path, *, name: str | None = None, input_dtype: str | None = None
) -> Accelerator:
    """Return the accelerator of a QONNX file, or of a folder that ``save`` wrote.

    Args:
        path: A ``.onnx`` file, or a folder with ``dataflow.json``.
        name: Name of the top level; by default that of the file.
        input_dtype: QONNX name of the input's datatype where the file does not say, ``UINT8``.

    Raises:
        ModelFileError: The file is missing or damaged.
        UnsupportedOpError: A node has no exact integer form.
        GraphError: The folder holds no dataflow.
    """
    path = Path(path)
    if path.is_dir():
        return Accelerator(storage.load(path))
    return Accelerator(frontend.load(path, name=name, input_dtype=input_dtype))
