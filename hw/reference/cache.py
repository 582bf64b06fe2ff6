"""Compiled kernels on disk: one folder per kernel, found by the digest of its text.

The digest also covers the operations that it calls and the versions of Numba and llvmlite, so that
no old machine code is ever taken for a new text. Numba keeps its own index per processor in the
folder. ``checksums.json`` is written last and read first: a folder that it does not describe to the
byte is emptied and compiled again. Every file is put in place whole, so two processes may compile
at once.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

from . import arithmetic, elements, vector

_CHECKSUMS = "checksums.json"
_TEXT = "kernel.py"
# What a text may call.
_OPERATIONS = (arithmetic, elements, vector)


def folder() -> Path:
    """Return the folder of all kernels, ``$XDG_CACHE_HOME/popshift/reference`` or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "popshift" / "reference"


def compile_kernel(source: str, signature: Any) -> Callable[..., int]:
    """Return the machine code of ``run`` in ``source``, from disk or compiled now.

    Args:
        source: Text that defines ``run``.
        signature: Numba types of its arguments; no others will be accepted.
    """
    digest = _digest(f"{source}{signature}")
    # Numba finds machine code in the process by the function's name: each text has its own.
    name = f"run_{digest}"
    text = source.replace("def run(", f"def {name}(", 1)
    place = folder() / digest
    try:
        _prepare(place, text)
        kernel = _compile(text, name, signature, place / _TEXT)
        _write(place / _CHECKSUMS, json.dumps(_checksums(place), indent=1))
    except OSError:  # not writable, full: the kernel works as well without a copy
        return _compile(text, name, signature, None)
    return kernel


def _compile(text: str, name: str, signature: Any, path: Path | None) -> Callable[..., int]:
    """Return the compiled function ``name`` of a text; ``path`` is where the text lies, if at all.

    The text sees the operations as if it stood in their modules, also when Numba loads it back.
    """
    namespace = {name: value for m in _OPERATIONS for name, value in vars(m).items()}
    exec(compile(text, str(path or "<kernel>"), "exec"), namespace)  # noqa: S102  our own text
    kernel: Any = njit(cache=path is not None)(namespace[name])
    kernel.compile(signature)
    kernel.disable_compile()
    run: Callable[..., int] = kernel
    return run


def _digest(text: str) -> str:
    """Return the name of a kernel's folder."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numba", "llvmlite")]
    operations = [Path(m.__file__).read_text("utf-8") for m in _OPERATIONS if m.__file__]
    joined = "\n".join([*versions, *operations, text])
    return hashlib.sha256(joined.encode()).hexdigest()[:32]


def _prepare(place: Path, text: str) -> None:
    """Make the folder, empty it if it is damaged, and put the text there."""
    place.mkdir(parents=True, exist_ok=True)
    if not is_sound(place):
        for file in _files(place):
            file.unlink(missing_ok=True)
    if not (place / _TEXT).exists():
        # One time stamp for all who write it: Numba takes another as another text.
        _write(place / _TEXT, text, stamp=1)


def _files(place: Path) -> list[Path]:
    """Return the files of a kernel that the checksums describe."""
    return sorted(f for f in place.rglob("*") if f.suffix in {".py", ".nbi", ".nbc"})


def _checksums(place: Path) -> dict[str, str]:
    """Return the digest of each file, by its path in the folder."""
    return {
        str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in _files(place)
    }


def is_sound(place: Path) -> bool:
    """Return whether the folder is exactly as the last compilation left it."""
    try:
        written = json.loads((place / _CHECKSUMS).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return bool(written == _checksums(place))


def _write(path: Path, text: str, stamp: int | None = None) -> None:
    """Put a whole file in place at once."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        if stamp is not None:
            os.utime(temporary, (stamp, stamp))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
