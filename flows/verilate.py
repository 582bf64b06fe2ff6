"""Runs the emitted SystemVerilog in Verilator and records every beat of every stream.

The model is a program of its own: it reads a stimulus file and writes a result file, so a fault in
it cannot take Python down, and its memory images are found relative to its folder. Both files are
little-endian 64-bit words and raw beats.

Stimulus: seed, cycle limit, patience; per input: number of gaps, gaps, number of beats, beats; per
output: length of the ready calendar, calendar, expected beats.
Result: cycles run; per stream: number of beats, their cycles, their beats.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..hw.dtypes import IntArray
from ..hw.emit import SOURCES_FILE
from ..hw.graph import Dataflow, port_names
from ..hw.packing import word_bytes
from . import tools
from .verilated_runtime import compile_objects, runtime_objects
from .waveform import vcd_to_fst

HARNESS = Path(__file__).parent / "harness" / "stream_harness.cpp"
Cycles = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class RtlTrace:
    """What the simulated hardware did.

    Attributes:
        values: Per stream, the integers of its whole images, ``(images, *shape)``.
        cycles: Per stream, the cycle in which each beat was transferred.
        total_cycles: Cycles simulated.
    """

    values: Mapping[str, IntArray]
    cycles: Mapping[str, Cycles]
    total_cycles: int


@dataclass(frozen=True, kw_only=True)
class VerilatedModel:
    """A compiled accelerator.

    Attributes:
        dataflow: What it should compute; gives the types of the streams.
        rtl_folder: Where its memory images are.
        program: The executable.
        log: Log of its runs.
    """

    dataflow: Dataflow
    rtl_folder: Path
    program: Path
    log: Path

    def run(
        self,
        *inputs: IntArray,
        gaps: Mapping[str, Sequence[int]] | None = None,
        ready: Mapping[str, Sequence[int]] | None = None,
        max_cycles: int = 1 << 32,
        seed: int = 1,
        trace: Path | None = None,
    ) -> RtlTrace:
        """Return values and cycles of every stream; patterns as in ``hw.sim.clock.simulate``.

        Runs until nothing has moved for longer than any pattern can hold a beat back.

        Args:
            inputs: Integers of each input, ``(images, *shape)``.
            gaps: Idle cycles before each beat, per input.
            ready: Calendar of each output.
            max_cycles: Cycle limit.
            seed: Of the random contents of registers before reset.
            trace: Waveform to write, ``.vcd`` or ``.fst``; the model must be compiled with
                ``is_traced=True``.

        Raises:
            BuildError: The program failed.
            DatatypeError: An input value is outside its datatype.
        """
        gaps, ready = gaps or {}, ready or {}
        longest = max([0, *(len(calendar) for calendar in ready.values())])
        threads = [t for stage in self.dataflow.stages for t in stage.schedule().threads]
        patience = 64 + 2 * longest + max([0, *(thread.operations for thread in threads)])
        words: list[bytes] = [_words(seed, max_cycles, patience)]
        images = len(inputs[0])
        for (name, kind), array in zip(self.dataflow.inputs.items(), inputs, strict=True):
            pattern = list(gaps.get(name, (0,)))
            beats = kind.to_beats(kind.dtype.check(array, f"input {name!r}"))
            words += [_words(len(pattern), *pattern, len(beats)), beats.tobytes()]
        for name in self.dataflow.outputs:
            pattern = list(ready.get(name, (1,)))
            expected = images * self.dataflow.streams[name].beats
            words.append(_words(len(pattern), *pattern, expected))
        with tempfile.TemporaryDirectory(prefix="popshift-") as scratch:
            stimulus, result = Path(scratch) / "stimulus", Path(scratch) / "result"
            stimulus.write_bytes(b"".join(words))
            arguments = [str(stimulus), str(result)]
            vcd = trace
            if trace is not None and trace.suffix == ".fst":
                vcd = Path(scratch) / "trace.vcd"
            if vcd is not None:
                arguments.append(str(vcd.absolute()))
            command = [str(self.program.absolute()), *arguments]
            tools.run_command("simulation", command, self.rtl_folder, self.log, {})
            if trace is not None and vcd is not None and vcd != trace:
                vcd_to_fst(vcd, trace)
            return self._read(result.read_bytes())

    def _read(self, data: bytes) -> RtlTrace:
        values: dict[str, IntArray] = {}
        cycles: dict[str, Cycles] = {}
        (total,) = np.frombuffer(data, np.int64, 1)
        at = 8
        for name, kind in self.dataflow.streams.items():
            (count,) = np.frombuffer(data, np.int64, 1, at)
            cycles[name] = np.frombuffer(data, np.int64, count, at + 8)
            at += 8 * (1 + int(count))
            width = word_bytes(kind.width_bits)
            beats = np.frombuffer(data, np.uint8, count * width, at).reshape(count, width)
            at += int(count) * width
            values[name] = kind.from_beats(beats)
        return RtlTrace(values=values, cycles=cycles, total_cycles=int(total))


def compile_model(
    rtl_folder: Path,
    dataflow: Dataflow,
    build_folder: Path,
    *,
    optimise: str = "-O1",
    is_traced: bool = False,
) -> VerilatedModel:
    """Verilate and compile the sources in ``rtl_folder``, or reuse the program made from the same.

    Args:
        rtl_folder: Holds ``sources.f`` and what it lists.
        dataflow: Whose streams are observed.
        build_folder: Receives objects, program and logs.
        optimise: Optimisation of the C++ compiler.
        is_traced: Whether runs can write waveforms; slower.

    Raises:
        ToolNotFoundError: Verilator or a C++ compiler is missing.
        BuildError: One of them failed.
    """
    sources = (rtl_folder / SOURCES_FILE).read_text().split()
    bindings = bindings_header(dataflow, is_traced=is_traced)
    verilator = tools.find_tool("verilator")
    parts = [verilator.version, optimise, bindings, HARNESS.read_text()]
    parts += [(rtl_folder / source).read_text() for source in sources]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    folder = build_folder / f"verilated-{digest}"
    model = VerilatedModel(
        dataflow=dataflow,
        rtl_folder=rtl_folder,
        program=folder / "model",
        log=folder / "run.log",
    )
    if model.program.exists():
        return model
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bindings.h").write_text(bindings)
    arguments = ["--cc", "-O3", "--x-assign", "fast", "--x-initial", "unique", "-Wno-fatal"]
    # An elaboration $error of a module stays one.
    arguments += ["-Werror-USERERROR"]
    arguments += ["-Wno-lint", "-Wno-style", "--top-module", dataflow.name, "--prefix", "Vmodel"]
    arguments += ["--Mdir", str(folder.absolute()), *(["--trace-vcd"] if is_traced else [])]
    if optimise == "-O0":
        # Every unit reads the headers again, and nothing in a unit takes more than linear time.
        arguments += ["--output-split", "0"]
    tools.run_tool(
        "verilator", [*arguments, *sources], cwd=rtl_folder, log=folder / "verilator.log"
    )
    flags = [optimise, "-I", str(folder), *(["-DPOPSHIFT_TRACE"] if is_traced else [])]
    units = [*sorted(folder.glob("Vmodel*.cpp")), HARNESS]
    objects = compile_objects(units, folder, flags, is_traced=is_traced)
    objects += runtime_objects(is_traced=is_traced)
    finished = folder / f"model.{os.getpid()}"
    link = [*map(str, objects), "-o", str(finished), "-pthread"]
    tools.run_tool("c++", link, cwd=folder, log=folder / "link.log")
    finished.replace(model.program)
    return model


def bindings_header(dataflow: Dataflow, *, is_traced: bool) -> str:
    """Return the C++ that ties the harness to the ports and streams of ``dataflow``."""
    names = list(dataflow.streams)
    signal = {name: f"model.rootp->{dataflow.name}__DOT__{name}" for name in names}
    widths = [word_bytes(kind.width_bits) for kind in dataflow.streams.values()]
    bytes_of = dict(zip(names, widths, strict=True))
    inputs = list(zip(dataflow.inputs, port_names("s_axis", len(dataflow.inputs)), strict=True))
    outputs = list(zip(dataflow.outputs, port_names("m_axis", len(dataflow.outputs)), strict=True))
    observed = "\n".join(
        f"  if ({signal[name]}_tvalid & {signal[name]}_tready) "
        f"{{ transferred({i}, &{signal[name]}_tdata); moved = true; }}"
        for i, name in enumerate(names)
    )
    return f"""#include <cstdint>
