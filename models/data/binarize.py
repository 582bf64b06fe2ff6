"""Integer images as bits, for networks whose input is binary."""

from __future__ import annotations

import torch

from .split import DataSplit


def binarize(data: DataSplit, threshold: int) -> DataSplit:
    """Return ``data`` with +1 where a value is at least ``threshold`` and -1 elsewhere, int8."""
    return data.changed(
        f"{data.name}>={threshold}",
        lambda images: 2 * (images >= threshold).to(torch.int8) - 1,
        input_dtype="BIPOLAR",
    )
