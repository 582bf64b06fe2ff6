"""Lint of the handwritten SystemVerilog: ``python -m popshift.flows.lint_rtl``.

Every module of ``hw/rtl`` is its own top level once, with the folder as library. The twins for a
family of FPGAs, in a folder of its name, come first in a library of their own, with models of the
primitives that they instantiate.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from ..hw.emit import FAMILIES
from ..hw.errors import PopshiftError
from .tools import find_tool

HARNESS_FOLDER = Path(__file__).parent / "harness"

# Verilator calls the signals of a recursive module unused when that module itself is the top.
_AROUND = """module lint_top;
  /* verilator lint_off PINMISSING */
  {name} linted ();
endmodule
"""


def lint(source: Path, *libraries: Path) -> list[str]:
    """Return what Verilator has to say about a module, nothing if it is clean.

    Args:
        source: File of the module, which is named as the module.
        libraries: Folders in which the modules that it instantiates are found, the first one first.

    Raises:
        ToolNotFoundError: There is no Verilator.
    """
    name = source.stem
    is_recursive = re.search(rf"^\s*{name}\s*(#|\w+\s*\()", source.read_text("utf-8"), re.MULTILINE)
    if is_recursive is None:
        return _verilator(name, source, libraries)
    with tempfile.TemporaryDirectory(prefix="popshift-lint-") as folder:
        around = Path(folder) / "lint_top.sv"
        around.write_text(_AROUND.format(name=name), "utf-8")
        return _verilator(around.stem, around, libraries)


def libraries_of(source: Path) -> tuple[Path, ...]:
    """Return the folders of what a module of ``hw/rtl``, or of a family there, instantiates."""
    family = source.parent
    if family.name not in FAMILIES.values():
        return (family,)
    return family, family.parent, HARNESS_FOLDER / family.name


def _verilator(top: str, source: Path, libraries: Sequence[Path]) -> list[str]:
    tool = find_tool("verilator")
    options = ["--lint-only", "--quiet", "-Wall", "-sv", "--top-module", top]
    for library in libraries:
        options += ["-y", str(library)]
    done = subprocess.run(
        [*tool.command, *options, str(source)],
        env={**os.environ, **tool.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode and not said:
        said = [f"verilator ended with exit status {done.returncode}"]
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Lint every module of a folder, by default those of the package; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    folder = Path(given[0] if given else str(resources.files("popshift.hw") / "rtl"))
    sources = [*sorted(folder.glob("*.sv")), *sorted(folder.glob("*/*.sv"))]
    if not sources:
        print(f"{folder}: holds no .sv file", file=sys.stderr)
        return 2
    failed = 0
    for source in sources:
        try:
            said = lint(source, *libraries_of(source))
        except PopshiftError as error:
            print(error, file=sys.stderr)
            return 2
        name = source.relative_to(folder).with_suffix("").as_posix()
        print(f"{name:22} {'clean' if not said else 'FAILED'}", flush=True)
        failed += bool(said)
        for line in said:
            print(f"  {line}")
    print(f"{len(sources)} modules, {failed} with warnings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
