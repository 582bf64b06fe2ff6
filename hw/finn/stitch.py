"""The stitched design without Vivado: a top level over the modules that FINN has generated.

FINN stitches the modules of its nodes in a block design of Vivado. This is the same netlist as a
file of SystemVerilog, made from the same graph, so that any simulator can run what FINN generated.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from ..emit import SOURCES_FILE, instantiate, top_level
from ..errors import GraphError
from ..graph import Dataflow, Stage
from .graph import from_finn
from .wrapper import module_files, port_of, sources, tdata_bits


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
    modules = {}
    files: dict[str, None] = {}
    for node, stage in zip(model.graph.node, dataflow.stages, strict=True):
        code, top = generated_module(node)
        modules[stage.name] = top
        files |= dict.fromkeys(map(str, (*sources(stage), code / f"{top}.v")))
    _write_top(dataflow, modules, files, folder)
    return dataflow


def gather(model: ModelWrapper, folder: Path, *, name: str) -> None:
    """Write the stitched design with everything it needs into ``folder``, which can be moved.

    The modules are those that FINN has generated, but for the paths of their memory images.

    Raises:
        GraphError: As :func:`stitch`.
    """
    dataflow = from_finn(model, name=name)
    modules = {}
    files: dict[str, None] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for node, stage in zip(model.graph.node, dataflow.stages, strict=True):
        _, top = generated_module(node)
        modules[stage.name] = top
        for source in sources(stage):
            shutil.copyfile(source, folder / source.name)
            files[source.name] = None
        for file, text in module_files(stage, top, Path()).items():
            (folder / file).write_text(text)
        files[f"{top}.v"] = None
    _write_top(dataflow, modules, files, folder)


def _write_top(
    dataflow: Dataflow, modules: Mapping[str, str], files: Iterable[str], folder: Path
) -> None:
    """Write the top level and the list of ``files``, the top level last."""
    folder.mkdir(parents=True, exist_ok=True)
    top = f"{dataflow.name}.sv"
    text = top_level(
        dataflow, instance=lambda stage: _instance(stage, modules), tdata_bits=tdata_bits
    )
    (folder / top).write_text(text)
    (folder / SOURCES_FILE).write_text("".join(f"{file}\n" for file in (*files, top)))


def generated_module(node: NodeProto) -> tuple[Path, str]:
    """Return the folder of the code that FINN has generated for a node, and its top module.

    Raises:
        GraphError: There is none.
    """
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    top = bytes(values.get("gen_top_module", b"")).decode()
    folder = Path(bytes(values.get("code_gen_dir_ipgen", b"")).decode())
    if not top or not (folder / f"{top}.v").is_file():
        raise GraphError(f"node {node.name}: has no generated code; run FINN's step_hw_codegen")
    return folder, top


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
