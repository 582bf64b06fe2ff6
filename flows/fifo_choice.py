"""The choice of FIFOs: a word, a number, or the beats by stream, here or in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .yaml_file import read_yaml

FIFO_EFFORTS = ("throughput", "minimal")
MAX_FIFO_DEPTH = 65536

FifoChoice = str | int | dict[str, int]
"""One of ``FIFO_EFFORTS``, the beats of all FIFOs, or the beats by stream."""


def read_fifos(value: Any, base: Path) -> FifoChoice:
    """Return the choice of FIFOs that ``value`` is, or that is in the file that it names.

    Args:
        value: One of ``FIFO_EFFORTS``, a number, a mapping, or a path.
        base: Folder that a relative path starts from.

    Raises:
        ValueError: It is none of these, or a depth is out of range.
        ConfigError: The file is no YAML.
    """
    if isinstance(value, str) and value in FIFO_EFFORTS:
        return value
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, str):
        path = (base / Path(value).expanduser()).absolute()
        if not path.is_file():
            raise ValueError(
                f"must be {' or '.join(FIFO_EFFORTS)}, a number of beats, or the beats of each "
                f"stream, here or in a file, got {value!r}, and there is no file {path}"
            )
        value = read_yaml(path)
        if isinstance(value, dict) and isinstance(value.get("depths"), dict):
            value = value["depths"]
    given = value if isinstance(value, dict) else {"": value}
    for stream, depth in given.items():
        where = f"{stream}: " if stream else ""
        if isinstance(depth, bool) or not isinstance(depth, int):
            raise ValueError(f"{where}must be a number of beats, got {depth!r}")
        if not 0 <= depth <= MAX_FIFO_DEPTH:
            raise ValueError(f"{where}must be 0 to {MAX_FIFO_DEPTH} beats, got {depth}")
    return value if isinstance(value, dict) else int(value)
