"""An accelerator compiled by Verilator for speed alone: no recording, every optimisation."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from ...hw.emit import SOURCES_FILE, emit
from ...hw.graph import Dataflow, port_names
from .. import tools
from ..verilated_runtime import compile_objects

HARNESS = Path(__file__).parent.parent / "harness" / "speed_harness.cpp"
VERILATOR_FLAGS = (
    "--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "--no-timing",
    "-Wno-fatal", "-Wno-lint", "-Wno-style",
)  # fmt: skip
CPP_FLAGS = ("-O3", "-march=native", "-fno-plt", "-fstrict-aliasing")


@dataclass(frozen=True)
class FastModel:
    """A compiled accelerator that runs random beats.

    Attributes:
        program: The executable; its memory images are in ``rtl``.
        rtl: Folder of the SystemVerilog.
        dataflow: What it is.
        version: Of Verilator.
    """

    program: Path
    rtl: Path
    dataflow: Dataflow
    version: str

    def run(self, images: int) -> tuple[int, float]:
        """Return the cycles that some images take from reset, and CPU seconds."""
        beats = images * self.dataflow.streams[self.dataflow.outputs[0]].beats
        command = [str(self.program.absolute()), str(beats)]
        done = subprocess.run(command, cwd=self.rtl, capture_output=True, text=True, check=True)
        cycles, seconds = done.stdout.split()
        return int(cycles), float(seconds)


def compile_for_speed(dataflow: Dataflow, folder: Path) -> FastModel:
    """Emit, Verilate and compile ``dataflow``.

    Raises:
        ToolNotFoundError: Verilator or a C++ compiler is missing.
        BuildError: One of them failed.
    """
    rtl, objects_folder = folder / "rtl", folder / "objects"
    emit(dataflow, rtl)
    objects_folder.mkdir(parents=True, exist_ok=True)
    sources = (rtl / SOURCES_FILE).read_text().split()
    arguments = [*VERILATOR_FLAGS, "--top-module", dataflow.name, "--prefix", "Vmodel"]
    arguments += ["--Mdir", str(objects_folder.absolute()), *sources]
    tools.run_tool("verilator", arguments, cwd=rtl, log=folder / "verilator.log")
    (objects_folder / "speed_bindings.h").write_text(_bindings(dataflow))
    runtime = tools.verilator_root() / "include"
    units = [*sorted(objects_folder.glob("Vmodel*.cpp")), HARNESS]
    units += [runtime / "verilated.cpp", runtime / "verilated_threads.cpp"]
    flags = [*CPP_FLAGS, "-I", str(objects_folder)]
    objects = compile_objects(units, objects_folder, flags, is_traced=False)
    program = folder / "speed"
    link = [*map(str, objects), "-O3", "-o", str(program), "-pthread"]
    tools.run_tool("c++", link, cwd=folder, log=folder / "link.log")
    return FastModel(program, rtl, dataflow, tools.find_tool("verilator").version)


def _bindings(dataflow: Dataflow) -> str:
    """Return the C++ that ties the harness to the ports of ``dataflow``."""
    inputs = port_names("s_axis", len(dataflow.inputs))
    outputs = port_names("m_axis", len(dataflow.outputs))
    fresh = []
    for number, (port, kind) in enumerate(zip(inputs, dataflow.inputs.values(), strict=True)):
        count, rest = -(-kind.width_bits // 8), kind.width_bits % 8
        mask = f" bytes[{count - 1}] &= {(1 << rest) - 1};" if rest else ""
        fresh.append(
            f"  if (taken >> {number} & 1) {{ uint8_t bytes[{count}]; "
            f"random_bytes(bytes, {count});{mask} "
            f"std::memcpy(&model.{port}_tdata, bytes, {count}); }}"
        )
    ready = " | ".join(f"unsigned(model.{port}_tready) << {i}" for i, port in enumerate(inputs))
    busy = [f"model.{port}_tvalid = 1;" for port in inputs]
    busy += [f"model.{port}_tready = 1;" for port in outputs]
    idle = [line.replace("= 1", "= 0") for line in busy]
    return "\n".join(
        [
            '#include "Vmodel.h"',
            "using Model = Vmodel;",
            "void random_bytes(void* to, size_t count);",
            f"inline void set_idle(Model& model) {{ {' '.join(idle)} }}",
            "inline void next_beats(Model& model, unsigned taken) {",
            *fresh,
            "}",
            f"inline void set_busy(Model& model) {{ {' '.join(busy)} next_beats(model, ~0u); }}",
            f"inline unsigned takes_input(Model& model) {{ return {ready}; }}",
            f"inline bool gives_output(Model& model) {{ return model.{outputs[0]}_tvalid; }}",
            "",
        ]
    )
