"""A data set cut in three, as integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Subset:
    """Images with their classes.

    Attributes:
        images: Integers, shape ``(images, *shape)``.
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

    def changed(
        self, name: str, change: Callable[[Tensor], Tensor], *, input_dtype: str | None = None
    ) -> DataSplit:
        """Return the data set ``name`` with ``change`` applied to the images of each part."""
        train, val, test = (
            replace(subset, images=change(subset.images))
            for subset in (self.train, self.val, self.test)
        )
        dtype = self.input_dtype if input_dtype is None else input_dtype
        return replace(self, name=name, train=train, val=val, test=test, input_dtype=dtype)


def hold_out(subset: Subset, share: float) -> tuple[Subset, Subset]:
    """Return the rest and a ``share`` of each class, the same on every call."""
    order = np.random.default_rng(0).permutation(len(subset))
    labels = subset.labels.numpy()[order]
    is_held = np.zeros(len(subset), np.bool_)
    for label in np.unique(labels):
        members = order[labels == label]
        is_held[members[: round(len(members) * share)]] = True
    parts = (torch.from_numpy(np.flatnonzero(chosen)) for chosen in (~is_held, is_held))
    rest, held = (Subset(images=subset.images[part], labels=subset.labels[part]) for part in parts)
    return rest, held
