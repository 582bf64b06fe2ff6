"""The verification step of a FINN build: its graph and its generated HDL against the reference.

FINN's own checks compare floats with a tolerance and go on. These compare integers, the cycle of
every beat, and the generated files, and one difference fails the build.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from ...hw.dtypes import IntArray
from ...hw.finn.attributes import from_attributes
from ...hw.finn.graph import from_finn
from ...hw.finn.stitch import generated_module, stitch
from ...hw.finn.wrapper import module_files
from ...hw.graph import Dataflow, Stage
from ...hw.storage import encode_stage
from ..answers import classes
from ..compare import NOTHING, Comparison, compare_arrays, layer_of
from ..golden import load_golden, stream_images
from ..integrity import compare_lines, compare_parameters, image_owners
from ..patterns import random_patterns
from ..tools import BuildError
from ..verify import StageResult, compare_golden, compare_rtl, result_of
from ..verilate import compile_model
from .job import Job

Progress = Callable[[str], None]

_SPECIALISED = ".rtl"


def prove(
    model: ModelWrapper, dataflow: Dataflow, job: Job, *, progress: Progress = lambda words: None
) -> tuple[StageResult, ...]:
    """Compare what FINN made of ``dataflow`` with it.

    1. The reference itself, with the integers of torch.
    2. The graph: every stage with every parameter, and the way they are joined.
    3. The ops, executed by FINN in Python, on all golden images: every integer of every stream.
    4. The generated files, line by line.
    5. The stitched design over the generated modules, in Verilator: every integer and the cycle of
       every beat of every stream, back to back and under random gaps and stalls.
    6. The classes that the stitched design answers, against those of torch.

    Args:
        model: Specialised graph after FINN's code generation.
        dataflow: The accelerator.
        job: Where the golden images are, and how many to take.
        progress: Hears what is being compared.

    Raises:
        GraphError: The golden file is damaged.
        ToolNotFoundError: Verilator or a C++ compiler is missing.
    """
    golden = load_golden(job.source / "golden.npz", job.images)
    images = stream_images(dataflow, golden.images)
    expected = dataflow.execute(images)

    def result(name: str, against: str, found: Comparison, count: int = 0) -> StageResult:
        return result_of(name, against, count, found, NOTHING)

    progress("reference")
    reference = compare_golden(dataflow, expected, golden)
    proof = [result("finn reference", "torch", reference, len(images))]
    progress("graph")
    proof.append(result("finn graph", "dataflow", _compare_graph(model, dataflow)))
    if any(part.mismatches for part in proof):
        return tuple(proof)  # what follows would compare wrong with wrong
    progress("ops")
    ops = _compare_ops(model, dataflow, images, expected)
    proof.append(result("finn ops", "reference", ops, len(images)))
    progress("generated files")
    proof.append(result("finn files", "dataflow", _compare_files(model)))
    progress("generated HDL in Verilator")
    folder = job.scratch / "stitched"
    back = stitch(model, folder, name=dataflow.name)
    try:
        rtl = compile_model(folder, back, job.scratch)
    except BuildError as error:
        broken = Comparison(elements=0, mismatches=1, first=(str(error),))
        return (*proof, result("finn rtl", "Verilator", broken))
    some = images[: job.cycle_images]
    part = {name: array[: len(some)] for name, array in expected.items()}
    gaps, _ = random_patterns(dataflow, np.random.default_rng(job.gap_seed))
    _, ready = random_patterns(dataflow, np.random.default_rng(job.stall_seed))
    proof.append(compare_rtl("finn rtl", rtl, some, part, {}, {}))
    proof.append(compare_rtl("finn rtl with gaps and stalls", rtl, some, part, gaps, ready))
    if len(dataflow.outputs) == 1:
        answers = classes(dataflow, rtl.run(some).values)
        found = compare_arrays("class", golden.prediction[: len(some), None], answers[:, None])
        proof.append(result("finn rtl classes", "torch", found, len(some)))
    return tuple(proof)


def _compare_graph(model: ModelWrapper, dataflow: Dataflow) -> Comparison:
    """Compare the stages that the graph holds, and how they are joined, with those it was made of.

    A graph that is no dataflow any more raises, with a message that names the node.
    """
    total = NOTHING
    for node in model.graph.node:
        if not node.domain.endswith(_SPECIALISED):
            line = f"node {node.name}: {node.domain} {node.op_type} is no RTL op"
            total += Comparison(elements=1, mismatches=1, first=(line,))
    if total.mismatches:
        return total
    back = from_finn(model, name=dataflow.name)
    total += compare_parameters(back, dataflow)
    ends = [
        ("inputs", dict(dataflow.inputs), dict(back.inputs)),
        ("outputs", dataflow.outputs, back.outputs),
        ("stages", [s.name for s in dataflow.stages], [s.name for s in back.stages]),
    ]
    found = {stage.name: stage for stage in back.stages}
    for stage in dataflow.stages:
        if stage.name in found:
            want, have = _plain(stage), _plain(found[stage.name])
            ends += [(f"layer {stage.name}, {field}", want[field], have[field]) for field in want]
    for where, expected, got in ends:
        is_equal = expected == got
        lines = () if is_equal else (f"{where}: expected {expected}, got {got}",)
        total += Comparison(elements=1, mismatches=int(not is_equal), first=lines)
    return total


def _plain(stage: Stage) -> dict[str, Any]:
    """Return the fields of a stage as JSON holds them, arrays by name."""
    plain: dict[str, Any] = json.loads(json.dumps(encode_stage(stage, stage.name, {})))
    return plain


def _compare_ops(
    model: ModelWrapper, dataflow: Dataflow, images: IntArray, expected: Mapping[str, IntArray]
) -> Comparison:
    """Execute every node as FINN does, on all images at once, and compare every stream."""
    stages = {node.name: from_attributes(node) for node in model.graph.node}
    context: dict[str, NDArray[Any]] = {}
    for info, stream in zip(model.graph.input, dataflow.inputs, strict=True):
        context[info.name] = expected[stream].astype(np.float32)
    total = NOTHING
    for node in model.graph.node:
        getCustomOp(node).execute_node(context, model.graph)
        for tensor, stream in zip(node.output, stages[node.name].outputs, strict=True):
            have = context[tensor].astype(np.int64)
            total += compare_arrays(layer_of(dataflow, stream), expected[stream], have)
    return total


def _compare_files(model: ModelWrapper) -> Comparison:
    """Compare the generated Verilog and memory images with what the stages say, line by line."""
    total = NOTHING
    for node in model.graph.node:
        stage = from_attributes(node)
        folder, top = generated_module(node)
        owners = dict(image_owners(stage))
        for file, text in module_files(stage, top, folder).items():
            have = _lines(file)
            total += compare_lines(
                f"{folder.name}/{file.name}", text.splitlines(), have, owners.get(file.name)
            )
    return total


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines() if file.is_file() else []
