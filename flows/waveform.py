"""Waveforms: Verilator's VCD as the much smaller FST that GTKWave and Surfer also read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .tools import BuildError, ToolNotFoundError

if TYPE_CHECKING:
    from ..hw.sim import Simulation


def vcd_to_fst(vcd: Path, fst: Path) -> None:
    """Write the scopes, signals and value changes of a VCD file as FST, whole or not at all.

    Args:
        vcd: As Verilator writes it: one declaration or value change a line.
        fst: File to write.

    Raises:
        ToolNotFoundError: The FST library is missing.
        BuildError: The VCD is damaged, or the FST cannot be written.
    """
    try:
        from pylibfst import ffi, lib  # noqa: PLC0415 (only who wants FST needs it)
    except ImportError as error:
        raise ToolNotFoundError(
            "FST waveforms need pylibfst: pip install 'popshift[rtl]', or ask for a .vcd"
        ) from error
    part = fst.with_name(f".{fst.name}.{os.getpid()}")
    context = lib.fstWriterCreate(os.fsencode(part), 1)
    if context == ffi.NULL:
        raise BuildError(f"{fst}: cannot be written; choose another file")
    writer = _Writer(lib, ffi, context)
    try:
        try:
            with vcd.open() as lines:
                for line in lines:
                    writer.take(line.split())
        finally:
            lib.fstWriterClose(context)
        if not writer.signals:
            raise BuildError(f"{vcd}: declares no signal; is it a VCD file?")
        part.replace(fst)
    except (ValueError, IndexError, KeyError) as error:
        raise BuildError(f"{vcd}: not a VCD file ({type(error).__name__}: {error})") from error
    finally:
        part.unlink(missing_ok=True)


def write_waveform(simulation: Simulation, path: Path) -> None:
    """Write the streams of a simulation as FST, or VCD if not named so, whole or not at all.

    Raises:
        BuildError: The FST cannot be written.
        ToolNotFoundError: The FST library is missing.
    """
    with tempfile.TemporaryDirectory(prefix="popshift-", dir=path.absolute().parent) as scratch:
        vcd = Path(scratch) / "trace.vcd"
        simulation.write_vcd(vcd)
        if path.suffix == ".fst":
            vcd_to_fst(vcd, path)
        else:
            vcd.replace(path)


class _Writer:
    """Passes the lines of a VCD on to the FST library.

    Attributes:
        signals: By VCD identifier, the handle and the width of the signal.
    """

    def __init__(self, lib: Any, ffi: Any, context: Any) -> None:
        self._lib, self._ffi, self._context = lib, ffi, context
        self.signals: dict[str, tuple[int, int]] = {}

    def take(self, words: list[str]) -> None:
        """Pass one line on.

        Raises:
            ValueError, IndexError, KeyError: It is no line of a VCD.
        """
        lib, context = self._lib, self._context
        match words:
            case ["$timescale", scale, *_]:
                lib.fstWriterSetTimescaleFromString(context, scale.encode())
            case ["$scope", _, name, "$end"]:
                module = lib.FST_ST_VCD_MODULE
                lib.fstWriterSetScope(context, module, name.encode(), self._ffi.NULL)
            case ["$upscope", "$end"]:
                lib.fstWriterSetUpscope(context)
            case ["$var", _, width, identifier, *name, "$end"]:
                self._declare(int(width), identifier, " ".join(name))
            case [time] if time[0] == "#":
                lib.fstWriterEmitTimeChange(context, int(time[1:]))
            case [vector, identifier] if vector[0] == "b":
                self._change(identifier, vector[1:])
            case [scalar] if scalar[0] in "01xz":
                self._change(scalar[1:], scalar[0])

    def _declare(self, width: int, identifier: str, name: str) -> None:
        alias, _ = self.signals.get(identifier, (0, width))
        lib = self._lib
        handle = lib.fstWriterCreateVar(
            self._context, lib.FST_VT_VCD_WIRE, lib.FST_VD_IMPLICIT, width, name.encode(), alias
        )
        self.signals.setdefault(identifier, (handle, width))

    def _change(self, identifier: str, value: str) -> None:
        handle, width = self.signals[identifier]
        self._lib.fstWriterEmitValueChange(self._context, handle, value.rjust(width, "0").encode())
