"""Data sets as integer tensors.

``digits`` ships with scikit-learn: rows of 64 pixels 0 to 16; ``digits-8`` has them as images of
1 x 8 x 8, ``digits-32`` enlarged to 3 x 32 x 32 bytes. The others are read from a folder with the
published files: ``mnist`` (rows of 784 bytes), ``mnist-bits`` (rows of 784 bits), ``mnist-28``
(1 x 28 x 28 bytes), ``cifar10`` (3 x 32 x 32 bytes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from .binarize import binarize
from .cifar10 import cifar10
from .digits import digits, digits_8, digits_32
from .mnist import mnist, mnist_28, mnist_bits
from .split import DataSplit, Subset

__all__ = ["DATASETS", "DataSet", "DataSplit", "Subset", "binarize", "load"]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """How a data set is loaded: of itself, or from a folder with its published files."""

    shipped: Callable[[], DataSplit] | None = None
    from_folder: Callable[[Path], DataSplit] | None = None

    @property
    def is_shipped(self) -> bool:
        """Whether it needs no folder."""
        return self.shipped is not None


DATASETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "digits": DataSet(shipped=digits),
        "digits-8": DataSet(shipped=digits_8),
        "digits-32": DataSet(shipped=digits_32),
        "mnist": DataSet(from_folder=mnist),
        "mnist-bits": DataSet(from_folder=mnist_bits),
        "mnist-28": DataSet(from_folder=mnist_28),
        "cifar10": DataSet(from_folder=cifar10),
    }
)


def load(name: str, *, folder: str | Path | None = None) -> DataSplit:
    """Return the data set called ``name``, split the same way on every call.

    Args:
        name: A key of ``DATASETS``.
        folder: Folder with the published files, of a data set that is not shipped.

    Raises:
        ValueError: ``name`` is unknown, ``folder`` is missing or needless, or its files are
            missing, damaged or not the published ones.
    """
    if name not in DATASETS:
        raise ValueError(f"data: no data set {name!r}; known: {', '.join(DATASETS)}")
    data_set = DATASETS[name]
    if data_set.shipped is not None:
        if folder is not None:
            raise ValueError(f"data: {name} is shipped and takes no folder")
        return data_set.shipped()
    if folder is None:
        raise ValueError(f"data: {name} is not shipped; pass folder=, with its published files")
    assert data_set.from_folder is not None
    return data_set.from_folder(Path(folder))
