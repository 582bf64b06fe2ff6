"""The stitched design without Vivado: a top level over the modules that FINN has generated.

FINN stitches the modules of its nodes in a block design of Vivado. This is the same netlist as a
file of SystemVerilog, made from the same graph, so that any simulator can run what FINN generated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper

from ..emit import SOURCES_FILE, instantiate, top_level
from ..errors import GraphError
from ..graph import Dataflow, Stage
from .attributes import from_attributes
from .graph import from_finn
from .wrapper import port_of, sources, tdata_bits


def stitch(model: ModelWrapper, folder: Path, *, name: str) -> Dataflow:
    """Write ``<name>.sv`` over FINN's generated modules and ``sources.f`` into ``folder``.

    The ports are those of ``emit.top_level``, with streams of whole bytes; ``sources.f`` names the
    generated files where FINN has put them.

    Args:
        model: Specialised graph after FINN's code generation.
        folder: Made if missing.
        name: Name of the top level.

    Returns:
        The dataflow of the graph, whose streams are wires of the top level.

    Raises:
        GraphError: A node is none of ours, or has no generated code.
    """
    dataflow = from_finn(model, name=name)
    files: dict[Path, None] = {}
    modules: dict[str, str] = {}
    for node in model.graph.node:
        generated = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        top = bytes(generated.get("gen_top_module", b"")).decode()
        wrapper = Path(bytes(generated.get("code_gen_dir_ipgen", b"")).decode()) / f"{top}.v"
        if not top or not wrapper.is_file():
            raise GraphError(f"node {node.name}: has no generated code; run FINN's step_hw_codegen")
        stage = from_attributes(node)
        modules[stage.name] = top
        files |= dict.fromkeys((*sources(stage), wrapper))
    folder.mkdir(parents=True, exist_ok=True)
    text = top_level(
        dataflow, instance=lambda stage: _instance(stage, modules), tdata_bits=tdata_bits
    )
    (folder / f"{name}.sv").write_text(text)
    names = [*(str(file) for file in files), f"{name}.sv"]
    (folder / SOURCES_FILE).write_text("".join(f"{file}\n" for file in names))
    return dataflow


def _instance(stage: Stage, modules: Mapping[str, str]) -> str:
    """Return the instance of the generated module of ``stage``."""
    connections = [".ap_clk(clk)", ".ap_rst_n(!rst)"]
    for direction, names in (("in", stage.inputs), ("out", stage.outputs)):
        for index, stream in enumerate(names):
            connections += [
                f".{port_of(direction, index)}_{signal.upper()}({stream}_{signal})"
                for signal in ("tdata", "tvalid", "tready")
            ]
    return instantiate(modules[stage.name], stage.name, {}, connections)
