"""The group ``popshift`` and the commands that build."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ... import __version__
from ..build import BuildResult, build, run_step
from ..steps import ALL_STEPS, Step
from .bench import bench
from .errors import ReportingGroup
from .explain import explain
from .finn import finn
from .inspect import boards, doctor, systems
from .options import shared, with_fifos
from .simulate import simulate
from .terminal import Terminal


@click.group(
    cls=ReportingGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, package_name="popshift")
def main() -> None:
    """Multiplier-free neural networks from PyTorch to a proven FPGA bitstream.

    \b
    popshift build digits-mlp                train, compile, verify, synthesize a packaged example
    popshift build my.yaml --until verify    the same for your own file, up to the proof in RTL
    popshift verify build/digits-mlp         compare hardware and software of a build once more
    popshift explain model.onnx              what becomes of each node of a QONNX file
    popshift doctor                          which tools are here, and how to get the missing ones

    CONFIG is a YAML file, the name of a packaged example, or the folder of a build.
    """  # noqa: D301 (click wants the character)


@main.command("build")
@shared
@click.option("--from", "first", metavar="STEP", help="Run STEP and all that follow anew.")
@click.option("--until", metavar="STEP", help="Stop after STEP.")
@click.pass_obj
def build_command(
    steps: Sequence[Step] | None,
    source: str,
    overrides: tuple[str, ...],
    fifos: str | None,
    output: Path | None,
    as_json: bool,
    first: str | None,
    until: str | None,
) -> None:
    """Run every step of CONFIG that is not up to date, and print a summary.

    The steps are train, export, compile, simulate, rtl, verify, synth, netlist, report; with
    backend finn, finn stands in the place of synth and netlist. An interrupted build goes on where
    it was when the same command is given again.

    \b
    popshift build digits-mlp
    popshift build digits-mlp --until verify --output out/digits
    popshift build my.yaml --set hardware.fps=50000 --from compile
    popshift build digits-mlp --set backend=finn --output build/digits-finn
    """  # noqa: D301 (click wants the character)
    with Terminal(quiet=as_json) as terminal:
        result = build(
            source,
            overrides=with_fifos(overrides, fifos),
            output=output,
            first=first,
            until=until,
            observer=terminal,
            steps=steps or ALL_STEPS,
        )
    _print(result, as_json)


def _step_command(step: Step, usage: str) -> click.Command:
    """Return the command that runs one step; ``usage`` is how it is called."""

    def run(
        source: str,
        overrides: tuple[str, ...],
        fifos: str | None,
        output: Path | None,
        as_json: bool,
    ) -> None:
        steps: Sequence[Step] = click.get_current_context().obj or ALL_STEPS
        with Terminal(quiet=as_json) as terminal:
            result = run_step(
                source, step.name, overrides=with_fifos(overrides, fifos), output=output,
                observer=terminal, steps=steps,
            )  # fmt: skip
        _print(result, as_json)

    text = (
        f"{step.summary[0].upper()}{step.summary[1:]}.\n\n"
        "Runs this step anew, and before it those that it needs and that never finished; the "
        "files of finished steps are taken as they are.\n\n"
        f"\b\npopshift {usage} digits-mlp\npopshift {usage} build/digits-mlp"
    )
    return click.command(usage.rsplit(maxsplit=1)[-1], help=text)(shared(run))


for _step in ALL_STEPS:
    if _step.name == finn.name:
        # It has a command of its own beside it.
        finn.add_command(_step_command(_step, f"{finn.name} build"))
    elif _step.name != simulate.name:  # which has more to say
        main.add_command(_step_command(_step, _step.name))
for _command in (simulate, explain, finn, doctor, boards, systems, bench):
    main.add_command(_command)


def _print(result: BuildResult, as_json: bool) -> None:
    ran_report = any(run.name == "report" for run in result.steps)
    report = result.report if ran_report else None
    if as_json:
        shown: dict[str, Any] = {
            "folder": str(result.folder),
            "steps": [asdict(run) for run in result.steps],
            "report": report,
        }
        click.echo(json.dumps(shown, indent=1))
        return
    for run in result.steps:
        did = f"{run.seconds:.1f} s" if run.status == "ran" else "unchanged"
        click.echo(f"{run.name:9} {did}")
    if report is not None:
        from ..report.summary import summary  # noqa: PLC0415 (rich is slow to load)

        click.echo(summary(report))
        click.echo(f"report: {result.folder / 'report.html'}")
