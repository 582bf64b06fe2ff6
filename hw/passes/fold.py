"""Folding: how many synapses (SIMD) and neurons (PE) each stage computes per cycle."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, fields

from ..errors import FoldingError
from ..graph import Dataflow, Stage
from .connect import connect, logical_stages

_FOLDS = ("pe", "simd")

# More lanes than needed can save LUTs, by shallower memories; more than this many times never paid.
MAX_SURPLUS = 4


@dataclass(frozen=True, kw_only=True)
class StageFolding:
    """Folding of one stage.

    Attributes:
        stage: Name.
        pe: Neurons or channels per cycle; None where the stage has no such fold.
        simd: Synapses per cycle; None where the stage has no such fold.
        cycles: Cycles per image when neither input nor output stalls.
        lut: Estimated LUTs.
    """

    stage: str
    pe: int | None
    simd: int | None
    cycles: int
    lut: int


@dataclass(frozen=True, kw_only=True)
class FoldingReport:
    """Folding of every stage, and the rate that follows.

    Attributes:
        clock_mhz: Clock of the accelerator, MHz.
        stages: In dataflow order, converters and FIFOs included.
    """

    clock_mhz: float
    stages: tuple[StageFolding, ...]

    @property
    def bottleneck(self) -> StageFolding:
        """The first of the stages with the most cycles per image."""
        return max(self.stages, key=lambda stage: stage.cycles)

    @property
    def fps(self) -> float:
        """Images per second that the bottleneck lets through."""
        return self.clock_mhz * 1e6 / self.bottleneck.cycles

    def __str__(self) -> str:
        """Return a table, one stage a line."""
        lines = [f"{'stage':<24}{'pe':>6}{'simd':>6}{'cycles':>10}{'lut':>10}"]
        for stage in self.stages:
            pe, simd = stage.pe or "-", stage.simd or "-"
            mark = "  <- bottleneck" if stage == self.bottleneck else ""
            lines.append(
                f"{stage.stage:<24}{pe:>6}{simd:>6}{stage.cycles:>10}{stage.lut:>10}{mark}"
            )
        lines.append(f"{self.fps:.1f} images/s at {self.clock_mhz:g} MHz")
        return "\n".join(lines)


def cycles_per_image(stage: Stage) -> int:
    """Return the cycles that ``stage`` takes for an image when nothing stalls it.

    It is the longest thread: operations of its program, times the programs in an image.
    """
    types = dict(zip(stage.input_ports, stage.input_types, strict=True))
    types |= dict(zip(stage.output_ports, stage.output_types, strict=True))
    longest = 0
    for thread in stage.schedule().threads:
        beats = {
            port: int(t.sum()) for port, t in (*thread.consumes.items(), *thread.produces.items())
        }
        port = next(port for port, count in beats.items() if count)
        longest = max(longest, thread.operations * types[port].beats // beats[port])
    return longest


def apply_folding(dataflow: Dataflow, folding: Mapping[str, Mapping[str, int]]) -> Dataflow:
    """Return ``dataflow`` with other folds, converters put in where beats differ.

    Args:
        dataflow: Connected or not; its converters are taken out first, its FIFOs stay.
        folding: By stage name, ``pe`` and ``simd`` (FINN's ``PE`` and ``SIMD`` as well). Stages and
            folds that are not named stay as they are.

    Raises:
        FoldingError: A stage or key is unknown, or a fold is no divisor of its dimension.
    """
    stages = {stage.name: stage for stage in logical_stages(dataflow)}
    for name, given in folding.items():
        if name not in stages:
            raise FoldingError(f"folding: no stage {name!r}; the stages are {list(stages)}")
        stages[name] = _folded(stages[name], given)
    return connect(dataflow, stages.values())


def _folded(stage: Stage, given: Mapping[str, int]) -> Stage:
    """Return ``stage`` with the given folds."""
    known = _folds(stage)
    changes: dict[str, int] = {}
    for key, value in given.items():
        fold = key.lower() if key in ("PE", "SIMD") else key
        if fold not in known:
            raise FoldingError(f"folding of {stage.name}: unknown key {key!r}; it has {known}")
        if fold in changes:
            raise FoldingError(f"folding of {stage.name}: {fold} is given twice")
        if isinstance(value, bool) or not isinstance(value, int):
            raise FoldingError(f"folding of {stage.name}: {key}={value!r} must be an integer")
        changes[fold] = value
    return stage.with_(**changes)


def _folds(stage: Stage) -> list[str]:
    """Return the names of the folds that ``stage`` has."""
    names = {field.name for field in fields(stage)}
    return [fold for fold in _FOLDS if fold in names]


def fold(dataflow: Dataflow, *, fps: float, clock_mhz: float) -> Dataflow:
    """Return ``dataflow`` with the smallest folding that reaches a frame rate.

    Per stage, of all foldings that take at most ``clock / fps`` cycles per image, the one with the
    fewest LUTs by ``Stage.cost``; of equal ones the fewest block RAMs, then flip-flops. Foldings
    with more than ``MAX_SURPLUS`` times the lanes that are needed are not priced.

    Args:
        dataflow: Connected or not.
        fps: Images per second.
        clock_mhz: Clock, MHz.

    Raises:
        FoldingError: A rate is not positive, or a stage cannot reach it however it is folded.
    """
    if not (fps > 0 and clock_mhz > 0 and math.isfinite(fps) and math.isfinite(clock_mhz)):
        raise FoldingError(f"folding: fps={fps} and clock_mhz={clock_mhz} must be positive")
    # A rate that was itself computed from cycles may be off by a rounding.
    budget = math.floor(clock_mhz * 1e6 / fps * (1 + 1e-12))
    stages = [_smallest(stage, budget, fps, clock_mhz) for stage in logical_stages(dataflow)]
    return connect(dataflow, stages)


def _smallest(stage: Stage, budget: int, fps: float, clock_mhz: float) -> Stage:
    """Return the folding of ``stage`` with the fewest LUTs within ``budget`` cycles per image."""
    rows = _foldings(stage)

    def is_fast(folds: Mapping[str, int]) -> bool:
        return cycles_per_image(stage.with_(**folds)) <= budget

    # Cycles fall along a row, so what is fast enough starts at one place of each row.
    fast = [row[bisect_left(row, True, key=is_fast) :] for row in rows]
    if not any(fast):
        fastest = min(cycles_per_image(stage.with_(**row[-1])) for row in rows)
        raise FoldingError(
            f"{stage.name}: {fps:g} images/s at {clock_mhz:g} MHz leave {budget} cycles per image, "
            f"but it needs {fastest}; at most {clock_mhz * 1e6 / fastest:.1f} images/s are "
            "reachable, or raise the clock"
        )
    fewest = min(math.prod(row[0].values()) for row in fast if row)
    candidates = [
        stage.with_(**folds)
        for row in fast
        for folds in row
        if math.prod(folds.values()) <= MAX_SURPLUS * fewest
    ]
    return min(candidates, key=_price)


def _price(stage: Stage) -> tuple[int, int, int]:
    """Return what the search minimises: LUTs, then block RAMs, then flip-flops."""
    cost = stage.cost()
    return cost.lut, cost.bram, cost.ff


def _foldings(stage: Stage) -> list[list[dict[str, int]]]:
    """Return the foldings of ``stage``, a row for each PE, SIMD ascending along it.

    SIMD folds the channels that come in; PE those that go out, or those that come in where it is
    the only fold.
    """
    folds = _folds(stage)
    entering, leaving = stage.input_types[0].shape[-1], stage.output_types[0].shape[-1]
    if "simd" not in folds:
        return [[{"pe": pe} for pe in _divisors(entering)]] if "pe" in folds else [[{}]]
    pes = [{"pe": pe} for pe in _divisors(leaving)] if "pe" in folds else [{}]
    return [[{**pe, "simd": simd} for simd in _divisors(entering)] for pe in pes]


def _divisors(number: int) -> list[int]:
    """Return the divisors of ``number``, ascending."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return small + [number // d for d in reversed(small) if d * d != number]


def folding_report(dataflow: Dataflow, *, clock_mhz: float) -> FoldingReport:
    """Return folds, cycles per image and the bottleneck of ``dataflow``."""
    return FoldingReport(
        clock_mhz=clock_mhz,
        stages=tuple(
            StageFolding(
                stage=stage.name,
                pe=getattr(stage, "pe", None),
                simd=getattr(stage, "simd", None),
                cycles=cycles_per_image(stage),
                lut=stage.cost().lut,
            )
            for stage in dataflow.stages
        ),
    )
