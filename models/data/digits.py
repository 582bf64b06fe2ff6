"""The handwritten digits that scikit-learn ships: 1,797 images of 8 x 8 pixels, 0 to 16."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from .split import DataSplit, Subset
from .upscale import upscale

_TEST_IMAGES = 360
_VAL_IMAGES = 180
_SEED = 0
_TOP = 16  # the largest pixel


def digits() -> DataSplit:
    """Return the digits as rows of 64 pixels: 1,257 to train, 180 to validate, 360 to test.

    The split is the same on every call and keeps the share of each class.
    """
    images, labels = load_digits(return_X_y=True)
    indices = np.arange(len(labels))
    rest, test = _stratified(indices, labels, _TEST_IMAGES)
    train, val = _stratified(rest, labels, _VAL_IMAGES)

    def subset(chosen: NDArray[np.int64]) -> Subset:
        return Subset(
            images=torch.from_numpy(images[chosen].astype(np.int64)),
            labels=torch.from_numpy(labels[chosen].astype(np.int64)),
        )

    return DataSplit(
        name="digits",
        train=subset(train),
        val=subset(val),
        test=subset(test),
        input_dtype="UINT5",
        classes=10,
    )


def digits_8() -> DataSplit:
    """Return the digits as images of 1 x 8 x 8 pixels, split as :func:`digits` does."""
    return digits().changed("digits-8", lambda rows: rows.reshape(-1, 1, 8, 8))


def digits_32() -> DataSplit:
    """Return the digits as images of 3 x 32 x 32 bytes, as networks for CIFAR-10 take them.

    The pixels are interpolated to four times the size and stretched to 0 to 255; the three
    channels are the same.
    """

    def enlarge(rows: Tensor) -> Tensor:
        pixels = upscale(rows.numpy().reshape(-1, 8, 8), factor=4, top=_TOP, new_top=255)
        return torch.from_numpy(pixels)[:, None].repeat(1, 3, 1, 1).to(torch.uint8)

    return digits().changed("digits-32", enlarge, input_dtype="UINT8")


def _stratified(
    indices: NDArray[np.int64], labels: NDArray[np.int64], held_out: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    kept, out = train_test_split(
        indices, test_size=held_out, random_state=_SEED, stratify=labels[indices]
    )
    return np.sort(kept), np.sort(out)
