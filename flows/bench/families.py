"""Synthesis of single modules by Yosys for a family of FPGAs, and the LUTs that they take."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...hw.emit import source_file
from ..synth.cells import count_cells
from ..tools import BuildError, run_tool

_NETLIST = "netlist.json"


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
            synth="synth_xilinx -flatten -abc9 -nodsp -noiopad -noclkbuf",
            twins="xilinx",
            cells=("read_verilog -lib +/xilinx/cells_sim.v",),
        ),
        "ecp5": Family(synth="synth_ecp5 -nowidelut -nodsp"),
        "ice40": Family(synth="synth_ice40", twins="ice40"),
        "gowin": Family(synth="synth_gowin -nowidelut -noiopads", twins="gowin"),
    }
)


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
    text: str,
    files: Sequence[Path],
    family: str,
    folder: Path,
    *,
    is_plain: bool = False,
    cpu_seconds: int | None = None,
) -> int:
    """Return the LUTs of module ``top`` of a SystemVerilog text.

    Args:
        text: Module ``top``.
        files: Modules that it instantiates.
        family: Key of ``SYNTHESES``.
        folder: New folder for files, netlist and log.
        is_plain: Whether nothing instantiates the cells of the family.
        cpu_seconds: CPU time after which Yosys is ended, or None.

    Raises:
        TimeLimitError: Yosys took more than ``cpu_seconds``.
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
    arguments = ("-Q", "-T", "-s", "synth.ys")
    run_tool("yosys", arguments, folder, folder / "yosys.log", cpu_seconds=cpu_seconds)
    try:
        return count_luts(json.loads((folder / _NETLIST).read_text())["modules"]["top"], family)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{folder / _NETLIST}: no usable netlist: {error!r}") from error


def own_sources(names: Iterable[str], family: str) -> list[Path]:
    """Return modules of ``hw/rtl``, twins where the family has them."""
    twins = SYNTHESES[family].twins
    return [source_file(f"{name}.sv", twins) for name in names]


@dataclass(frozen=True, kw_only=True)
class LutRow:
    """LUTs of the same function by popshift and by a peer.

    Attributes:
        work: What is computed.
        popshift: LUTs, or None where synthesis was ended.
        peer: The same of the peer.
        peer_name: Name and version of the peer.
    """

    work: str
    popshift: int | None
    peer: int | None
    peer_name: str

    @property
    def ratio(self) -> float | None:
        """LUTs of popshift for one of the peer."""
        return self.popshift / self.peer if self.popshift and self.peer else None

    def as_json(self) -> dict[str, str | float | None]:
        """Return the row as the JSON object that every benchmark prints."""
        return {**asdict(self), "ratio": self.ratio}
