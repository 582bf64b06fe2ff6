"""The handwritten digits that scikit-learn ships: 1,797 images of 8 x 8 pixels, 0 to 16."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from .split import DataSplit, Subset

_TEST_IMAGES = 360
_VAL_IMAGES = 180
_SEED = 0


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


def _stratified(
    indices: NDArray[np.int64], labels: NDArray[np.int64], held_out: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    kept, out = train_test_split(
        indices, test_size=held_out, random_state=_SEED, stratify=labels[indices]
    )
    return np.sort(kept), np.sort(out)
