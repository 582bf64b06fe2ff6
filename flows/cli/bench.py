"""The command bench: one subcommand for each benchmark of ``flows/bench``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import click

from .options import JSON


@click.group()
def bench() -> None:
    """Measure popshift against its peers, in the same run on the same networks."""


def _add(
    name: str,
    text: str,
    *,
    usage: str = "",
    options: tuple[Callable[[Callable[..., int]], Callable[..., int]], ...] = (),
) -> None:
    """Add the benchmark of a module of ``flows/bench``, which loads when it runs.

    Args:
        name: Of the command and of the module.
        text: What it measures, and how long that takes.
        usage: More examples, a line each.
        options: Those of its own; they go to its ``main`` by name.
    """

    def run(as_json: bool, **own: object) -> int:
        module = importlib.import_module(f"..bench.{name}", __package__)
        status: int = module.main(as_json, **own)
        return status

    command = JSON(run)
    for option in options:
        command = option(command)
    examples = f"\b\npopshift bench {name}\npopshift bench {name} --json\n{usage}"
    bench.add_command(click.command(name, help=f"{text}\n\n{examples}")(command))


_add("reference", "Images per CPU-second of the bit-exact reference.")
_add(
    "compile",
    "CPU seconds from a QONNX file of CNV to SystemVerilog, against FINN's own steps.\n\n"
    "FINN's end at its estimates, before any HDL. Takes about two minutes, and FINN (`make finn`).",
)
_add("lut", "Estimated LUTs of stages against what Yosys synthesizes for ECP5.")
_add(
    "luts",
    "LUTs of popcounts and of unrolled layers against plain sums and da4ml.\n\n"
    "All go through the same Yosys with the same options, for AMD 7-series, ECP5, iCE40 and Gowin. "
    "Takes about an hour of CPU time, most of it for the plain sums of the layers.",
    usage="python -m venv peer && peer/bin/pip install da4ml==0.6.0\n"
    "popshift bench luts --da4ml peer/bin/python",
    options=(
        click.option(
            "--da4ml",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="PYTHON",
            help="Interpreter of an environment with da4ml, to compare with it too.",
        ),
        click.option(
            "--minutes",
            type=click.IntRange(min=1),
            default=5,
            show_default=True,
            help="CPU time for a layer's synthesis; the table says where it was not enough.",
        ),
    ),
)
_add(
    "kernels",
    "LUTs of each kernel against the same layer with multiplications. Takes minutes.",
)
_add(
    "simulate",
    "Simulated cycles per CPU-second, against the clock simulator and Verilator. Takes minutes.",
)
_add("fifos", "What FIFOs cost when they are sized, against those of the largest fill.")
_add(
    "finn",
    "Cycles that FINN estimates for TFC, SFC, LFC and CNV against the exact ones.\n\n"
    "FINN's own steps fold networks with random weights; their graphs are read and simulated clock "
    "by clock. Takes about a minute, and FINN (`make finn`).",
)
_add(
    "methods",
    "Accuracy, kernels and LUTs of every method, each proven in RTL. Takes half an hour.\n\n"
    "The same small network is trained, exported, compiled and verified for each kind of weights.",
)
