"""LUTs of popcounts and of an unrolled layer against plain sums and da4ml, in the same Yosys."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ...hw.dtypes import BIPOLAR, IntArray
from ...hw.emit import source_file
from ...hw.module import vector
from ...hw.stages.kernels import KERNELS
from ..synth.cells import count_cells
from ..tools import BuildError, find_tool, run_command, run_tool
from .measure import Row, machine

_NETLIST = "netlist.json"
_PEER_LAYER = "da4ml_layer.py"


@dataclass(frozen=True, kw_only=True)
class Family:
    """How Yosys maps to a family of FPGAs.

    Attributes:
        synth: Command that synthesizes ``top``.
        twins: Family of ``hw.emit.FAMILIES``, or None where the portable modules are the best.
        cells: Commands that read the cells which the twins instantiate.
    """

    synth: str
    twins: str | None = None
    cells: tuple[str, ...] = ()


SYNTHESES: Mapping[str, Family] = MappingProxyType(
    {
        "xc7": Family(
            synth="synth_xilinx -flatten -abc9 -noiopad -noclkbuf",
            twins="xilinx",
            cells=("read_verilog -lib +/xilinx/cells_sim.v",),
        ),
        "ecp5": Family(synth="synth_ecp5 -nowidelut"),
        "ice40": Family(synth="synth_ice40", twins="ice40"),
        "gowin": Family(synth="synth_gowin -nowidelut -noiopads", twins="gowin"),
    }
)

POPCOUNTS = (32, 64, 128, 256)
LAYER = 64


def count_luts(module: Mapping[str, Any], family: str) -> int:
    """Return the places for LUTs that a module of a Yosys JSON netlist takes.

    An AMD LUT6_2 is one, an inverter too. A carry of iCE40 takes the place of a LUT unless that
    LUT adds the same bits; one of Gowin always does. Those of ECP5 are counted as nextpnr does.
    """
    if family == "ecp5":
        return count_cells(module).cost.lut
    cells = module["cells"].values()
    types = Counter(cell["type"] for cell in cells)
    luts = sum(n for name, n in types.items() if name.startswith(("LUT", "SB_LUT")))
    luts += types["INV"] + types["ALU"]
    adders = {
        tuple(cell["connections"][port][0] for port in ("I1", "I2", "I3"))
        for cell in cells
        if cell["type"] == "SB_LUT4"
    }
    carries = [cell["connections"] for cell in cells if cell["type"] == "SB_CARRY"]
    return luts + sum((c["I0"][0], c["I1"][0], c["CI"][0]) not in adders for c in carries)


def synthesize(
    text: str, files: list[Path], family: str, folder: Path, *, is_plain: bool = False
) -> int:
    """Return the LUTs of module ``top`` of a SystemVerilog text.

    Args:
        text: Module ``top``.
        files: Modules that it instantiates.
        family: Key of ``SYNTHESES``.
        folder: New folder for files, netlist and log.
        is_plain: Whether nothing instantiates the cells of the family.

    Raises:
        BuildError: Yosys failed.
        ToolNotFoundError: Yosys is missing.
    """
    folder.mkdir(parents=True)
    (folder / "top.sv").write_text(text)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    how = SYNTHESES[family]
    script = (
        *(f"read_verilog -sv -defer {name}" for name in (*(f.name for f in files), "top.sv")),
        *(() if is_plain else how.cells),
        "hierarchy -check -top top",
        f"{how.synth} -top top",
        f"write_json {_NETLIST}",
    )
    (folder / "synth.ys").write_text("".join(f"{line}\n" for line in script))
    run_tool("yosys", ("-Q", "-T", "-s", "synth.ys"), folder, folder / "yosys.log")
    try:
        return count_luts(json.loads((folder / _NETLIST).read_text())["modules"]["top"], family)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{folder / _NETLIST}: no usable netlist: {error!r}") from error


def own_sources(family: str) -> list[Path]:
    """Return the modules of popcounts and unrolled layers, twins where the family has them."""
    twins = SYNTHESES[family].twins
    names = ("popcount_xnor", *KERNELS["xnor"].sources)
    return [source_file(f"{name}.sv", twins) for name in names]


def _weights(weights: IntArray) -> str:
    """Return bipolar weights ``(MH, MW)`` as SystemVerilog."""
    return f"{weights.size}'h{vector(((weights.reshape(-1) + 1) // 2).tolist(), 1):x}"


def popcount_text(bits: int, weights: IntArray | None, *, is_plain: bool) -> str:
    """Return module ``top``: how many of ``bits`` inputs equal the weights, which are inputs too.

    Args:
        bits: Inputs.
        weights: Constant weights ``(1, bits)``, or None for an input.
        is_plain: Whether a loop adds them, or else the modules of ``hw/rtl``.
    """
    width = bits.bit_length()
    given = f"wire [{bits - 1}:0] w = {_weights(weights)};" if weights is not None else ""
    ports = f"input logic [{bits - 1}:0] x, {'' if given else 'w, '}output logic [{width - 1}:0] y"
    if is_plain:
        body = _sum("x", "w", bits, "y")
    elif weights is None:
        body = f"popcount_xnor #(.N({bits})) count (.clk(1'b0), .x, .w, .y);"
    else:
        body = (
            f"unrolled_xnor #(.MW({bits}), .MH(1), .WEIGHTS({_weights(weights)})) count "
            "(.clk(1'b0), .x, .y);"
        )
    return f"module top ({ports});\n  {given}\n  {body}\nendmodule\n"


def _sum(x: str, w: str, bits: int, y: str) -> str:
    return (
        f"always_comb begin\n    {y} = '0;\n    for (int i = 0; i < {bits}; i++) "
        f"{y} = {y} + {bits.bit_length()}'({x}[i] == {w}[i]);\n  end"
    )


def layer_text(weights: IntArray, levels: IntArray, *, is_plain: bool) -> str:
    """Return module ``top``: bits ``popcount(x XNOR weights[n]) >= levels[n]``.

    Args:
        weights: BIPOLAR, shape ``(MH, MW)``.
        levels: Shape ``(MH,)``.
        is_plain: Whether loops add, or else the modules of ``hw/rtl``.
    """
    neurons, synapses = weights.shape
    bits = synapses.bit_length()
    lines = [
        f"module top (input logic [{synapses - 1}:0] x, output logic [{neurons - 1}:0] y);",
        f"  logic [{neurons * bits - 1}:0] sums;",
    ]
    for n, row in enumerate(weights):
        if is_plain:
            lines += [
                f"  wire [{synapses - 1}:0] w_{n} = {_weights(row)};",
                f"  logic [{bits - 1}:0] sum_{n};",
                f"  {_sum('x', f'w_{n}', synapses, f'sum_{n}')}",
                f"  assign sums[{n * bits}+:{bits}] = sum_{n};",
            ]
        lines.append(f"  assign y[{n}] = sums[{n * bits}+:{bits}] >= {bits}'d{levels[n]};")
    if not is_plain:
        lines.append(
            f"  unrolled_xnor #(.MW({synapses}), .MH({neurons}), .WEIGHTS({_weights(weights)})) "
            "layer (.clk(1'b0), .x, .y(sums));"
        )
    return "\n".join((*lines, "endmodule", ""))


def random_layer(size: int, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Return random weights ``(size, size)`` and levels at which outputs are as often 0 as 1."""
    rng = np.random.default_rng(seed)
    return BIPOLAR.random((size, size), rng), rng.binomial(size, 0.5, size).astype(np.int64)


