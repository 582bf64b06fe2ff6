"""What a folding comes to: cycles and LUTs of every stage, the bottleneck and what limits it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import FoldingError
from ..graph import Dataflow, Stage
from ..stages import Layer
from .connect import connect
from .fold import cycles_per_image, fold, foldings


@dataclass(frozen=True, kw_only=True)
class StageFolding:
    """Folding of one stage.

    Attributes:
        stage: Name.
        kernel: Kernel of a layer with weights, else None.
        pe: Neurons or channels per cycle; None where the stage has no such fold.
        simd: Synapses per cycle; None where the stage has no such fold.
        cycles: Cycles per image when neither input nor output stalls.
        lut: Estimated LUTs.
    """

    stage: str
    kernel: str | None = None
    pe: int | None
    simd: int | None
    cycles: int
    lut: int


@dataclass(frozen=True, kw_only=True)
class FasterFolding:
    """The next folding that is faster as a whole.

    Attributes:
        cycles: Cycles per image of its bottleneck.
        lut: Estimated LUTs of all its stages, without FIFOs.
    """

    cycles: int
    lut: int


@dataclass(frozen=True, kw_only=True)
class FoldingReport:
    """Folding of every stage, the rate that follows, and what limits it.

    Attributes:
        clock_mhz: Clock of the accelerator, MHz.
        stages: In dataflow order, converters and FIFOs included.
        limit: Why the bottleneck is not faster.
        faster: What :func:`fold` finds for the next rate; None where no folding is faster.
    """

    clock_mhz: float
    stages: tuple[StageFolding, ...]
    limit: str
    faster: FasterFolding | None

    @property
    def bottleneck(self) -> StageFolding:
        """The first of the stages with the most cycles per image."""
        return max(self.stages, key=lambda stage: stage.cycles)

    @property
    def fps(self) -> float:
        """Images per second that the bottleneck lets through."""
        return self.clock_mhz * 1e6 / self.bottleneck.cycles

    @property
    def lut(self) -> int:
        """Estimated LUTs of all stages."""
        return sum(stage.lut for stage in self.stages)

    def __str__(self) -> str:
        """Return a table, one stage a line, and what limits the rate."""
        lines = [f"{'stage':<24}{'kernel':<8}{'pe':>6}{'simd':>6}{'cycles':>10}{'lut':>10}"]
        for stage in self.stages:
            kernel, pe, simd = stage.kernel or "-", stage.pe or "-", stage.simd or "-"
            mark = "  <- bottleneck" if stage == self.bottleneck else ""
            lines.append(
                f"{stage.stage:<24}{kernel:<8}{pe:>6}{simd:>6}"
                f"{stage.cycles:>10}{stage.lut:>10}{mark}"
            )
        rate = f"{self.fps:.1f} images/s at {self.clock_mhz:g} MHz, {self.lut} LUTs estimated"
        lines += [rate, self.limit]
        if self.faster is None:
            lines.append("no folding is faster")
        else:
            fps = self.clock_mhz * 1e6 / self.faster.cycles
            lines.append(f"the next rate is {fps:.1f} images/s, {self.faster.lut} LUTs estimated")
        return "\n".join(lines)


def folding_report(dataflow: Dataflow, *, clock_mhz: float) -> FoldingReport:
    """Return folds, cycles per image, the bottleneck of ``dataflow`` and what limits it."""
    stages = tuple(
        StageFolding(
            stage=stage.name,
            kernel=stage.kernel if isinstance(stage, Layer) else None,
            pe=getattr(stage, "pe", None),
            simd=getattr(stage, "simd", None),
            cycles=cycles_per_image(stage),
            lut=stage.cost().lut,
        )
        for stage in dataflow.stages
    )
    slowest = max(stages, key=lambda stage: stage.cycles)
    return FoldingReport(
        clock_mhz=clock_mhz,
        stages=stages,
        limit=_limit(dataflow.stage(slowest.stage)),
        faster=_faster(dataflow, slowest.cycles),
    )


def _limit(stage: Stage) -> str:
    """Return which folds a stage has and which are the next faster ones."""
    sizes, cycles = stage.fold_sizes, cycles_per_image(stage)
    if not sizes:
        return f"{stage.name} limits: {cycles} cycles, one for each beat; it has no folds"
    names = " x ".join(sizes)
    folds = ", ".join(f"{name}={getattr(stage, name)} of {sizes[name]}" for name in sizes)
    lanes = math.prod(getattr(stage, name) for name in sizes)
    have = f"{stage.name} limits: {folds}, {cycles} cycles"
    options = [option for row in foldings(stage) for option in row]
    products = {math.prod(option.values()) for option in options}
    for product in sorted(product for product in products if product > lanes):
        candidates = [
            stage.with_(**option) for option in options if math.prod(option.values()) == product
        ]
        best = min(candidates, key=lambda candidate: candidate.cost().lut)
        if cycles_per_image(best) < cycles:
            more = best.cost().lut - stage.cost().lut
            return (
                f"{have}; the next divisors give {names} = {product} instead of {lanes}, "
                f"{cycles_per_image(best)} cycles, {more:+d} LUTs"
            )
    return f"{have}; more {names} make it no faster"


def _faster(dataflow: Dataflow, cycles: int) -> FasterFolding | None:
    """Return what the next rate beyond ``cycles`` an image takes."""
    if cycles < 2:
        return None
    try:
        found = fold(connect(dataflow, fifo_depth=0), fps=1e6 / (cycles - 1), clock_mhz=1)
    except FoldingError:
        return None
    return FasterFolding(
        cycles=max(cycles_per_image(stage) for stage in found.stages), lut=found.cost().lut
    )
