"""Says whether two build folders hold the same accelerator: integers, timing, bitstream."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# What depends on the machine or the moment, not on the accelerator.
VOLATILE = frozenset({"steps", "tools"})
FILES = ("model.onnx", "dataflow.json", "verify.json", "timing.json")


def differences(one: Any, other: Any, place: str = "report.json") -> list[str]:
    """Return one line for each value of ``one`` that ``other`` has not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in sorted(one.keys() | other.keys())
            for line in differences(one.get(key), other.get(key), f"{place}: {key}")
        ]
    return [] if one == other else [f"{place}: {one!r} outside, {other!r} inside"]


def main(one: Path, other: Path) -> int:
    """Compare two build folders, print the differences, return the exit status."""
    reports = [json.loads((folder / "report.json").read_text()) for folder in (one, other)]
    kept = [{k: v for k, v in report.items() if k not in VOLATILE} for report in reports]
    lines = differences(*kept)
    for name in FILES:
        if (one / name).read_bytes() != (other / name).read_bytes():
            lines.append(f"{name}: the files differ")
    for line in lines:
        print(f"same_build: {line}", file=sys.stderr)
    if not lines:
        bitstream = kept[0].get("bitstream") or {}
        print(f"same integers, cycles and bitstream ({bitstream.get('sha256', 'none')})")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
