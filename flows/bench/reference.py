"""Images per CPU-second of the bit-exact reference, against float and QONNX engines."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...hw.reference import compile_reference
from .measure import Row, interleaved_rates, machine
from .networks import EPSILON, BinaryMlp, random_mlp, to_dataflow, to_float_onnx, to_qonnx

Engine = Callable[[], NDArray[Any]]

NETWORKS = {"SFC": (784, 256, 256, 256, 10), "LFC": (784, 1024, 1024, 1024, 10)}
BATCHES = (1, 256)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run(
    networks: Mapping[str, tuple[int, ...]] = NETWORKS,
    batches: Sequence[int] = BATCHES,
    *,
    block_seconds: float = 0.1,
    rounds: int = 9,
) -> list[Row]:
    """Measure every network and batch size with every engine, after comparing their outputs.

    The process must have been started with one thread for each maths library, see :func:`main`.

    Args:
        networks: Sizes of the layers, inputs first, by name.
        batches: Images of a call.
        block_seconds: CPU time of one turn of an engine.
        rounds: Turns of each engine; the median counts.

    Raises:
        ArithmeticError: An engine computed another accumulator.
    """
    rows = []
    for name, sizes in networks.items():
        mlp = random_mlp(name.lower(), sizes)
        for batch in batches:
            engines = _engines(mlp, batch)
            rates = interleaved_rates(
                engines, work=batch, block_seconds=block_seconds, rounds=rounds
            )
            own = rates.pop("popshift")
            rows += [Row(f"{name} batch {batch}", own, rate, peer) for peer, rate in rates.items()]
    return rows


def main(as_json: bool) -> int:
    """Print the table, or the JSON object, and return the exit status.

    The measurement runs in a process of its own with one thread: libraries read the number of
    threads when they are loaded.
    """
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        command = [
            sys.executable,
            "-m",
            f"{__package__}.reference",
            *(["--json"] if as_json else []),
        ]
        return subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=False).returncode
    rows = run()
    if as_json:
        unit = "images per CPU-second, one thread"
        report = {"unit": unit, "machine": machine(), "rows": [row.as_json() for row in rows]}
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        Console().print(_table(rows))
    return 0


def _table(rows: Sequence[Row]) -> Table:
    """Return the rows for the terminal."""
    table = Table(title=f"Images per CPU-second, one thread, {machine()['cpu']}")
    for heading in ("work", "popshift", "peer", "", "ratio"):
        table.add_column(heading, justify="left" if heading in {"work", "peer"} else "right")
    for row in rows:
        cells = (f"{row.popshift:,.0f}", row.peer_name, f"{row.peer:,.0f}", f"{row.ratio:,.1f}")
        table.add_row(row.work, *cells)
    return table


def _engines(mlp: BinaryMlp, batch: int) -> dict[str, Engine]:
    """Return a call of each engine on the same images, after comparing all accumulators.

    Each engine gets its inputs in the type that it works with: int8 or float32.
    """
    images = mlp.inputs(batch, seed=1)
    narrow, floats = images.astype(np.int8), images.astype(np.float32)
    dataflow = to_dataflow(mlp)
    reference = compile_reference(dataflow)
    peers = {**_onnxruntime(mlp, floats), **_torch(mlp, floats), **_qonnx(mlp, floats)}
    # The reference leaves popcounts P, the others the bipolar sums 2 P - K (arXiv:1602.02830).
    accumulators = dataflow.origins[dataflow.outputs[0]].integers(reference(narrow)[0])
    for label, engine in peers.items():
        found = engine()
        if found.shape != accumulators.shape or (found != accumulators).any():
            raise ArithmeticError(
                f"bench reference: {mlp.name}: {label} and popshift differ in "
                f"{int((found != accumulators).sum())} of {accumulators.size} accumulators"
            )
    return {"popshift": lambda: reference(narrow)[0], **peers}


def _named(package: str, note: str) -> str:
    return f"{package} {importlib.metadata.version(package)} {note}"


def _onnxruntime(mlp: BinaryMlp, x: NDArray[np.float32]) -> dict[str, Engine]:
    """Float graph with all graph optimisations."""
    import onnxruntime  # noqa: PLC0415 (slow to load)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(
        to_float_onnx(mlp).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return {_named("onnxruntime", "float"): lambda: session.run(None, {"x": x})[0]}


def _torch(mlp: BinaryMlp, x: NDArray[np.float32]) -> dict[str, Engine]:
    """Linear, BatchNorm1d in evaluation and sign, under inference mode."""
    import torch  # noqa: PLC0415 (slow to load)

    torch.set_num_threads(1)
    matrices = [torch.from_numpy(weights) for weights in mlp.weights]
    norms = [
        [torch.from_numpy(p) for p in (norm.mean, norm.var, norm.gamma, norm.beta)]
        for norm in mlp.norms
    ]
    normalize = torch.nn.functional.batch_norm
    images = torch.from_numpy(x)

    @torch.inference_mode()
    def forward() -> NDArray[Any]:
        here = images
        for matrix, norm in zip(matrices, norms, strict=False):
            here = torch.nn.functional.linear(here, matrix)
            mean, var, gamma, beta = norm
            here = normalize(here, mean, var, gamma, beta, eps=EPSILON).sign()
        logits: NDArray[Any] = torch.nn.functional.linear(here, matrices[-1]).numpy()
        return logits

    return {_named("torch", "float"): forward}


def _qonnx(mlp: BinaryMlp, x: NDArray[np.float32]) -> dict[str, Engine]:
    """The file as the exporters write it, run node by node."""
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415 (slow to load)
    from qonnx.core.onnx_exec import execute_onnx  # noqa: PLC0415
    from qonnx.transformation.infer_shapes import InferShapes  # noqa: PLC0415

    proto = to_qonnx(mlp)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = len(x)
    model = ModelWrapper(proto).transform(InferShapes())
    return {_named("qonnx", "execute_onnx"): lambda: execute_onnx(model, {"x": x})["logits"]}


if __name__ == "__main__":
    sys.exit(main("--json" in sys.argv[1:]))
