"""Writes a dataflow as SystemVerilog: the top level, parameters and memory images.

No logic is generated. Every module is a handwritten file of ``hw/rtl``; the top level only
instantiates them and joins their streams.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from .errors import GraphError
from .graph import Dataflow, Stage, StreamType, port_names
from .packing import hex_lines

RTL_FOLDER = Path(__file__).parent / "rtl"

# Families of FPGAs with modules of their own, and the folders of RTL_FOLDER that hold them.
FAMILIES = MappingProxyType({"gowin": "carry", "ice40": "carry", "xilinx": "xilinx"})
SOURCES_FILE = "sources.f"


@dataclass(frozen=True, kw_only=True)
class RtlFiles:
    """What ``emit`` wrote.

    Attributes:
        folder: Folder of all files.
        top: Name of the top module.
        sources: SystemVerilog file names, the top last.
        images: Memory image file names.
    """

    folder: Path
    top: str
    sources: tuple[str, ...]
    images: tuple[str, ...]


def emit(
    dataflow: Dataflow, folder: Path, *, family: str | None = None, rtl_folder: Path = RTL_FOLDER
) -> RtlFiles:
    """Write ``<name>.sv``, the modules it needs, ``*.hex`` and ``sources.f`` into ``folder``.

    Args:
        dataflow: Stages and streams.
        folder: Made if missing; files of the same names are replaced.
        family: One of ``FAMILIES`` to take its twins of modules, which instantiate its primitives;
            None for the portable modules alone.
        rtl_folder: Where the handwritten modules are.

    Raises:
        GraphError: The top level would have the name of a module, or the family has no modules.
        OSError: The folder cannot be written.
    """
    modules = {stage.name: stage.module() for stage in dataflow.stages}
    needed = {name for module in modules.values() for name in (module.name, *module.sources)}
    if dataflow.name in needed:
        raise GraphError(f"{dataflow.name}: a module has this name; rename the dataflow")
    folder.mkdir(parents=True, exist_ok=True)
    images: list[str] = []
    for stage_name, module in modules.items():
        for parameter, image in module.memories.items():
            parts = image.of(family).slices()
            for name, words in zip(
                image_files(stage_name, parameter, len(parts)), parts, strict=True
            ):
                (folder / name).write_text(hex_lines(words))
                images.append(name)
    sources = [f"{name}.sv" for name in sorted(needed)]
    for source in sources:
        shutil.copyfile(source_file(source, family, rtl_folder), folder / source)
    (folder / f"{dataflow.name}.sv").write_text(top_level(dataflow))
    sources.append(f"{dataflow.name}.sv")
    (folder / SOURCES_FILE).write_text("".join(f"{source}\n" for source in sources))
    return RtlFiles(folder=folder, top=dataflow.name, sources=tuple(sources), images=tuple(images))


def source_file(name: str, family: str | None = None, rtl_folder: Path = RTL_FOLDER) -> Path:
    """Return the file of a module: the twin of a family of FPGAs where it has one.

    Args:
        name: Such as ``full_adder.sv``.
        family: One of ``FAMILIES``, or None.
        rtl_folder: Where the handwritten modules are.

    Raises:
        GraphError: The family is unknown.
    """
    if family is None:
        return rtl_folder / name
    if family not in FAMILIES:
        raise GraphError(f"family {family!r} is none of {', '.join(FAMILIES)}; None is portable")
    twin = rtl_folder / FAMILIES[family] / name
    return twin if twin.is_file() else rtl_folder / name


def top_level(
    dataflow: Dataflow,
    *,
    instance: Callable[[Stage], str] | None = None,
    tdata_bits: Callable[[StreamType], int] = lambda kind: kind.width_bits,
) -> str:
    """Return the text of the top module: streams as wires, stages as instances.

    Args:
        dataflow: Stages and streams.
        instance: Returns the instance of a stage; by default that of its module of ``hw/rtl``.
        tdata_bits: Returns the width of a stream; by default what its elements take.
    """
    ends = {}
    for name, port in zip(dataflow.inputs, port_names("s_axis", len(dataflow.inputs)), strict=True):
        ends[name] = port
    for name, port in zip(
        dataflow.outputs, port_names("m_axis", len(dataflow.outputs)), strict=True
    ):
        ends[name] = port
    ports = ["  input  logic clk,\n  input  logic rst"]
    wires: list[str] = []
    joins: list[str] = []
    for name, kind in dataflow.streams.items():
        span = f"[{tdata_bits(kind) - 1}:0]"
        wires.append(
            f"  logic {span} {name}_tdata {_PROBE};\n"
            f"  logic {name}_tvalid {_PROBE}, {name}_tready {_PROBE};\n"
        )
        if name in dataflow.inputs:
            port = ends[name]
            ports.append(
                f"  input  logic {span} {port}_tdata,\n"
                f"  input  logic {port}_tvalid,\n"
                f"  output logic {port}_tready"
            )
            joins.append(
                f"  assign {name}_tdata = {port}_tdata;\n"
                f"  assign {name}_tvalid = {port}_tvalid;\n"
                f"  assign {port}_tready = {name}_tready;\n"
            )
        if name in dataflow.outputs:
            port = ends[name]
            ports.append(
                f"  output logic {span} {port}_tdata,\n"
                f"  output logic {port}_tvalid,\n"
                f"  input  logic {port}_tready"
            )
            joins.append(
                f"  assign {port}_tdata = {name}_tdata;\n"
                f"  assign {port}_tvalid = {name}_tvalid;\n"
                f"  assign {name}_tready = {port}_tready;\n"
            )
    instances = "\n".join(map(instance or _instance, dataflow.stages))
    return (
        f"// {dataflow.name}: streams and instances, written by popshift.hw.emit.\n"
        f"module {dataflow.name} (\n" + ",\n".join(ports) + "\n);\n\n"
        f"{''.join(wires)}\n{''.join(joins)}\n{instances}\nendmodule\n"
    )


# Verilator keeps a signal with this comment readable; other tools skip it.
_PROBE = "/*verilator public_flat_rd*/"
_SIGNALS = ("tdata", "tvalid", "tready")


def _instance(stage: Stage) -> str:
    module = stage.module()
    values: dict[str, int | str] = dict(module.parameters)
    values |= {name: image_name(stage.name, name) for name in module.memories}
    inputs, outputs = (
        [{signal: f"{stream}_{signal}" for signal in _SIGNALS} for stream in streams]
        for streams in (stage.inputs, stage.outputs)
    )
    connections = [".clk(clk)", ".rst(rst)", *stage_connections(inputs, outputs)]
    return instantiate(module.name, stage.name, values, connections)


def stage_connections(
    inputs: Sequence[Mapping[str, str]], outputs: Sequence[Mapping[str, str]]
) -> list[str]:
    """Return the connections of the streams of a module, ``.port(signal)`` each.

    Several inputs are one vector, the first in the low bits, and so are several outputs.

    Args:
        inputs: Per input, the expressions of its ``tdata``, ``tvalid`` and ``tready``.
        outputs: Per output, the same.
    """
    connections = []
    for port, streams in (("s_axis", inputs), ("m_axis", outputs)):
        for signal in _SIGNALS:
            joined = ", ".join(stream[signal] for stream in reversed(streams))
            ends = joined if len(streams) == 1 else f"{{{joined}}}"
            connections.append(f".{port}_{signal}({ends})")
    return connections


def instantiate(
    module: str, name: str, parameters: Mapping[str, int | str], connections: Iterable[str]
) -> str:
    """Return the text of an instance; connections are ``.port(signal)`` each."""
    arguments = f" #(\n    {_arguments(parameters)}\n  )" if parameters else ""
    return f"  {module}{arguments} {name} (\n    " + ",\n    ".join(connections) + "\n  );\n"


def _arguments(values: Mapping[str, int | str]) -> str:
    return ",\n    ".join(f".{name}({_literal(value)})" for name, value in values.items())


def _literal(value: int | str) -> str:
    """Return a parameter in SystemVerilog; without a size an integer has 32 bits."""
    if isinstance(value, str):
        return f'"{value}"'
    return str(value) if -(1 << 31) <= value < 1 << 31 else f"{value.bit_length()}'h{value:x}"


def image_files(stage: str, parameter: str, slices: int) -> tuple[str, ...]:
    """Return the files of a memory of a stage, one for each slice."""
    name = image_name(stage, parameter)
    if slices == 1:
        return (f"{name}.hex",)
    return tuple(f"{name}_{index:03}.hex" for index in range(slices))


def image_name(stage: str, parameter: str) -> str:
    """Return what a memory parameter of a stage is given: the beginning of the file names."""
    return f"{stage}_{parameter.removesuffix('_FILE').lower()}"
