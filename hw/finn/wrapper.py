"""The Verilog module that gives a stage FINN's ports: ``ap_clk``, ``ap_rst_n``, ``in0_V``, ...

The wrapper is Verilog, not SystemVerilog, because Vivado's block designs take no other top of a
module reference. Streams are padded with zeros to whole bytes, as FINN's are; the bits above the
elements of an input are not read. There is no logic but the inverted reset.
"""

from __future__ import annotations

from pathlib import Path

from ..emit import RTL_FOLDER, image_files, image_name, instantiate, stage_connections
from ..graph import Stage, StreamType
from ..packing import hex_lines


def tdata_bits(kind: StreamType) -> int:
    """Return the width of a stream in FINN: that of its elements, in whole bytes."""
    return -(-kind.width_bits // 8) * 8


def port_of(direction: str, index: int) -> str:
    """Return FINN's name of a stream port; ``direction`` is "in" or "out"."""
    return f"{direction}{index}_V"


def sources(stage: Stage) -> tuple[Path, ...]:
    """Return the SystemVerilog files of a stage, where they are installed.

    All nodes name the same files, so that a project declares every module once.
    """
    module = stage.module()
    return tuple(RTL_FOLDER / f"{name}.sv" for name in sorted({module.name, *module.sources}))


def write_module(stage: Stage, top: str, folder: Path) -> None:
    """Write what :func:`module_files` says."""
    for file, text in module_files(stage, top, folder).items():
        file.write_text(text)


def module_files(stage: Stage, top: str, folder: Path) -> dict[Path, str]:
    """Return the files of a stage as a FINN module, and their texts.

    They are ``<top>.v`` and the memory images. The wrapper names the images by their path in
    ``folder``. FINN's own modules find theirs by absolute path, from whatever project they become
    part of; a relative ``folder`` makes files that can be moved together.

    Args:
        stage: What the module computes.
        top: Name of the module.
        folder: Where the files belong.
    """
    return {folder / f"{top}.v": wrapper(stage, top, folder)} | {
        folder / name: hex_lines(words)
        for parameter, image in stage.module().memories.items()
        for parts in [image.slices()]
        for name, words in zip(image_files(stage.name, parameter, len(parts)), parts, strict=True)
    }


def wrapper(stage: Stage, top: str, images: Path) -> str:
    """Return the text of the wrapper of ``stage``, whose memory images are in ``images``."""
    inputs = [(port_of("in", i), kind) for i, kind in enumerate(stage.input_types)]
    outputs = [(port_of("out", i), kind) for i, kind in enumerate(stage.output_types)]
    buses = ":".join(name for name, _ in (*inputs, *outputs))
    ports = [
        '  (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)\n'
        f'  (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {buses}, ASSOCIATED_RESET ap_rst_n" *)\n'
        "  input  wire ap_clk",
        '  (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)\n  input  wire ap_rst_n',
    ]
    declarations: list[str] = []
    entering, leaving = [], []
    for name, kind in inputs:
        ports.append(
            f"  input  wire [{tdata_bits(kind) - 1}:0] {name}_TDATA,\n"
            f"  input  wire {name}_TVALID,\n"
            f"  output wire {name}_TREADY"
        )
        entering.append(_signals(name, f"{name}_TDATA[{kind.width_bits - 1}:0]"))
    for name, kind in outputs:
        ports.append(
            f"  output wire [{tdata_bits(kind) - 1}:0] {name}_TDATA,\n"
            f"  output wire {name}_TVALID,\n"
            f"  input  wire {name}_TREADY"
        )
        padding = tdata_bits(kind) - kind.width_bits
        zeros = f"{{{padding}{{1'b0}}}}, " if padding else ""
        declarations.append(f"  wire [{kind.width_bits - 1}:0] {name};\n")
        declarations.append(f"  assign {name}_TDATA = {{{zeros}{name}}};\n")
        leaving.append(_signals(name, name))
    connections = [".clk(ap_clk)", ".rst(!ap_rst_n)", *stage_connections(entering, leaving)]
    module = stage.module()
    values: dict[str, int | str] = dict(module.parameters)
    values |= {name: str(images / image_name(stage.name, name)) for name in module.memories}
    instance = instantiate(module.name, "stage", values, connections)
    return (
        f"// {top}: stage {stage.name} ({stage.kind}) with FINN's ports, written by "
        "popshift.hw.finn.\n"
        f"module {top} (\n" + ",\n".join(ports) + f"\n);\n\n{''.join(declarations)}\n{instance}\n"
        "endmodule\n"
    )


def _signals(name: str, tdata: str) -> dict[str, str]:
    """Return what a stream of the stage is connected to."""
    return {"tdata": tdata, "tvalid": f"{name}_TVALID", "tready": f"{name}_TREADY"}
