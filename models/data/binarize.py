"""Integer images as bits, for networks whose input is binary."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from .split import DataSplit, Subset


def binarize(data: DataSplit, threshold: int) -> DataSplit:
    """Return ``data`` with +1 where a value is at least ``threshold`` and -1 elsewhere."""

    def bits(subset: Subset) -> Subset:
        images: Tensor = 2 * (subset.images >= threshold).to(subset.images.dtype) - 1
        return replace(subset, images=images)

    return replace(
        data,
        name=f"{data.name}>={threshold}",
        train=bits(data.train),
        val=bits(data.val),
        test=bits(data.test),
        input_dtype="BIPOLAR",
    )
