"""SystemVerilog of the dataflow."""

from __future__ import annotations

from typing import Any

from ..config import Config
from .step import Step, Workspace


class Rtl(Step):
    """Writes the top level, its parameters and memory images beside the handwritten modules."""

    name = "rtl"
    summary = "write the SystemVerilog"

    def settings(self, config: Config) -> Any:
        """Return nothing: the dataflow says all."""
        return []

    def reads(self, config: Config) -> tuple[str, ...]:
        """Return the dataflow."""
        return ("dataflow.json", "dataflow.npz")

    def writes(self, config: Config) -> tuple[str, ...]:
        """Return the folder of sources."""
        return ("rtl",)

    def run(self, work: Workspace) -> None:
        """Emit."""
        from ...hw import storage  # noqa: PLC0415 (numba is slow to load)
        from ...hw.emit import emit  # noqa: PLC0415

        emit(storage.load(work.folder), work.output("rtl"))
