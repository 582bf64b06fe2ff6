"""The commands that look and do not build: doctor, boards, systems."""

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

from .options import JSON

_PACKAGES = (
    "torch", "brevitas", "qonnx", "onnx", "onnxruntime", "onnxoptimizer", "numpy", "numba",
    "scikit-learn", "safetensors", "pydantic", "pyyaml", "rich", "click", "matplotlib",
)  # fmt: skip


@click.command()
@JSON
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
@JSON
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
@JSON
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
