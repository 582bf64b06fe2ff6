"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

CONFIG = click.argument("source", metavar="CONFIG")
OVERRIDES = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True,
    help="Change a key of the configuration: --set train.epochs=3. May be repeated.",
)  # fmt: skip
FIFOS = click.option(
    "--fifos", metavar="HOW",
    help="FIFOs between the layers: throughput, minimal, a number of beats, or the file of a "
    "fifos.json. The same as --set hardware.fifos=HOW.",
)  # fmt: skip
OUTPUT = click.option(
    "--output", metavar="DIR", type=click.Path(path_type=Path),
    help="Build in DIR instead of the folder that CONFIG names.",
)  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def shared(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the argument and the options of all commands that build."""
    for option in (JSON, OUTPUT, FIFOS, OVERRIDES, CONFIG):
        function = option(function)
    return function


def with_fifos(overrides: tuple[str, ...], fifos: str | None) -> tuple[str, ...]:
    """Return the overrides with the one that ``--fifos`` stands for."""
    if fifos is None:
        return overrides
    # A path on the command line is relative to the working folder, not to the file of the CONFIG.
    path = Path(fifos)
    return (*overrides, f"hardware.fifos={path.absolute() if path.is_file() else fifos}")
