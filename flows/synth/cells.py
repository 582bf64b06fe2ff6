"""Resources of synthesized stages, counted in a netlist the way nextpnr counts them.

No place and route: a netlist of many stages is counted in seconds, stage by stage.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...hw.cost import Cost
from ...hw.emit import RTL_FOLDER, emit
from ...hw.graph import Dataflow
from ..tools import BuildError, run_tool
from .plan import NETLIST_JSON, synth_command

_SCRIPT = "count.ys"
_LOG = "yosys.log"


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells of an ECP5 netlist before packing.

    Attributes:
        lut4: Lookup tables.
        ccu2c: Pairs of carry bits, two lookup tables each.
        chains: Carry chains.
        taps: Carries that something else than the next pair of the chain reads.
        dpr16x4: Distributed memories of 16 words of 4 bits.
        ff: Flip-flops.
        dp16kd: Block RAMs.
        dsp: Multiplier blocks.
    """

    lut4: int
    ccu2c: int
    chains: int
    taps: int
    dpr16x4: int
    ff: int
    dp16kd: int
    dsp: int

    @property
    def cost(self) -> Cost:
        """What nextpnr reports: TRELLIS_COMB, TRELLIS_FF and DP16KD.

        A chain gets a pair of carry bits before its first one, and one after each tap, to join it
        to the fabric. A distributed memory blocks two lookup tables for its write port besides the
        four that hold it.
        """
        pairs = self.ccu2c + self.chains + self.taps
        return Cost(lut=self.lut4 + 2 * pairs + 6 * self.dpr16x4, ff=self.ff, bram=self.dp16kd)


def count_cells(module: Mapping[str, Any]) -> Cells:
    """Return the cells of a module of a Yosys JSON netlist, instances not opened."""
    cells = module["cells"].values()
    types = Counter(cell["type"] for cell in cells)
    carries = [cell["connections"] for cell in cells if cell["type"] == "CCU2C"]
    carried = {bit for connections in carries for bit in connections.get("COUT", ())}
    read = read_bits(module, but_carries=True)
    return Cells(
        lut4=types["LUT4"],
        ccu2c=types["CCU2C"],
        chains=sum(not carried.intersection(c.get("CIN", ())) for c in carries),
        taps=len(carried & read),
        dpr16x4=types["TRELLIS_DPR16X4"],
        ff=types["TRELLIS_FF"],
        dp16kd=types["DP16KD"],
        dsp=types["MULT18X18D"] + types["ALU54B"],
    )


def read_bits(module: Mapping[str, Any], *, but_carries: bool = False) -> set[int | str]:
    """Return the bits of a module of a netlist that a cell or an output reads.

    Args:
        module: Of a Yosys JSON netlist.
        but_carries: Leave out what only the carry inputs of carry cells read.
    """
    read: set[int | str] = set()
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            is_carry = cell["type"] == "CCU2C" and port == "CIN"
            if cell["port_directions"][port] != "output" and not (is_carry and but_carries):
                read.update(bits)
    for port in module["ports"].values():
        if port["direction"] != "input":
            read.update(port["bits"])
    return read


def disconnect_unread_carries(netlist: Path) -> None:
    """Leave the carry outputs that nothing reads unconnected in a Yosys JSON netlist.

    nextpnr spends two lookup tables on each, to join it to the fabric.

    Raises:
        BuildError: The file is no netlist.
    """
    try:
        document = json.loads(netlist.read_text())
        for module in document["modules"].values():
            read = read_bits(module)
            for cell in module["cells"].values():
                if cell["type"] == "CCU2C" and not read.intersection(cell["connections"]["COUT"]):
                    cell["connections"]["COUT"] = ["x"]
        part = netlist.with_suffix(".part")
        part.write_text(json.dumps(document))
        part.replace(netlist)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuildError(f"{netlist}: no usable netlist: {error!r}") from error


def measure_stages(
    dataflow: Dataflow, folder: Path, *, rtl_folder: Path = RTL_FOLDER, options: str = ""
) -> dict[str, Cells]:
    """Return the cells of every stage of ``dataflow`` by its name, from one run of Yosys.

    Each stage is synthesized on its own, as in a design that keeps its hierarchy.

    Args:
        dataflow: Connected stages or not.
        folder: Receives RTL, netlist and log.
        rtl_folder: SystemVerilog modules.
        options: Further options of ``synth_ecp5``.

    Raises:
        BuildError: Yosys failed.
        ToolNotFoundError: Yosys is missing.
    """
    files = emit(dataflow, folder, rtl_folder=rtl_folder)
    modules = sorted({stage.module().name for stage in dataflow.stages})
    script = (
        *(f"read_verilog -sv -defer {name}" for name in files.sources),
        f"hierarchy -check -top {files.top}",
        # Yosys calls a module with parameters $paramod$<digest>\<module>.
        *(f"setattr -mod -set keep_hierarchy 1 *\\{name}" for name in modules),
        f"{synth_command(files.top)} {options}".rstrip(),
        f"write_json {NETLIST_JSON}",
    )
    (folder / _SCRIPT).write_text("".join(f"{line}\n" for line in script))
    run_tool("yosys", ("-Q", "-T", "-s", _SCRIPT), folder, folder / _LOG)
    try:
        netlist = json.loads((folder / NETLIST_JSON).read_text())["modules"]
        instances = netlist[files.top]["cells"]
        return {
            stage.name: count_cells(netlist[instances[stage.name]["type"]])
            for stage in dataflow.stages
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{folder / NETLIST_JSON}: no usable netlist: {error!r}") from error
