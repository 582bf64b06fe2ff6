"""Data sets as integer tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from .binarize import binarize
from .digits import digits, digits_8, digits_32
from .split import DataSplit, Subset

__all__ = ["DATASETS", "DataSplit", "Subset", "binarize", "load"]

DATASETS: Mapping[str, Callable[[], DataSplit]] = MappingProxyType(
    {"digits": digits, "digits-8": digits_8, "digits-32": digits_32}
)


def load(name: str) -> DataSplit:
    """Return the data set called ``name``, split the same way on every call.

    Raises:
        ValueError: ``name`` is unknown; the message lists the known ones.
    """
    if name not in DATASETS:
        raise ValueError(f"data: no data set {name!r}; known: {', '.join(sorted(DATASETS))}")
    return DATASETS[name]()
