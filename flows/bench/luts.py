"""LUTs of popcounts and of unrolled layers against plain sums and da4ml, in the same Yosys."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ...hw.dtypes import BIPOLAR, IntArray
from ...hw.stages.kernels import KERNELS
from ..tools import find_tool
from .families import SYNTHESES, LutRow, own_sources, synthesize
from .measure import machine
from .unrolled_layers import bit_vector, measure_layers, plain_popcount

POPCOUNTS = (32, 64, 128, 256)


def popcount_text(bits: int, weights: IntArray | None, *, is_plain: bool) -> str:
    """Return module ``top``: how many of ``bits`` inputs equal the weights, which are inputs too.

    Args:
        bits: Inputs.
        weights: Constant weights ``(1, bits)``, or None for an input.
        is_plain: Whether a loop adds them, or else the modules of ``hw/rtl``.
    """
    width = bits.bit_length()
    given = f"wire [{bits - 1}:0] w = {bit_vector(weights)};" if weights is not None else ""
    ports = f"input logic [{bits - 1}:0] x, {'' if given else 'w, '}output logic [{width - 1}:0] y"
    if is_plain:
        body = plain_popcount("x", "w", bits, "y")
    elif weights is None:
        body = f"popcount_xnor #(.N({bits})) count (.clk(1'b0), .x, .w, .y);"
    else:
        body = (
            f"unrolled_xnor #(.MW({bits}), .MH(1), .WEIGHTS({bit_vector(weights)})) count "
            "(.clk(1'b0), .x, .y);"
        )
    return f"module top ({ports});\n  {given}\n  {body}\nendmodule\n"


def measure_popcounts(folder: Path) -> Iterator[LutRow]:
    """Yield the LUTs of popcounts on every family, against a plain sum."""
    for family in SYNTHESES:
        for bits in POPCOUNTS:
            constants = BIPOLAR.random((1, bits), np.random.default_rng(bits))
            for weights, kind in ((None, "from memory"), (constants, "constant")):
                where = folder / f"{family}_{bits}_{kind.split()[-1]}"
                own = popcount_text(bits, weights, is_plain=False)
                plain = popcount_text(bits, weights, is_plain=True)
                files = own_sources(KERNELS["xnor"].sources, family)
                ours = synthesize(own, files, family, where / "popshift")
                theirs = synthesize(plain, [], family, where / "plain", is_plain=True)
                work = f"{family}: popcount of {bits} XNORs, weights {kind}"
                yield LutRow(work=work, popshift=ours, peer=theirs, peer_name="plain sum")


def _measure(folder: Path, da4ml: Path | None, minutes: int) -> Iterator[LutRow]:
    yield from measure_layers(folder, da4ml, 60 * minutes)
    yield from measure_popcounts(folder)


def main(as_json: bool, da4ml: Path | None, minutes: int) -> int:
    """Print the table, or the JSON object, and return the exit status."""
    rows = []
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="popshift-") as folder:
        for row in _measure(Path(folder), da4ml, minutes):
            rows.append(row)
            luts = (_shown(count, minutes) for count in (row.popshift, row.peer))
            line = f"{row.work}: {' against '.join(luts)} by {row.peer_name}"
            progress.print(line, soft_wrap=True, highlight=False)
    yosys = f"yosys {find_tool('yosys').version}"
    if as_json:
        report = {
            "unit": f"LUTs, {yosys}; null: not done after {minutes} minutes of CPU time",
            "commands": {name: family.synth for name, family in SYNTHESES.items()},
            "machine": machine(),
            "rows": [row.as_json() for row in rows],
        }
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
        return 0
    table = Table(title=f"LUTs, {yosys}")
    for heading in ("work", "popshift", "peer", "", "ratio"):
        table.add_column(heading, justify="left" if heading in {"work", "peer"} else "right")
    for row in rows:
        ours, theirs = (_shown(count, minutes) for count in (row.popshift, row.peer))
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(row.work, ours, row.peer_name, theirs, ratio)
    Console().print(table)
    return 0


def _shown(luts: int | None, minutes: int) -> str:
    return f"more than {minutes} minutes" if luts is None else f"{luts:,}"
