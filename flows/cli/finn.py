"""The group ``popshift finn``: builds by FINN, and graphs that FINN made."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..finn.reading import Reading


@click.group()
def finn() -> None:
    """Build by FINN, and read what FINN has built.

    `popshift build CONFIG --set backend=finn` runs a whole build. FINN is added to the environment
    by `make finn`; `import` works without it.
    """


@finn.command("import")
@click.argument("model", metavar="MODEL.onnx", type=click.Path(path_type=Path))
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Store the dataflow in DIR, for `popshift.hw.load`.",
)
@click.option(
    "--fifos",
    metavar="BEATS",
    type=click.IntRange(0, 65536),
    help="Depth of a FIFO on every stream instead of FINN's FIFOs; 0 for none.",
)
@click.option("--images", type=click.IntRange(2, 10_000), default=8, show_default=True,
              help="Images to simulate.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def import_command(
    model: Path, output: Path | None, fifos: int | None, images: int, as_json: bool
) -> None:
    """Read a graph that FINN's own steps saved, and simulate it clock by clock.

    MODEL.onnx holds FINN's hardware ops, general or specialised, such as
    intermediate_models/step_specialize_layers.onnx of a FINN build. Each op that a stage expresses
    becomes that stage with FINN's folding; ops that none does are named.

    \b
    popshift finn import step_specialize_layers.onnx
    popshift finn import step_specialize_layers.onnx --fifos 64 --output build/imported
    """  # noqa: D301 (click wants the character)
    from ..finn.reading import read  # noqa: PLC0415 (onnx and numba are slow to load)

    reading = read(model, fifos=fifos, images=images, output=output)
    click.echo(json.dumps(asdict(reading), indent=1) if as_json else _text(reading, output))


def _text(reading: Reading, output: Path | None) -> str:
    lines: list[tuple[Any, ...]] = [("node", "op", "stage", "FINN's cycles", "cycles")]
    lines += [
        (line.node, line.op, line.stage or "-", line.estimate or "-", line.cycles or "-")
        for line in reading.nodes
    ]
    widths = [max(len(str(line[column])) for line in lines) for column in range(5)]
    shown = [
        "  ".join(
            str(cell).rjust(width) if column > 2 else str(cell).ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    shown.append(
        f"{reading.images} images: one in {reading.interval_cycles:,} cycles, "
        f"latency {reading.latency_cycles:,} cycles"
    )
    if output is not None:
        shown.append(f"dataflow: {output}")
    return "\n".join(shown)
