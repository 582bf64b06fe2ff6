"""Images per CPU-second of the bit-exact reference, against float and QONNX engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np
from rich.console import Console
from rich.table import Table

from ...hw.reference import compile_reference
from .engines import Engine, peers
from .measure import Row, interleaved_rates, machine
from .networks import Network, random_cnv, random_mlp
from .onnx_files import to_dataflow

NETWORKS: Mapping[str, Callable[[], Network]] = MappingProxyType(
    {
        "SFC": partial(random_mlp, "sfc", (784, 256, 256, 256, 10)),
        "LFC": partial(random_mlp, "lfc", (784, 1024, 1024, 1024, 10)),
        "CNV-W1A1": random_cnv,
        "CNV-W1A2": partial(random_cnv, act="int2"),
        "CNV-W2A2": partial(random_cnv, weight="int2", act="int2"),
    }
)
BATCHES = (1, 256)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run(
    networks: Mapping[str, Callable[[], Network]] = NETWORKS,
    batches: Sequence[int] = BATCHES,
    *,
    block_seconds: float = 0.1,
    rounds: int = 9,
) -> list[Row]:
    """Measure every network and batch size with every engine, after comparing their outputs.

    The process must have been started with one thread for each maths library, see :func:`main`.

    Args:
        networks: By name, what makes it.
        batches: Images of a call.
        block_seconds: CPU time of one turn of an engine.
        rounds: Turns of each engine; the median counts.

    Raises:
        ArithmeticError: An engine computed another accumulator.
    """
    rows = []
    for name, make in networks.items():
        network = make()
        for batch in batches:
            rates = interleaved_rates(
                _engines(network, batch), work=batch, block_seconds=block_seconds, rounds=rounds
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


def _engines(network: Network, batch: int) -> dict[str, Engine]:
    """Return a call of each engine on the same images, after comparing all accumulators.

    Each engine gets its inputs in the type and order that it works with: int8 or uint8 with the
    channels last, or float32 plane by plane.
    """
    images = network.inputs(batch, seed=1)
    dataflow = to_dataflow(network)
    reference = compile_reference(dataflow)
    own = np.moveaxis(images, 1, -1) if len(network.shape) == 3 else images
    own = np.ascontiguousarray(own, np.int8 if network.dtype.min < 0 else np.uint8)
    # The reference may leave popcounts P, the others the bipolar sums 2 P - K (arXiv:1602.02830).
    accumulators = dataflow.origins[dataflow.outputs[0]].integers(reference(own)[0])
    others = peers(network, images.astype(np.float32))
    for label, engine in others.items():
        found = engine()
        if found.shape != accumulators.shape or (found != accumulators).any():
            raise ArithmeticError(
                f"bench reference: {network.name}: {label} and popshift differ in "
                f"{int((found != accumulators).sum())} of {accumulators.size} accumulators"
            )
    return {"popshift": lambda: reference(own)[0], **others}


if __name__ == "__main__":
    sys.exit(main("--json" in sys.argv[1:]))