def measure_popcounts(folder: Path) -> list[Row]:
    """Return the LUTs of popcounts on every family, against a plain sum."""
    rows = []
    for family in SYNTHESES:
        for bits in POPCOUNTS:
            constants = BIPOLAR.random((1, bits), np.random.default_rng(bits))
            for weights, kind in ((None, "from memory"), (constants, "constant")):
                where = folder / f"{family}_{bits}_{kind.split()[-1]}"
                own = popcount_text(bits, weights, is_plain=False)
                plain = popcount_text(bits, weights, is_plain=True)
                ours = synthesize(own, own_sources(family), family, where / "popshift")
                theirs = synthesize(plain, [], family, where / "plain", is_plain=True)
                work = f"{family}: popcount of {bits} XNORs, weights {kind}"
                rows.append(Row(work, float(ours), float(theirs), "plain sum"))
    return rows


def measure_layer(folder: Path, da4ml: Path | None) -> list[Row]:
    """Return the LUTs of a random layer of AMD 7-series, against a plain sum and da4ml.

    Args:
        folder: For files.
        da4ml: Python interpreter with da4ml, or None to leave it out.

    Raises:
        BuildError: da4ml or Yosys failed, or da4ml computes other bits.
    """
    weights, levels = random_layer(LAYER)
    own = layer_text(weights, levels, is_plain=False)
    count = float(synthesize(own, own_sources("xc7"), "xc7", folder / "popshift"))
    work = f"xc7: unrolled layer {LAYER}x{LAYER} of -1, +1 with thresholds"
    rows = []
    if da4ml is not None:
        peer = folder / "da4ml"
        peer.mkdir()
        np.savez(peer / "layer.npz", weights=weights, levels=levels)
        script = Path(__file__).with_name(_PEER_LAYER).read_text("utf-8")
        (peer / _PEER_LAYER).write_text(script, "utf-8")
        command = [str(da4ml), _PEER_LAYER]
        run_command("da4ml", command, peer, peer / "da4ml.log", {})
        files = sorted((peer / "rtl" / "src").rglob("*.v"))
        text = (
            f"module top (input logic [{LAYER - 1}:0] x, output logic [{LAYER - 1}:0] y);\n"
            "  layer layer (.model_inp(x), .model_out(y));\nendmodule\n"
        )
        luts = synthesize(text, files, "xc7", peer / "synth", is_plain=True)
        rows.append(Row(work, count, float(luts), f"da4ml {(peer / 'version').read_text()}"))
    plain = layer_text(weights, levels, is_plain=True)
    luts = synthesize(plain, [], "xc7", folder / "plain", is_plain=True)
    return [*rows, Row(work, count, float(luts), "plain sum")]


def main(as_json: bool, da4ml: Path | None) -> int:
    """Print the table, or the JSON object, and return the exit status."""
    with tempfile.TemporaryDirectory(prefix="popshift-") as folder:
        rows = measure_layer(Path(folder) / "layer", da4ml) + measure_popcounts(Path(folder))
    yosys = f"yosys {find_tool('yosys').version}"
    if as_json:
        report = {
            "unit": f"LUTs, {yosys}",
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
        cells = (f"{row.popshift:,.0f}", row.peer_name, f"{row.peer:,.0f}", f"{row.ratio:.2f}")
        table.add_row(row.work, *cells)
    Console().print(table)
    return 0
