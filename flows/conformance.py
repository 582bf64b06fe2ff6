"""The conformance suite: every stage with random parameters, RTL against ``execute`` and the clock.

Many stages stand side by side in one top level, each with streams of its own, so that one compiled
model checks them all. Gaps of the sources and stalls of the sinks are random.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..hw.dtypes import IntArray
from ..hw.emit import FAMILIES, RTL_FOLDER, SOURCES_FILE, emit
from ..hw.graph import Dataflow, Stage, StreamType
from ..hw.sim import clock, simulate
from ..hw.stages import STAGES, MatVec
from .compare import NOTHING, Comparison, compare_cycles, compare_values
from .patterns import random_patterns
from .verilate import VerilatedModel, compile_model

HARNESS_FOLDER = Path(__file__).parent / "harness"


def random_bench(kind: str, count: int, seed: int) -> Dataflow:
    """Return ``count`` unconnected stages of one kind with random parameters."""
    rng = np.random.default_rng([seed, *kind.encode()])
    return bench(tuple(STAGES[kind].random(f"{kind}{i}", rng) for i in range(count)))


def random_layers(kernel: str, count: int, seed: int) -> Dataflow:
    """Return ``count`` unconnected ``matvec`` stages of one kernel with random parameters."""
    rng = np.random.default_rng([seed, *kernel.encode()])
    return bench(tuple(MatVec.random_with(kernel, f"{kernel}{i}", rng) for i in range(count)))


def random_unrolled_layers(kernel: str, count: int, seed: int) -> Dataflow:
    """Return ``count`` unconnected ``matvec`` stages of one kernel whose weights are constants."""
    rng = np.random.default_rng([seed, *b"unrolled", *kernel.encode()])
    stages = (MatVec.random_unrolled(kernel, f"{kernel}{i}", rng) for i in range(count))
    return bench(tuple(stages))


def bench(stages: Sequence[Stage]) -> Dataflow:
    """Return a dataflow whose inputs and outputs are all streams of unconnected ``stages``."""
    inputs = {
        name: type_
        for stage in stages
        for name, type_ in zip(stage.inputs, stage.input_types, strict=True)
    }
    outputs = tuple(name for stage in stages for name in stage.outputs)
    return Dataflow(name="bench", inputs=inputs, outputs=outputs, stages=tuple(stages))


def side_by_side(dataflows: Sequence[Dataflow]) -> Dataflow:
    """Return one dataflow of several that are not connected; names begin with the dataflow's."""
    inputs: dict[str, StreamType] = {}
    outputs: list[str] = []
    stages: list[Stage] = []
    for part in dataflows:

        def renamed(names: Iterable[str], prefix: str = part.name) -> tuple[str, ...]:
            return tuple(f"{prefix}_{name}" for name in names)

        inputs.update(zip(renamed(part.inputs), part.inputs.values(), strict=True))
        outputs += renamed(part.outputs)
        stages += [
            stage.with_(
                name=f"{part.name}_{stage.name}",
                inputs=renamed(stage.inputs),
                outputs=renamed(stage.outputs),
            )
            for stage in part.stages
        ]
    return Dataflow(name="bench", inputs=inputs, outputs=tuple(outputs), stages=tuple(stages))


def check(
    dataflow: Dataflow,
    folder: Path,
    *,
    inputs: Sequence[IntArray] | None = None,
    images: int = 24,
    runs: int = 3,
    seed: int = 0,
    family: str | None = None,
    rtl_folder: Path = RTL_FOLDER,
) -> Comparison:
    """Compare the RTL of ``dataflow`` with its software: once without and then with random stalls.

    Args:
        dataflow: Stages to check, see :func:`bench`.
        folder: Receives RTL and compiled model.
        inputs: Images of each input, in every run; None for other ones in each, made by the stages.
        images: Images per run where ``inputs`` are None.
        runs: Runs, the first one without gaps and stalls.
        seed: Of stimulus and patterns.
        family: One of ``FAMILIES`` for its twins of modules, with models of its primitives.
        rtl_folder: SystemVerilog modules to check.

    Raises:
        BuildError: The RTL does not compile.
    """
    emit(dataflow, folder / "rtl", family=family, rtl_folder=rtl_folder)
    if family is not None:
        _add_primitives(family, folder / "rtl")
    model = compile_model(folder / "rtl", dataflow, folder, optimise="-O0")
    return check_model(model, inputs=inputs, images=images, runs=runs, seed=seed)


def check_model(
    model: VerilatedModel,
    *,
    inputs: Sequence[IntArray] | None = None,
    images: int = 24,
    runs: int = 3,
    seed: int = 0,
) -> Comparison:
    """Compare compiled RTL with the software of its dataflow, as :func:`check` does."""
    dataflow = model.dataflow
    rng = np.random.default_rng(seed)
    total = NOTHING
    for run in range(runs):
        given = _stimulus(dataflow, images, rng) if inputs is None else inputs
        gaps, ready = random_patterns(dataflow, rng) if run else ({}, {})
        expected = dataflow.execute(*given)
        fast = simulate(dataflow, images=len(given[0]), gaps=gaps, ready=ready)
        plain = clock.simulate(dataflow, images=len(given[0]), gaps=gaps, ready=ready)
        limit = 2 * plain.total_cycles + 1000
        rtl = model.run(
            *given, gaps=gaps, ready=ready, max_cycles=limit, seed=int(rng.integers(1, 1 << 30))
        )
        total += compare_values(dataflow, expected, rtl.values)
        total += compare_cycles(dataflow, plain.cycles, fast.cycles)
        total += compare_cycles(dataflow, plain.cycles, rtl.cycles)
    return total


def _add_primitives(family: str, folder: Path) -> None:
    """Copy the models of a family's primitives and list them as sources."""
    models = sorted((HARNESS_FOLDER / FAMILIES[family]).glob("*.sv"))
    for model in models:
        shutil.copyfile(model, folder / model.name)
    with (folder / SOURCES_FILE).open("a") as sources:
        sources.writelines(f"{model.name}\n" for model in models)


def _stimulus(dataflow: Dataflow, images: int, rng: np.random.Generator) -> list[IntArray]:
    """Return the stimulus of each input, from the stage that consumes it."""
    values: dict[str, IntArray] = {}
    for name in dataflow.inputs:
        stage = dataflow.consumer(name)
        if stage is not None and name not in values:
            values.update(zip(stage.inputs, stage.stimulus(images, rng), strict=True))
    return [values[name] for name in dataflow.inputs]
