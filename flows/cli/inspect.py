"""The commands that look and do not build: doctor, boards, systems, bench."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

_PACKAGES = (
    "torch", "brevitas", "qonnx", "onnx", "onnxruntime", "onnxoptimizer", "numpy", "numba",
    "scikit-learn", "safetensors", "pydantic", "pyyaml", "rich", "click", "matplotlib",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.command()
@_JSON
def doctor(as_json: bool) -> int:
    """Print which tools and packages are here, their versions, and how to get what is missing.

    \b
    popshift doctor
    popshift doctor --json
    """  # noqa: D301 (click wants the character)
    from ..tools import tool_report  # noqa: PLC0415 (starts programs)

    rows = [asdict(status) for status in tool_report()]
    for package in _PACKAGES:
        rows.append(_package(package))
    missing = [row["name"] for row in rows if row["version"] is None]
    rows += _for_finn()
    if as_json:
        click.echo(json.dumps({"tools": rows, "missing": missing}, indent=1))
        return 2 if missing else 0
    click.echo(f"{'python':16} {sys.version.split()[0]:28} {sys.executable}")
    for row in rows:
        version = row["version"] or ("MISSING" if row["name"] in missing else "not installed")
        place = row["path"] if row["version"] else f"{row['needed_for']}: {row['how_to_get']}"
        click.echo(f"{row['name']:16} {version:28} {place}")
    if missing:
        click.echo(f"missing: {', '.join(missing)}", err=True)
    return 2 if missing else 0


def _package(name: str) -> dict[str, Any]:
    try:
        version: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    return {
        "name": name,
        "version": version,
        "path": "Python package" if version else None,
        "needed_for": "popshift itself",
        "how_to_get": f"pip install {name}",
    }


def _for_finn() -> list[dict[str, Any]]:
    """Return what only the back end of FINN needs, which nothing is missing without."""
    from ...hw.finn.bootstrap import GET, VERSION  # noqa: PLC0415

    finn = _package("finn-plus") | {"needed_for": "backend finn", "how_to_get": f"{GET}{VERSION}"}
    path = shutil.which("vivado")
    root = Path(os.environ.get("XILINX_VIVADO", "found"))
    vivado = {
        "name": "vivado",
        "version": root.name if path else None,
        "path": path,
        "needed_for": "products ip and bitfile of backend finn",
        "how_to_get": "source settings64.sh of Vivado",
    }
    return [finn, vivado]


@click.command()
@_JSON
def boards(as_json: bool) -> None:
    """Print the boards that a bitstream can be built for.

    \b
    popshift boards
    """  # noqa: D301 (click wants the character)
    from ..boards import all_boards  # noqa: PLC0415

    rows = [
        {
            "name": board.name,
            "device": board.device,
            "clock_mhz": board.clock_mhz,
            "lut": board.lut,
            "bram": board.bram,
            "dsp": board.dsp,
        }
        for board in all_boards().values()
    ]
    _table(rows, as_json)


@click.command()
@_JSON
def systems(as_json: bool) -> None:
    """Print the networks that ``model.zoo`` can name, and their options.

    \b
    popshift systems
    """  # noqa: D301 (click wants the character)
    from ..networks import network_options  # noqa: PLC0415 (loads torch)

    rows = [
        {"name": name, "options": ", ".join(sorted(options))}
        for name, options in network_options().items()
    ]
    _table(rows, as_json)


@click.group()
def bench() -> None:
    """Measure popshift against its peers, in the same run on the same networks."""


@bench.command("reference")
@_JSON
def bench_reference(as_json: bool) -> int:
    """Images per CPU-second of the bit-exact reference.

    \b
    popshift bench reference
    popshift bench reference --json
    """  # noqa: D301 (click wants the character)
    from ..bench.reference import main  # noqa: PLC0415 (onnxruntime and torch are slow to load)

    return main(as_json)


@bench.command("lut")
@_JSON
def bench_lut(as_json: bool) -> int:
    """Estimated LUTs of stages against what Yosys synthesizes for ECP5.

    \b
    popshift bench lut
    popshift bench lut --json
    """  # noqa: D301 (click wants the character)
    from ..bench.lut import main  # noqa: PLC0415 (rich is slow to load)

    return main(as_json)


@bench.command("luts")
@click.option(
    "--da4ml",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PYTHON",
    help="Interpreter of an environment with da4ml, to compare with it too.",
)
@_JSON
def bench_luts(da4ml: Path | None, as_json: bool) -> int:
    """LUTs of popcounts and of an unrolled layer against plain sums and da4ml.

    All go through the same Yosys with the same options, for AMD 7-series, ECP5, iCE40 and Gowin.
    Takes about half an hour, most of it for the plain sums of the layer.

    \b
    popshift bench luts
    python -m venv peer && peer/bin/pip install da4ml==0.6.0
    popshift bench luts --da4ml peer/bin/python --json
    """  # noqa: D301 (click wants the character)
    from ..bench.luts import main  # noqa: PLC0415 (rich is slow to load)

    return main(as_json, da4ml)


@bench.command("compile")
@_JSON
def bench_compile(as_json: bool) -> int:
    """CPU seconds from a QONNX file of CNV to SystemVerilog, against FINN's own steps.

    FINN's end at its estimates, before any HDL. Takes about two minutes, and FINN (`make finn`).

    \b
    popshift bench compile
    popshift bench compile --json
    """  # noqa: D301 (click wants the character)
    from ...hw.finn import bootstrap  # noqa: PLC0415

    bootstrap.require()
    from ..bench.compile import main  # noqa: PLC0415 (torch and FINN are slow to load)

    return main(as_json)


@bench.command("kernels")
@_JSON
def bench_kernels(as_json: bool) -> int:
    """LUTs of each kernel against the same layer with multiplications. Takes minutes.

    \b
    popshift bench kernels
    popshift bench kernels --json
    """  # noqa: D301 (click wants the character)
    from ..bench.kernels import main  # noqa: PLC0415 (rich is slow to load)

    return main(as_json)


@bench.command("simulate")
@_JSON
def bench_simulate(as_json: bool) -> int:
    """Simulated cycles per CPU-second, against the clock simulator and Verilator. Takes minutes.

    \b
    popshift bench simulate
    popshift bench simulate --json
    """  # noqa: D301 (click wants the character)
    from ..bench.simulate import main  # noqa: PLC0415 (torch and numba are slow to load)

    return main(as_json)


@bench.command("fifos")
@_JSON
def bench_fifos(as_json: bool) -> int:
    """What FIFOs cost when they are sized, against those of the largest fill.

    \b
    popshift bench fifos
    popshift bench fifos --json
    """  # noqa: D301 (click wants the character)
    from ..bench.fifos import main  # noqa: PLC0415 (torch and numba are slow to load)

    return main(as_json)


@bench.command("finn")
@_JSON
def bench_finn(as_json: bool) -> int:
    """Cycles that FINN estimates for TFC, SFC, LFC and CNV against the exact ones.

    FINN's own steps fold networks with random weights; their graphs are read and simulated clock by
    clock. Takes about a minute, and FINN (`make finn`).

    \b
    popshift bench finn
    popshift bench finn --json
    """  # noqa: D301 (click wants the character)
    from ...hw.finn import bootstrap  # noqa: PLC0415

    bootstrap.require()
    from ..bench.finn import main  # noqa: PLC0415 (torch and FINN are slow to load)

    return main(as_json)


@bench.command("methods")
@_JSON
def bench_methods(as_json: bool) -> int:
    """Accuracy, kernels and LUTs of every method, each proven in RTL. Takes half an hour.

    The same small network is trained, exported, compiled and verified for each family of weights.

    \b
    popshift bench methods
    popshift bench methods --json
    """  # noqa: D301 (click wants the character)
    from ..bench.methods import main  # noqa: PLC0415 (torch and numba are slow to load)

    return main(as_json)


def _table(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        return
    table = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
