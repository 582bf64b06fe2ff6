"""The proof of a build: software, reference, parameters, RTL and cycles agree, all exactly.

The comparisons of files catch what no image happens to show: a weight bit or a
threshold that differs but changes no answer on the images at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..hw import frontend, storage
from ..hw.dtypes import IntArray, signed
from ..hw.errors import GraphError
from ..hw.graph import Dataflow, Origin, Stage
from ..hw.reference import compile_reference
from ..hw.sim import clock, simulate
from ..hw.stages import Add, Layer, MatVec, Pool, Window
from .compare import (
    NOTHING,
    Comparison,
    compare_arrays,
    compare_cycles,
    compare_values,
    layer_of,
)
from .config import Config
from .golden import Golden, load_golden, qonnx_integers, stream_images
from .integrity import compare_parameters, compare_rtl_files
from .patterns import random_patterns
from .tools import BuildError
from .verilate import VerilatedModel, compile_model

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """One comparison of the proof.

    Attributes:
        name: What was checked.
        against: What it was compared with.
        images: Images that went through.
        elements: Integers, parameters or beats compared.
        mismatches: Integers or parameters that differ.
        cycle_mismatches: Beats transferred in another cycle, or missing.
        first: One line per stream or file that differs: where, expected, got.
    """

    name: str
    against: str
    images: int
    elements: int
    mismatches: int
    cycle_mismatches: int
    first: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """All comparisons of a build.

    Attributes:
        stages: In the order in which they were made.
        passed: Whether nothing differs.
    """

    stages: tuple[StageResult, ...]
    passed: bool


def verify_build(
    folder: Path, config: Config, *, scratch: Path, progress: Progress = lambda *_: None
) -> VerifyReport:
    """Compare everything in a build folder with everything.

    Args:
        folder: Holds model.onnx, golden.npz, dataflow.json, dataflow.npz and rtl/.
        config: Its verify section says how many images, and the seeds of gaps and stalls.
        scratch: Receives the compiled model.
        progress: Called with work done, whole work and a word.

    Raises:
        GraphError: A file of the build is missing or damaged.
        ToolNotFoundError: Verilator or a C++ compiler is missing.
    """
    dataflow = storage.load(folder)
    golden = load_golden(folder / "golden.npz", config.verify.images)
    checks = _checks(folder, config, dataflow, golden, scratch)
    results = []
    for done, (words, run) in enumerate(checks):
        progress(done, 9, words)
        results.append(run())
    passed = not any(result.mismatches or result.cycle_mismatches for result in results)
    return VerifyReport(stages=tuple(results), passed=passed)


Check = tuple[str, Callable[[], StageResult]]


def _checks(
    folder: Path, config: Config, dataflow: Dataflow, golden: Golden, scratch: Path
) -> Iterator[Check]:
    images = stream_images(dataflow, golden.images)
    expected = dataflow.execute(images)

    def values(name: str, against: str, result: Comparison) -> StageResult:
        return result_of(name, against, len(images), result, NOTHING)

    yield (
        "QONNX file against torch",
        lambda: values("qonnx", "torch", _compare_qonnx(folder / "model.onnx", golden)),
    )
    yield (
        "parameters against the QONNX file",
        lambda: result_of(
            "parameters",
            "qonnx",
            0,
            compare_parameters(dataflow, frontend.load(folder / "model.onnx", name=dataflow.name)),
            NOTHING,
        ),
    )
    yield (
        "reference against torch",
        lambda: values("reference", "torch", compare_golden(dataflow, expected, golden)),
    )
    yield (
        "packed reference against reference",
        lambda: values(
            "packed",
            "reference",
            compare_values(dataflow, expected, compile_reference(dataflow).streams(images)),
        ),
    )
    yield (
        "RTL files against the dataflow",
        lambda: result_of(
            "rtl files", "dataflow", 0, compare_rtl_files(dataflow, folder / "rtl"), NOTHING
        ),
    )
    some = images[: config.verify.cycle_images]
    gaps, _ = random_patterns(dataflow, np.random.default_rng(config.verify.gap_seed))
    _, ready = random_patterns(dataflow, np.random.default_rng(config.verify.stall_seed))
    yield (
        "simulator against the clock simulator",
        lambda: _compare_simulators(dataflow, len(some), gaps, ready),
    )
    try:
        model = compile_model(folder / "rtl", dataflow, scratch)
    except BuildError as error:
        broken = Comparison(elements=0, mismatches=1, first=(str(error),))
        yield "RTL compiles", lambda: values("rtl", "Verilator", broken)
        return
    yield "RTL back to back", lambda: compare_rtl("rtl", model, images, expected, {}, {})
    some_expected = {name: array[: len(some)] for name, array in expected.items()}
    yield (
        "RTL under gaps and stalls",
        lambda: compare_rtl("rtl with gaps and stalls", model, some, some_expected, gaps, ready),
    )


def _compare_qonnx(model: Path, golden: Golden) -> Comparison:
    """Execute the file by qonnx and compare each integer point with torch's."""
    total = NOTHING
    for tensor, integers in qonnx_integers(model, golden).items():
        total += compare_arrays(f"tensor {tensor}", golden.tensors[tensor], integers)
    return total


