"""The command that says what becomes of a model file, and why."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.option(
    "--input-datatype", metavar="NAME",
    help="Datatype of the inputs where the file does not say it: UINT8.",
)  # fmt: skip
@click.option("--fps", type=float, help="Fold for so many images per second, and show how.")
@click.option("--clock-mhz", type=float, default=100.0, show_default=True, help="Clock for --fps.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def explain(
    model: Path, input_datatype: str | None, fps: float | None, clock_mhz: float, as_json: bool
) -> None:
    """Print what each node of a QONNX file becomes in hardware, or which one has no integer form.

    MODEL is an ONNX file, or the folder of a build. Per stage: its node in the file, its kernel,
    the range of its accumulators, how its thresholds were found and how far the nearest value is
    from a rounding of float32.

    \b
    popshift explain model.onnx --input-datatype UINT8
    popshift explain build/digits-mlp --fps 20000 --clock-mhz 25
    """  # noqa: D301 (click wants the character)
    from ...hw.frontend import load_with_report  # noqa: PLC0415 (onnx is slow to load)
    from ...hw.passes import fold, folding_report  # noqa: PLC0415

    file = model / "model.onnx" if model.is_dir() else model
    dataflow, report = load_with_report(file, input_dtype=input_datatype)
    folding = None
    if fps is not None:
        folding = folding_report(fold(dataflow, fps=fps, clock_mhz=clock_mhz), clock_mhz=clock_mhz)
    if not as_json:
        click.echo(str(report))
        if folding is not None:
            click.echo(f"\n{folding}")
        return
    shown: dict[str, Any] = {
        "inputs": {
            name: {"datatype": kind.dtype.name, "shape": kind.shape}
            for name, kind in dataflow.inputs.items()
        },
        **asdict(report),
        "warnings": report.warnings,
    }
    for layer in shown["layers"]:
        # JSON has no infinity.
        layer["margin"] = None if layer["margin"] == float("inf") else layer["margin"]
    if folding is not None:
        shown["folding"] = {
            **asdict(folding),
            "bottleneck": folding.bottleneck.stage,
            "fps": folding.fps,
        }
    click.echo(json.dumps(shown, indent=1))
