"""A data set cut in three, as integers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Subset:
    """Images with their classes.

    Attributes:
        images: Integers, int64, shape ``(images, *shape)``.
        labels: Classes, int64, shape ``(images,)``.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, other: Subset) -> Subset:
        return Subset(
            images=torch.cat([self.images, other.images]),
            labels=torch.cat([self.labels, other.labels]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSplit:
    """Images to learn from, to choose by, and to judge by; no image is in two of them.

    Attributes:
        name: Name of the data set.
        train: What gradients are computed on.
        val: What the best epoch is chosen by.
        test: What the accuracy is reported on, and nothing else.
        input_dtype: QONNX name of the smallest datatype that holds every image value.
        classes: Number of classes; labels are 0 to ``classes - 1``.
    """

    name: str
    train: Subset
    val: Subset
    test: Subset
    input_dtype: str
    classes: int

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return tuple(self.train.images.shape[1:])
