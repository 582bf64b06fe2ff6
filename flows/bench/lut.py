"""Estimated against synthesized LUTs, stage by stage."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ...hw.cost import Cost
from ...hw.dtypes import BIPOLAR, DataType, unsigned
from ...hw.graph import Dataflow, Stage, StreamType
from ...hw.stages import STAGES, Argmax, Fifo, MatVec, Thresholds, Width
from ..conformance import bench
from ..synth.cells import measure_stages
from ..tools import find_tool
from .measure import Row, machine

RANDOM_KINDS = ("argmax", "fifo", "matvec", "threshold", "width", "depthwise", "pool", "window")


@dataclass(frozen=True)
class Measured:
    """A stage, what it was estimated to take and what it takes.

    Attributes:
        stage: The stage.
        estimate: By ``Stage.cost``.
        actual: Counted in the netlist.
    """

    stage: Stage
    estimate: Cost
    actual: Cost

    @property
    def is_close(self) -> bool:
        """Whether the LUTs are within 20 of the estimate, or within a fifth of what was counted."""
        return abs(self.estimate.lut - self.actual.lut) <= max(20, self.actual.lut / 5)


def measure(stages: Sequence[Stage], folder: Path) -> list[Measured]:
    """Synthesize stages side by side and return each with its estimate.

    Args:
        stages: Of different names, connected or not.
        folder: Receives RTL, netlist and log.

    Raises:
        BuildError: Yosys failed.
        ToolNotFoundError: Yosys is missing.
    """
    cells = measure_stages(bench([_alone(stage) for stage in stages]), folder)
    return [Measured(stage, stage.cost(), cells[stage.name].cost) for stage in stages]


def _alone(stage: Stage) -> Stage:
    """Return the stage with streams of its own."""
    return stage.with_(
        inputs=tuple(f"{stage.name}_x{i}" for i in range(len(stage.inputs))),
        outputs=tuple(f"{stage.name}_y{i}" for i in range(len(stage.outputs))),
    )


def random_stages(count: int, seed: int) -> tuple[Stage, ...]:
    """Return ``count`` small random stages of each kind, those of the conformance suite."""
    rng = np.random.default_rng(seed)
    return tuple(
        STAGES[kind].random(f"{kind}{i}", rng) for kind in RANDOM_KINDS for i in range(count)
    )


def digits_mlp() -> Dataflow:
    """Return a network of the size of the example ``digits-mlp``, with random weights.

    64 inputs of 5 bits, three layers of 256 neurons, 10 classes; folded to 1024 cycles an image.
    """
    rng = np.random.default_rng(0)
    stages: list[Stage] = []
    kind = StreamType(dtype=unsigned(5), shape=(64,), lanes=4)
    here, depths = "x", (16, 64, 128, 128)
    for layer, (neurons, simd, pe) in enumerate(((256, 4, 4), (256, 32, 2), (256, 32, 2))):
        kind, here = _join(stages, kind, here, depths[layer], simd)
        levels = rng.integers(-40, 40, (neurons, 1)) + (0 if layer == 0 else 128)
        thresholds = Thresholds(levels=levels, is_rising=rng.integers(0, 2, neurons) > 0)
        stages.append(_matvec(f"fc{layer}", here, kind, neurons, simd, pe, thresholds, rng))
        kind, here = stages[-1].output_types[0], stages[-1].outputs[0]
    kind, here = _join(stages, kind, here, depths[3], 4)
    stages.append(_matvec("fc3", here, kind, 10, 4, 1, None, rng))
    kind, here = _join(stages, stages[-1].output_types[0], stages[-1].outputs[0], 10, 1)
    argmax = Argmax(
        name="argmax", inputs=(here,), outputs=("y",), classes=10, input_dtype=kind.dtype
    )
    first = StreamType(dtype=unsigned(5), shape=(64,), lanes=4)
    return Dataflow(name="digits", inputs={"x": first}, outputs=("y",), stages=(*stages, argmax))


def _join(
    stages: list[Stage], kind: StreamType, here: str, depth: int, lanes: int
) -> tuple[StreamType, str]:
    """Add a FIFO and, where beats differ, a width converter; return what leaves them."""
    fifo = Fifo(name=f"{here}_fifo", inputs=(here,), outputs=(f"{here}_q",), type=kind, depth=depth)
    stages.append(fifo)
    if kind.lanes == lanes:
        return kind, fifo.outputs[0]
    width = Width(
        name=f"{here}_width",
        inputs=fifo.outputs,
        outputs=(f"{here}_w",),
        type=kind,
        lanes=lanes,
    )
    stages.append(width)
    return width.output_types[0], width.outputs[0]


def _matvec(
    name: str,
    here: str,
    kind: StreamType,
    neurons: int,
    simd: int,
    pe: int,
    thresholds: Thresholds | None,
    rng: np.random.Generator,
) -> MatVec:
    """Return a layer with random weights -1, +1."""
    return MatVec(
        name=name,
        inputs=(here,),
        outputs=(f"{name}_out",),
        weights=BIPOLAR.random((neurons, kind.shape[-1]), rng),
        input_dtype=kind.dtype,
        kernel="xnor" if kind.dtype == BIPOLAR else "signed",
        thresholds=thresholds,
        simd=simd,
        pe=pe,
    )


def describe(stage: Stage) -> str:
    """Return the parameters of a stage that its cost depends on most."""
    if isinstance(stage, MatVec):
        steps = f" {stage.thresholds.steps} steps" if stage.thresholds else ""
        weights = f"{stage.weight_code.bits}-bit"
        return (
            f"{stage.kernel} {stage.neurons}x{stage.synapses} simd {stage.simd} pe {stage.pe} "
            f"{_named(stage.input_dtype)} x {weights}{steps}"
        )
    beats = [f"{kind.lanes} x {_named(kind.dtype)}" for kind in stage.input_types]
    if isinstance(stage, Fifo):
        beats.append(f"depth {stage.depth}")
    if isinstance(stage, Width):
        beats.append(f"to {stage.lanes}")
    return " ".join(beats)


def _named(dtype: DataType) -> str:
    return dtype.name.lower()


def main(as_json: bool) -> int:
    """Print the table, or the JSON object, and return the exit status."""
    network = digits_mlp()
    stages = (*network.stages, *random_stages(8, seed=0))
    with tempfile.TemporaryDirectory() as folder:
        found = measure(stages, Path(folder))
    whole = found[: len(network.stages)]
    peer = f"yosys {find_tool('yosys').version} synth_ecp5"
    rows = [_row("digits-mlp", whole, peer)]
    rows += [_row(f"{one.stage.name}: {describe(one.stage)}", [one], peer) for one in found]
    if as_json:
        report = {
            "unit": "LUTs, estimated against synthesized",
            "machine": machine(),
            "close": sum(one.is_close for one in found),
            "stages": len(found),
            "rows": [row.as_json() for row in rows],
        }
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        Console().print(_table(rows, peer))
    return 0


def _row(work: str, found: Sequence[Measured], peer: str) -> Row:
    """Return the LUTs of stages as a row; nothing synthesizes to no LUT at all."""
    return Row(
        work,
        float(sum(one.estimate.lut for one in found)),
        float(sum(one.actual.lut for one in found)),
        peer,
    )


def _table(rows: Sequence[Row], peer: str) -> Table:
    """Return the rows for the terminal."""
    table = Table(title=f"LUTs, estimated against {peer}")
    for heading in ("stage", "parameters", "estimated", "measured", "ratio"):
        left = heading in {"stage", "parameters"}
        table.add_column(heading, justify="left" if left else "right")
    for row in rows:
        stage, _, parameters = row.work.partition(": ")
        cells = (f"{row.popshift:,.0f}", f"{row.peer:,.0f}", f"{row.ratio:.2f}")
        table.add_row(stage, parameters, *cells)
    return table
