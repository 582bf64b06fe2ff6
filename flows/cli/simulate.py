"""The command that simulates: a build, a configuration, a stored dataflow or a model file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..build import BuildResult, run_step
from ..build_folder import BuildFolder
from ..steps import ALL_STEPS, Step
from .options import FIFOS, JSON, OUTPUT, OVERRIDES, with_fifos
from .terminal import Terminal

if TYPE_CHECKING:
    from ...hw.graph import Dataflow
    from ...hw.passes import Effort

_FIGURE_IMAGES = 1000
_PICTURE_IMAGES = 3


@click.command()
@click.argument("source", metavar="SOURCE")
@OVERRIDES
@FIFOS
@OUTPUT
@click.option(
    "--images", type=click.IntRange(1, 10**9), metavar="N",
    help=f"Images back to back; {_FIGURE_IMAGES} by default, {_PICTURE_IMAGES} for a picture or a "
    "waveform.",
)  # fmt: skip
@click.option(
    "--plot", metavar="FILE", type=click.Path(path_type=Path),
    help="Draw what each stage does and how full the FIFOs are: .png, .svg or .pdf.",
)  # fmt: skip
@click.option(
    "--trace", metavar="FILE", type=click.Path(path_type=Path),
    help="Write a waveform of all streams for GTKWave or Surfer: .fst or .vcd.",
)  # fmt: skip
@click.option("--fps", type=float, help="Fold a model file for so many images per second.")
@click.option("--clock-mhz", type=float, default=100.0, show_default=True, help="Clock for --fps.")
@click.option("--input-datatype", metavar="NAME", help="Datatype of the inputs of a model file.")
@JSON
@click.pass_obj
def simulate(
    steps: Sequence[Step] | None,
    source: str,
    overrides: tuple[str, ...],
    fifos: str | None,
    output: Path | None,
    images: int | None,
    plot: Path | None,
    trace: Path | None,
    fps: float | None,
    clock_mhz: float,
    input_datatype: str | None,
    as_json: bool,
) -> None:
    """Simulate the cycles, exactly: rate, latency, what each stage does, how full the FIFOs get.

    SOURCE is a configuration or a build, whose step simulate is run anew; or an ONNX file; or a
    folder that holds a dataflow. Every beat moves in the same cycle as in the SystemVerilog.

    \b
    popshift simulate digits-mlp
    popshift simulate build/digits-mlp --plot timing.png --trace streams.fst
    popshift simulate build/digits-mlp --fifos minimal
    popshift simulate cnv.onnx --fps 3000 --clock-mhz 100 --images 1000 --json
    """  # noqa: D301 (click wants the character)
    from ...hw.sim import simulate as run  # noqa: PLC0415 (numba is slow to load)
    from ..timing import timing_figures, timing_table  # noqa: PLC0415

    _check_suffix("--plot", plot, (".png", ".svg", ".pdf"))
    _check_suffix("--trace", trace, (".fst", ".vcd"))
    result: BuildResult | None = None
    clock: float | None = None
    if _is_configured(source):
        with Terminal(quiet=as_json) as terminal:
            result = run_step(
                source, "simulate", overrides=with_fifos(overrides, fifos), output=output,
                observer=terminal, steps=steps or ALL_STEPS,
            )  # fmt: skip
        clock = result.config.hardware.clock_mhz
    elif overrides or output:
        raise click.UsageError(f"{source}: --set and --output are for configurations and builds")
    dataflow = _dataflow(source, result, fifos, fps, clock_mhz, input_datatype)
    if fps is not None:
        clock = clock_mhz
    if images is None:
        images = _FIGURE_IMAGES if plot is None and trace is None else _PICTURE_IMAGES
    simulation = run(dataflow, images=images)
    if plot is not None:
        from ..report.timing_plot import plot_timing  # noqa: PLC0415 (matplotlib is slow to load)

        plot_timing(dataflow, simulation, plot)
    if trace is not None:
        from ..waveform import write_waveform  # noqa: PLC0415

        write_waveform(simulation, trace)
    figures = timing_figures(dataflow, simulation, clock)
    if as_json:
        click.echo(json.dumps(_json(result, figures), indent=1))
        return
    for step in result.steps if result is not None else ():
        click.echo(
            f"{step.name:9} {f'{step.seconds:.1f} s' if step.status == 'ran' else 'unchanged'}"
        )
    click.echo(timing_table(figures))


def _check_suffix(option: str, path: Path | None, known: tuple[str, ...]) -> None:
    """Raise before any work is done if nobody can write such a file."""
    if path is not None and path.suffix not in known:
        raise click.UsageError(f"{option} {path}: must be one of {', '.join(known)}")


def _is_configured(source: str) -> bool:
    """Return whether ``source`` is a build or a configuration, and no model or stored dataflow."""
    path = Path(source)
    if path.suffix == ".onnx":
        return False
    return not (path / "dataflow.json").is_file() or BuildFolder(path).is_build()


def _dataflow(
    source: str,
    result: BuildResult | None,
    fifos: str | None,
    fps: float | None,
    clock_mhz: float,
    input_datatype: str | None,
) -> Dataflow:
    from ...hw import load, storage  # noqa: PLC0415 (onnx and numba are slow to load)
    from ..fifo_choice import read_fifos  # noqa: PLC0415

    if result is not None:
        if fps is not None or input_datatype is not None:
            raise click.UsageError("--fps and --input-datatype are for model files")
        return storage.load(result.folder)
    accelerator = load(source, input_dtype=input_datatype)
    if fps is not None:
        accelerator = accelerator.fold(fps=fps, clock_mhz=clock_mhz)
    is_model = Path(source).suffix == ".onnx"
    if fifos is None and not is_model:
        return accelerator.dataflow
    choice = read_fifos("throughput" if fifos is None else fifos, Path.cwd())
    if isinstance(choice, str):
        effort: Effort = "minimal" if choice == "minimal" else "throughput"
        choice = accelerator.size_fifos(effort=effort).depths
    return accelerator.with_fifos(choice).dataflow


def _json(result: BuildResult | None, figures: dict[str, Any]) -> dict[str, Any]:
    steps = [] if result is None else [asdict(run) for run in result.steps]
    folder = None if result is None else str(result.folder)
    return {"folder": folder, "steps": steps, "timing": figures}
