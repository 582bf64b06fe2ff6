"""Losses that torch does not have."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def squared_hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of ``max(0, 1 - t * y)^2``, t = +1 for the class and -1 for the others.

    Args:
        logits: y, shape ``(images, classes)``.
        labels: Classes, int64, shape ``(images,)``.

    References:
        Hubara et al., "Binarized Neural Networks", NIPS 2016, arXiv:1602.02830, section 2.
    """
    target = functional.one_hot(labels, logits.shape[1]) * 2.0 - 1.0
    return (1 - target * logits).clamp_min(0).square().mean()
