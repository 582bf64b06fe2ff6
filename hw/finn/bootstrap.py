"""Makes FINN importable on any machine, with or without Vivado, and registers our ops.

FINN expects to be started by its own command line, which clones repositories and needs Vivado. Its
library needs neither: it takes settings from the environment, and names of its RTL simulator that
only Vivado provides. ``start`` sets the first and puts placeholders for the second, which say so
when something calls them. No step that popshift runs does.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from pathlib import Path
from typing import Any

from ..errors import PopshiftError

VERSION = "1.6.1"
GET = "run `make finn`, or pip install 'popshift[finn]' and then pip install --no-deps finn-plus=="
NO_VIVADO = "no-vivado"


class FinnNotFoundError(PopshiftError, ImportError):
    """FINN is not installed, or is another version; the message says how to get it."""


def require() -> None:
    """Raise unless FINN is installed in the version whose interfaces are known here.

    Raises:
        FinnNotFoundError: It is not.
    """
    try:
        found = importlib.metadata.version("finn-plus")
    except importlib.metadata.PackageNotFoundError as error:
        raise FinnNotFoundError(f"FINN is not installed: {GET}{VERSION} mip==1.17.0") from error
    if found != VERSION:
        raise FinnNotFoundError(
            f"finn-plus {found} is installed, but popshift knows {VERSION}: {GET}{VERSION}"
        )


def start(build_folder: Path) -> None:
    """Make FINN importable and register an op of every stage; may be called again.

    Args:
        build_folder: Where FINN puts generated code; made if missing.

    Raises:
        FinnNotFoundError: FINN is not installed, or one of the packages it needs.
    """
    require()
    build_folder.mkdir(parents=True, exist_ok=True)
    os.environ["FINN_BUILD_DIR"] = str(build_folder.absolute())
    # A file that is not there: defaults, and never what ~/.finn happens to hold.
    os.environ["FINN_SETTINGS"] = str(build_folder.absolute() / "settings.yaml")
    # FINN asks for the name of this folder when a build ends.
    os.environ.setdefault("XILINX_VIVADO", NO_VIVADO)
    # Vivado shall write nothing into the home folder.
    os.environ.setdefault("XILINX_LOCAL_USER_DATA", "no")
    try:
        _replace_simulator()
        settings = importlib.import_module("finn.util.settings")
        settings.initialize_dummy_settings()
        # Tcl scripts of FINN look here.
        os.environ["FINN_RTLLIB"] = str(settings.get_settings().finn_rtllib)
        os.environ["FINN_CUSTOM_HLS"] = str(settings.get_settings().finn_custom_hls)
        importlib.import_module("popshift.hw.finn.ops").register()
    except ImportError as error:
        raise FinnNotFoundError(
            f"FINN cannot be loaded: {error}; {GET}{VERSION} mip==1.17.0"
        ) from error


def _replace_simulator() -> None:
    """Put a placeholder for each name that FINN would load from its compiled simulator."""
    xsi = importlib.import_module("finn.xsi")
    for name in xsi._LAZY_NAMES:
        if name not in vars(xsi):
            setattr(xsi, name, _placeholder(name))


def _placeholder(name: str) -> type:
    """Return a class that stands for ``name`` in annotations and refuses to be called."""

    def refuse(self: object, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"finn.xsi.{name} needs Vivado's simulator; verify by Verilator instead")

    return type(name, (), {"__init__": refuse})
