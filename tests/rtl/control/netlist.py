"""The logic of a stage's handshakes: gates and registers that Yosys leaves of its RTL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from popshift.flows.tools import run_tool
from popshift.hw.emit import emit
from popshift.hw.graph import Dataflow, port_names

Bits = NDArray[np.bool_]
TOP = "control"


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """Gates in an order in which each follows its inputs.

    Attributes:
        ports: Net of each bit of a port.
        gates: Output, and inputs; one input for an inverter.
        registers: Next value and output of each register.
    """

    ports: dict[str, int]
    gates: tuple[tuple[int, tuple[int, ...]], ...]
    registers: tuple[tuple[int, int], ...]

    def evaluate(self, inputs: dict[str, Bits], state: Bits) -> tuple[dict[int, Bits], Bits]:
        """Return all nets and the next state.

        Args:
            inputs: Values of the input ports, shape ``(n,)`` each.
            state: Values of the registers, ``(n, registers)``.
        """
        count = len(state)
        nets: dict[int, Bits] = {0: np.zeros(count, np.bool_), 1: np.ones(count, np.bool_)}
        nets |= {self.ports[port]: value for port, value in inputs.items() if port in self.ports}
        nets |= {q: state[:, i] for i, (_, q) in enumerate(self.registers)}
        for out, given in self.gates:
            nets[out] = nets[given[0]] & nets[given[1]] if len(given) == 2 else ~nets[given[0]]
        following = [nets[d] for d, _ in self.registers]
        return nets, np.stack(following, axis=1) if following else state

    def after_reset(self) -> tuple[Bits, Bits]:
        """Return which registers have a known value after a cycle of reset, and these values.

        Nothing is known before it: values are pairs of whether a net can be 0 and can be 1.
        """
        can: dict[int, tuple[bool, bool]] = {0: (True, False), 1: (False, True)}
        can |= dict.fromkeys(self.ports.values(), (True, True))
        can |= dict.fromkeys((q for _, q in self.registers), (True, True))
        can[self.ports["rst"]] = (False, True)
        for out, given in self.gates:
            if len(given) == 1:
                low, high = can[given[0]]
                can[out] = (high, low)
            else:
                (low_a, high_a), (low_b, high_b) = can[given[0]], can[given[1]]
                can[out] = (low_a or low_b, high_a and high_b)
        ends = np.array([can[d] for d, _ in self.registers], np.bool_).reshape(-1, 2)
        return ~(ends[:, 0] & ends[:, 1]), ends[:, 1]


def control_netlist(dataflow: Dataflow, folder: Path, rtl_folder: Path) -> Netlist:
    """Return the logic between the handshakes of a dataflow; no data enters it.

    Args:
        dataflow: What is read.
        folder: For files.
        rtl_folder: The handwritten modules.

    Raises:
        BuildError: Yosys failed.
        ValueError: A handshake depends on data.
    """
    files = emit(dataflow, folder, rtl_folder=rtl_folder)
    (folder / f"{TOP}.sv").write_text(_around(dataflow))
    script = [
        *(f"read_verilog -sv -defer {name}" for name in (*files.sources, f"{TOP}.sv")),
        f"hierarchy -check -top {TOP}",
        *("proc", "flatten", "opt -full", "memory_collect", "opt_mem", "opt_clean -purge"),
        *("memory_map", "opt -full", "techmap", "opt -full", "dfflegalize -cell $_DFF_P_ x"),
        *("aigmap", "opt_clean -purge", f"write_json {TOP}.json"),
    ]
    (folder / f"{TOP}.ys").write_text("\n".join((*script, "")))
    run_tool("yosys", ("-Q", "-T", "-s", f"{TOP}.ys"), folder, folder / "yosys.log")
    return _netlist(json.loads((folder / f"{TOP}.json").read_text())["modules"][TOP])


def _around(dataflow: Dataflow) -> str:
    """Return a module around the top level whose only outputs are handshakes."""
    ports, joins = ["input logic clk", "input logic rst"], [".clk", ".rst"]
    for prefix, names in (("s_axis", tuple(dataflow.inputs)), ("m_axis", dataflow.outputs)):
        for name, port in zip(names, port_names(prefix, len(names)), strict=True):
            bits = dataflow.streams[name].width_bits
            ends = ("output", "input") if prefix == "m_axis" else ("input", "output")
            ports += [f"{ends[0]} logic {port}_tvalid", f"{ends[1]} logic {port}_tready"]
            joins += [f".{port}_tvalid", f".{port}_tready"]
            if prefix == "s_axis":
                ports.append(f"input logic [{bits - 1}:0] {port}_tdata")
                joins.append(f".{port}_tdata")
    return (
        f"module {TOP} (\n  {', '.join(ports)}\n);\n"
        f"  {dataflow.name} stage ({', '.join(joins)});\nendmodule\n"
    )


def _netlist(module: dict[str, Any]) -> Netlist:
    gates: dict[int, tuple[int, ...]] = {}
    registers = []
    for name, cell in module["cells"].items():
        at = {port: _net(bits[0], name) for port, bits in cell["connections"].items()}
        if cell["type"] == "$_DFF_P_":
            registers.append((at["D"], at["Q"]))
        elif cell["type"] == "$_AND_":
            gates[at["Y"]] = (at["A"], at["B"])
        elif cell["type"] == "$_NOT_":
            gates[at["Y"]] = (at["A"],)
        else:
            raise ValueError(f"{name}: unexpected cell {cell['type']}")
    ports = {}
    used = {net for given in gates.values() for net in given} | {d for d, _ in registers}
    for port, what in module["ports"].items():
        if not port.endswith("_tdata"):
            ports[port] = _net(what["bits"][0], port)
        elif used & set(what["bits"]):
            raise ValueError(f"{port}: a handshake depends on data, so no schedule describes it")
    return Netlist(ports=ports, gates=_ordered(gates), registers=tuple(registers))


def _net(bit: int | str, name: str) -> int:
    if bit == "x":
        raise ValueError(f"{name}: an unknown value enters the control")
    return int(bit)


def _ordered(gates: dict[int, tuple[int, ...]]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Return gates so that each follows those that it reads."""
    found: dict[int, tuple[int, ...]] = {}
    for end in gates:
        waiting = [end]
        while waiting:
            net = waiting[-1]
            missing = [one for one in gates[net] if one in gates and one not in found]
            if missing and net not in found:
                waiting += missing
                continue
            found.setdefault(net, gates[net])
            waiting.pop()
    return tuple(found.items())
