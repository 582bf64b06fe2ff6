"""PyTorch + Brevitas: networks, data, training, export to QONNX.

``zoo.create`` makes a network, ``data.load`` integer images, ``train.fit`` trains, ``convert``
turns float weights into those of few bits, ``export`` writes the QONNX file and the integers that
every later step must reproduce.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # Brevitas remarks on import that an optional package is missing, which concerns no binary layer
    warnings.filterwarnings("ignore", message="fast_hadamard_transform")
    import brevitas.export  # noqa: F401

from . import convert, data, layers, ops, precision, quant, train, zoo
from .export import ExportResult, export

__all__ = [
    "ExportResult",
    "convert",
    "data",
    "export",
    "layers",
    "ops",
    "precision",
    "quant",
    "train",
    "zoo",
]