def compare_golden(dataflow: Dataflow, streams: dict[str, IntArray], golden: Golden) -> Comparison:
    """Compare streams, and accumulators behind fused thresholds, with torch's integers.

    Raises:
        GraphError: An integer point of the model is found in no stream and no accumulator.
    """
    total = NOTHING
    seen: set[str] = set()
    for stream, origin in dataflow.origins.items():
        seen.update(origin.tensors)
        where = layer_of(dataflow, stream)
        total += _against_golden(where, origin, streams[stream], golden)
    for name, origin in dataflow.accumulators.items():
        seen.update(origin.tensors)
        accumulators = _accumulators(dataflow, dataflow.stage(name), streams)
        total += _against_golden(f"layer {name}, accumulator", origin, accumulators, golden)
    if missing := sorted(set(golden.tensors) - seen):
        raise GraphError(f"{dataflow.name}: no stream carries the integers of {missing}")
    return total


def _against_golden(where: str, origin: Origin, integers: IntArray, golden: Golden) -> Comparison:
    total = NOTHING
    for tensor in origin.tensors:
        if tensor in golden.tensors:
            want = origin.in_stream_order(golden.tensors[tensor], integers.shape[1:])
            units = _units(origin, golden) if tensor == origin.tensor else 1
            total += compare_arrays(where, want, units * origin.integers(integers))
    return total


def _units(origin: Origin, golden: Golden) -> int:
    """Return how many steps of the golden integers one of the model file's is.

    Torch may count in steps that are finer than those between the levels of a tensor, as with
    levels -18, -6, 6, 18. Where the two steps are no whole ratio, integers differ.
    """
    scale = golden.scales[origin.tensor].reshape(-1)
    if scale.size > 1 and (origin.channels or scale.size != len(origin.scale)):
        return 1
    ratios = np.array(origin.scale) / scale
    # Steps are float32 in the file.
    is_whole = np.abs(ratios - np.rint(ratios)) <= 2.0**-22 * np.abs(ratios)
    units = np.unique(np.rint(ratios).astype(np.int64))
    return int(units[0]) if is_whole.all() and units.size == 1 and units[0] > 1 else 1


def _accumulators(dataflow: Dataflow, stage: Stage, streams: dict[str, IntArray]) -> IntArray:
    """Return the integers that thresholds or bounds keep off the streams.

    Those of a layer with weights, or a sum; for a max pool behind such a layer, the greatest of
    them, which the model pools before its quantizer.
    """
    if isinstance(stage, Add):
        kinds = zip(stage.inputs, stage.input_types, strict=True)
        return stage.sums(*(streams[n].reshape(len(streams[n]), *t.shape) for n, t in kinds))
    if not isinstance(stage, Pool):
        assert isinstance(stage, Layer)
        if isinstance(stage, MatVec) and stage.border is not None:
            return _zero_padded_sums(dataflow, stage, streams)
        x = streams[stage.inputs[0]]
        return stage.accumulators(x.reshape(len(x), *stage.input_types[0].shape))
    layer = _layer_before(dataflow, stage)
    whole = stage.with_(input_dtype=layer.accumulator_dtype)
    return whole.execute(_accumulators(dataflow, layer, streams))[0]


def _zero_padded_sums(dataflow: Dataflow, layer: MatVec, streams: dict[str, IntArray]) -> IntArray:
    """Return the dot products of bits whose border the file fills with 0, and the window cannot."""
    window = dataflow.producer(layer.inputs[0])
    while not isinstance(window, Window):
        assert window is not None
        window = dataflow.producer(window.inputs[0])
    x = streams[window.inputs[0]]
    zeros = window.with_(input_dtype=signed(2), pad_value=0)
    (windows,) = zeros.execute(x.reshape(len(x), *window.input_types[0].shape))
    whole = layer.with_(kernel="signed", input_dtype=signed(2), thresholds=None, border=None)
    return whole.accumulators(windows)


def _layer_before(dataflow: Dataflow, stage: Stage) -> Layer:
    """Return the layer with weights before ``stage``, past converters and FIFOs."""
    before = dataflow.producer(stage.inputs[0])
    if isinstance(before, Layer):
        return before
    assert before is not None
    return _layer_before(dataflow, before)


def _compare_simulators(
    dataflow: Dataflow, images: int, gaps: dict[str, list[int]], ready: dict[str, list[int]]
) -> StageResult:
    """Compare the cycle of every beat back to back, and under gaps and stalls."""
    total = NOTHING
    none: dict[str, list[int]] = {}
    for waits, calendars in ((none, none), (gaps, ready)):
        plain = clock.simulate(dataflow, images=images, gaps=waits, ready=calendars)
        fast = simulate(dataflow, images=images, gaps=waits, ready=calendars)
        total += compare_cycles(dataflow, plain.cycles, fast.cycles)
    return result_of("simulator", "clock simulator", images, NOTHING, total)


def compare_rtl(
    name: str,
    model: VerilatedModel,
    images: IntArray,
    expected: dict[str, IntArray],
    gaps: dict[str, list[int]],
    ready: dict[str, list[int]],
) -> StageResult:
    """Run the RTL and compare every integer and the cycle of every beat on every stream."""
    timing = simulate(model.dataflow, images=len(images), gaps=gaps, ready=ready)
    limit = 2 * timing.total_cycles + 10_000
    rtl = model.run(images, gaps=gaps, ready=ready, max_cycles=limit)
    values = compare_values(model.dataflow, expected, rtl.values)
    cycles = compare_cycles(model.dataflow, timing.cycles, rtl.cycles)
    return result_of(name, "reference and simulator", len(images), values, cycles)


def result_of(
    name: str, against: str, images: int, values: Comparison, cycles: Comparison
) -> StageResult:
    """Return two comparisons, of integers and of cycles, as a line of the proof."""
    return StageResult(
        name=name,
        against=against,
        images=images,
        elements=values.elements + cycles.elements,
        mismatches=values.mismatches,
        cycle_mismatches=cycles.mismatches,
        first=values.first + cycles.first,
    )
