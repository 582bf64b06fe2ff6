"""Which weights are left out, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def smallest_share(weight: Tensor, share: float) -> Tensor:
    """Return False at the ``round(share * n)`` smallest magnitudes, True elsewhere.

    >>> smallest_share(torch.tensor([0.5, -0.1, 2.0, -0.2]), 0.5).tolist()
    [True, False, True, False]
    """
    count = round(share * weight.numel())
    kept = torch.ones(weight.numel(), dtype=torch.bool, device=weight.device)
    kept[weight.detach().abs().flatten().argsort(stable=True)[:count]] = False
    return kept.reshape(weight.shape)


def equal_magnitudes(weight: Tensor, kept: Tensor) -> Tensor:
    """Return the signs of the kept weights times their root mean square, 0 elsewhere.

    Its direction is that of a ternary vector, and its length that of the kept weights.

    Args:
        weight: Any shape.
        kept: Bool, same shape; a kept weight that is 0 counts as positive.
    """
    size = weight[kept].square().mean().sqrt() if kept.any() else weight.new_zeros(())
    signs = torch.where(weight >= 0, size, -size)
    return torch.where(kept, signs, 0.0)


@dataclass(frozen=True, kw_only=True)
class PruneAndReset:
    """Steps at which the smallest weights are pruned and the others made equal in magnitude.

    Step i of n comes after ``i / n`` of the first ``until`` of the training, and prunes
    ``i / n`` of ``share``.

    Attributes:
        share: Share of the weights that is pruned at last.
        steps: Number of steps.
        until: Share of the training after which nothing is pruned.

    Raises:
        ValueError: A field is out of its range.

    References:
        Liu et al., "Hyperspherical Quantization", WACV 2023, arXiv:2212.12653, rises to about 0.7;
        the schedule in between is ours. Goal there: 30 to 40 times smaller than float.
    """

    share: float = 0.7
    steps: int = 4
    until: float = 0.6

    def __post_init__(self) -> None:
        for field, value in (("share", self.share), ("until", self.until)):
            if not 0 < value < 1:
                raise ValueError(f"prune and reset: {field} must be in (0, 1), got {value}")
        if self.steps < 1:
            raise ValueError(f"prune and reset: steps must be >= 1, got {self.steps}")

    def share_at(self, progress: float) -> float:
        """Return the share that is pruned after a share ``progress`` of the training.

        >>> schedule = PruneAndReset(share=0.6, steps=3, until=0.5)
        >>> [round(schedule.share_at(p), 1) for p in (0.0, 0.17, 0.34, 0.5, 1.0)]
        [0.0, 0.2, 0.4, 0.6, 0.6]
        """
        done = min(math.floor(progress / self.until * self.steps + 1e-9), self.steps)
        return self.share * done / self.steps
