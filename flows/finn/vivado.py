"""What of Vivado and of FINN's own dependencies is here, and how far a build can go with it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from pathlib import Path

from ..tools import ToolNotFoundError
from .job import Product

# FINN calls the HLS compiler by the name that it has in the version of Vivado.
_LAST_VITIS_HLS = (2024, 2)
_DEPENDENCIES = ("finn-hlslib", "board_files")


def farthest_product() -> Product:
    """Return the last product for which everything is here."""
    products: tuple[Product, ...] = ("bitfile", "ip")
    return next((product for product in products if not missing(product)), "hdl")


def require(product: Product) -> None:
    """Raise unless everything for ``product`` is here.

    Raises:
        ToolNotFoundError: Something is not; the message says all that is not, and how to get it.
    """
    if absent := missing(product):
        raise ToolNotFoundError(
            f"finn.product: {product} needs {'; '.join(absent)}; or set finn.product to hdl"
        )


def missing(product: Product) -> list[str]:
    """Return what ``product`` needs and is not here."""
    if product == "hdl":
        return []
    absent = []
    if shutil.which("vivado") is None:
        absent.append("vivado on PATH (source settings64.sh of Vivado)")
    if product == "ip":
        return absent
    version = _vivado_version()
    if version is None:
        absent.append("XILINX_VIVADO with the version of Vivado in its path, as settings64.sh sets")
    compiler = "vitis-run" if version is not None and version > _LAST_VITIS_HLS else "vitis_hls"
    if shutil.which(compiler) is None:
        absent.append(f"{compiler} on PATH, which compiles FINN's DMA")
    for name in _DEPENDENCIES:
        if not (dependencies() / name).is_dir():
            absent.append(f"{dependencies() / name} (`finn deps update`, or FINN_DEPS)")
    return absent


def dependencies() -> Path:
    """Return the folder of what FINN's own command line downloads."""
    if folder := os.environ.get("FINN_DEPS"):
        return Path(folder)
    spec = importlib.util.find_spec("finn")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places), "finn") if places else "finn") / "finn_deps"


def _vivado_version() -> tuple[int, int] | None:
    found = re.search(r"\b(20\d{2})\.([12])\b", os.environ.get("XILINX_VIVADO", ""))
    return (int(found[1]), int(found[2])) if found else None
