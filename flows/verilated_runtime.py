"""Compiles C++: Verilator's runtime once for all models, and the units of one model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from . import tools

STANDARD = "-std=c++17"


def cache_folder() -> Path:
    """Return the folder of files that every build may share."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "popshift"


def runtime_objects(*, is_traced: bool) -> list[Path]:
    """Return Verilator's runtime as position-independent objects, compiled once and kept.

    Raises:
        ToolNotFoundError: Verilator or a C++ compiler is missing.
        BuildError: The compiler failed.
    """
    include = tools.verilator_root() / "include"
    units = ["verilated", "verilated_threads", *(["verilated_vcd_c"] if is_traced else [])]
    versions = tools.find_tool("verilator").version + tools.find_tool("c++").version + str(include)
    digest = hashlib.sha256(versions.encode()).hexdigest()[:16]
    folder = cache_folder() / f"verilated-{digest}-{'trace' if is_traced else 'plain'}-pic"
    folder.mkdir(parents=True, exist_ok=True)
    objects = [folder / f"{unit}.o" for unit in units]
    missing = [include / f"{made.stem}.cpp" for made in objects if not made.exists()]
    compile_objects(missing, folder, ["-O2", "-fPIC"], is_traced=is_traced)
    return objects


def compile_objects(
    units: Sequence[Path], folder: Path, flags: Sequence[str], *, is_traced: bool
) -> list[Path]:
    """Compile C++ files into ``folder`` and return the objects, each written whole or not at all.

    Raises:
        ToolNotFoundError: There is no C++ compiler.
        BuildError: It failed; names the log.
    """
    include = tools.verilator_root() / "include"
    defines = ["-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", f"-DVM_TRACE={int(is_traced)}"]
    defines += [f"-DVM_TRACE_VCD={int(is_traced)}", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0"]
    includes = ["-I", str(include), "-I", str(include / "vltstd")]
    objects = []
    for unit in units:
        made = folder / f"{unit.stem}.o"
        part = folder / f"{unit.stem}.{os.getpid()}.o"
        arguments = [STANDARD, *flags, *defines, *includes, "-c", str(unit), "-o", str(part)]
        tools.run_tool("c++", arguments, cwd=folder, log=folder / f"{unit.stem}.log")
        part.replace(made)
        objects.append(made)
    return objects
