"""LUTs of each kernel against the same layer with multiplications by ``*``."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ...hw.dtypes import BIPOLAR, DataType, IntArray, signed, unsigned
from ...hw.emit import RTL_FOLDER
from ...hw.stages import MatVec
from ..conformance import bench
from ..synth.cells import measure_stages
from ..tools import find_tool
from .measure import Row, machine

SHAPE, SIMD, PE = (32, 64), 8, 4


def cases() -> tuple[tuple[str, DataType, IntArray, tuple[str, ...]], ...]:
    """Return kinds of weights, an input datatype for each, and the kernels to compare."""
    rng = np.random.default_rng(0)
    signs = BIPOLAR.random(SHAPE, rng)
    ternary = rng.integers(-1, 2, SHAPE)
    odd = 2 * signs + BIPOLAR.random(SHAPE, rng)
    four, eight = rng.integers(-7, 8, SHAPE), rng.integers(-127, 128, SHAPE)
    few, many = rng.integers(0, 3, SHAPE), rng.integers(0, 15, SHAPE)
    dot = ("signed", "planes")
    coded = [
        np.einsum("rp,rpc->rc", rng.integers(1, 16, (SHAPE[0], planes)), signs)
        for planes in (2, 3)
        for signs in [rng.choice([-1, 1], (SHAPE[0], planes, SHAPE[1]))]
    ]
    return (
        ("-1, 1", unsigned(2), signs, dot),
        ("-1, 0, 1", unsigned(8), ternary, ("signed",)),
        ("-3, -1, 1, 3", unsigned(2), odd, dot),
        ("4 bits", unsigned(4), four, (*dot, "adder")),
        ("8 bits", unsigned(8), eight, ("signed", "adder")),
        ("0, +-1, +-2, +-4", unsigned(8), ternary << few, ("signed", "shift")),
        ("+-1 to +-2^14", unsigned(8), signs << many, ("signed", "shift")),
        ("two planes", signed(3), coded[0], (*dot, "coded")),
        ("three planes", signed(3), coded[1], (*dot, "coded")),
    )


def layer(name: str, dtype: DataType, weights: IntArray, kernel: str) -> MatVec:
    """Return a layer whose weights lie in block RAM or distributed memory, as the cost has it."""
    return MatVec(
        name=name,
        inputs=(f"{name}_x",),
        outputs=(f"{name}_y",),
        weights=weights,
        input_dtype=dtype,
        kernel=kernel,
        simd=SIMD,
        pe=PE,
    )


def luts(stages: Sequence[MatVec], folder: Path, rtl_folder: Path) -> dict[str, int]:
    """Return the LUTs of each stage by name, where no multiplication becomes a DSP block.

    Raises:
        BuildError: Yosys failed.
        ToolNotFoundError: Yosys is missing.
    """
    cells = measure_stages(bench(stages), folder, rtl_folder=rtl_folder, options="-nodsp")
    return {name: found.cost.lut for name, found in cells.items()}


def measure(folder: Path) -> list[Row]:
    """Return a row for each kind of weights and kernel.

    Raises:
        BuildError: Yosys failed.
        ToolNotFoundError: Yosys is missing.
    """
    given = cases()
    ours = [
        layer(f"{kernel}{i}", dtype, weights, kernel)
        for i, (_, dtype, weights, kernels) in enumerate(given)
        for kernel in kernels
    ]
    plain = [layer(f"plain{i}", dtype, w, "signed") for i, (_, dtype, w, _) in enumerate(given)]
    modules = folder / "modules"
    shutil.copytree(RTL_FOLDER, modules)
    source = resources.files(__package__) / "multiplier" / "dot_signed.sv"
    (modules / "dot_signed.sv").write_text(source.read_text("utf-8"), "utf-8")
    found = luts(ours, folder / "ours", RTL_FOLDER)
    peers = luts(plain, folder / "plain", modules)
    peer = f"* without DSP, yosys {find_tool('yosys').version}"
    return [
        Row(
            f"{kernel}: weights {kind}, inputs {dtype.name.lower()}",
            found[f"{kernel}{i}"] / (SIMD * PE),
            peers[f"plain{i}"] / (SIMD * PE),
            peer,
        )
        for i, (kind, dtype, _, kernels) in enumerate(given)
        for kernel in kernels
    ]


def main(as_json: bool) -> int:
    """Print the table, or the JSON object, and return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder))
    shape = f"{SHAPE[0]}x{SHAPE[1]} simd {SIMD} pe {PE}"
    if as_json:
        report = {
            "unit": f"LUT4 of a whole layer {shape} per synapse of a cycle; less is better",
            "machine": machine(),
            "rows": [row.as_json() for row in rows],
        }
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
        return 0
    table = Table(title=f"LUT4 per synapse of a cycle, layer {shape}")
    table.add_column("kernel: weights, inputs")
    for heading in ("popshift", "with *", "ratio"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row.work, f"{row.popshift:.1f}", f"{row.peer:.1f}", f"{row.ratio:.2f}")
    Console().print(table)
    return 0