#include <cstring>
#include "Vmodel.h"
#include "Vmodel___024root.h"
{'#include "verilated_vcd_c.h"' if is_traced else ""}
using Model = Vmodel;
{"using Trace = VerilatedVcdC;" if is_traced else ""}
constexpr int kStreams = {len(names)}, kInputs = {len(inputs)}, kOutputs = {len(outputs)};
constexpr uint64_t kBytes[] = {{{_list(widths)}}};
constexpr int kInputStreams[] = {{{_list([names.index(name) for name, _ in inputs])}}};
constexpr int kOutputStreams[] = {{{_list([names.index(name) for name, _ in outputs])}}};
void transferred(int stream, const void* data);
inline bool observe(Model& model) {{
  bool moved = false;
{observed}
  return moved;
}}
inline void set_valid(Model& model, int input, bool valid) {{
  switch (input) {{
{_cases(f"model.{port}_tvalid = valid;" for _, port in inputs)}
  }}
}}
inline void set_data(Model& model, int input, const uint8_t* data) {{
  switch (input) {{
{_cases(f"std::memcpy(&model.{port}_tdata, data, {bytes_of[name]});" for name, port in inputs)}
  }}
}}
inline bool is_ready(Model& model, int input) {{
  switch (input) {{
{_cases(f"return model.{port}_tready;" for _, port in inputs)}
  }}
  return false;
}}
inline void set_ready(Model& model, int output, bool ready) {{
  switch (output) {{
{_cases(f"model.{port}_tready = ready;" for _, port in outputs)}
  }}
}}
"""


def _cases(statements: Iterable[str]) -> str:
    return "\n".join(f"    case {i}: {s} break;" for i, s in enumerate(statements))


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _words(*values: int) -> bytes:
    return np.array(values, np.int64).tobytes()
