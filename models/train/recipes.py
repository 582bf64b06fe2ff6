"""How to train: loss, optimizer settings and learning-rate schedule, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional

from .losses import squared_hinge

OptimizerName = Literal["adam", "radam", "sgd"]
LossName = Literal["cross_entropy", "squared_hinge"]
Schedule = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of one training.

    Attributes:
        name: Name of the recipe.
        loss: ``cross_entropy`` or ``squared_hinge``.
        epochs: Passes over the training images.
        batch_size: Images a step; an incomplete last batch is left out.
        lr: Learning rate of the first step.
        schedule: How the learning rate falls to 0 over all steps.
        label_smoothing: Share of the target spread over all classes (cross-entropy only).
        optimizer: ``adam``, ``radam`` or ``sgd``.
        momentum: Share of the last step that ``sgd`` repeats.
        weight_decay: Pull of all parameters to 0, except those that a layer exempts.
        penalty: Factor of the penalties that layers add to the loss.
        layer_rate: Root mean square of the gradients of layers that scale them, such as l1
            layers; 0 leaves gradients as they are.

    Raises:
        ValueError: A field is out of its range.
    """

    name: str
    loss: LossName = "cross_entropy"
    epochs: int = 100
    batch_size: int = 64
    lr: float = 0.001
    schedule: Schedule = "linear"
    label_smoothing: float = 0.0
    optimizer: OptimizerName = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    penalty: float = 0.0
    layer_rate: float = 0.0

    def __post_init__(self) -> None:
        for field, value, kind in (
            ("loss", self.loss, LossName),
            ("schedule", self.schedule, Schedule),
            ("optimizer", self.optimizer, OptimizerName),
        ):
            if value not in get_args(kind):
                raise ValueError(
                    f"recipe: {field}={value!r} is none of {', '.join(get_args(kind))}"
                )
        if self.epochs < 1:
            raise ValueError(f"recipe: epochs must be >= 1, got {self.epochs}")
        if self.batch_size < 2:
            raise ValueError(f"recipe: BatchNorm needs batch_size >= 2, got {self.batch_size}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"recipe: lr must be > 0 and finite, got {self.lr}")
        for field in ("label_smoothing", "momentum"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"recipe: {field} must be in [0, 1), got {getattr(self, field)}")
        for field in ("weight_decay", "penalty", "layer_rate"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(
                    f"recipe: {field} must be >= 0 and finite, got {getattr(self, field)}"
                )
        if self.label_smoothing and self.loss != "cross_entropy":
            raise ValueError(f"recipe: loss={self.loss!r} takes no label_smoothing; set it to 0")

    def compute_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of ``(images, classes)`` logits for ``(images,)`` labels."""
        if self.loss == "squared_hinge":
            return squared_hinge(logits, labels)
        return functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def learning_rate(self, progress: float) -> float:
        """Return the learning rate after a share ``progress`` in [0, 1] of all steps."""
        if self.schedule == "linear":
            return self.lr * (1 - progress)
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * progress))
        return self.lr


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            # Latent weights live in [-1, 1]: a large rate is what lets signs change at all, and
            # smoothing keeps the loss from rewarding ever larger margins that signs cannot give.
            Recipe(name="bnn", lr=0.03, label_smoothing=0.1),
            # The loss of arXiv:1602.02830.
            Recipe(name="bnn-hinge", loss="squared_hinge", lr=0.1),
            Recipe(name="float", lr=0.003, epochs=60, label_smoothing=0.1),
            # Latent weights stay near their first size, as float ones: so does the rate.
            Recipe(name="shift-q", lr=0.003, epochs=60, label_smoothing=0.1),
            # Exponents must travel several units; the rectification of RAdam is the authors'.
            Recipe(name="shift-ps", optimizer="radam", lr=0.03, epochs=60, label_smoothing=0.1),
            # After a conversion from float: small steps, the authors' fifteen epochs.
            Recipe(name="shift-convert", lr=0.001, epochs=15, label_smoothing=0.1),
            # The penalty is the paper's; it wants SGD at 0.1, which these few steps do not need.
            Recipe(
                name="s3",
                lr=0.003,
                schedule="cosine",
                epochs=60,
                penalty=1e-5,
                label_smoothing=0.1,
            ),
            # All of arXiv:1912.13200 but the epochs: distances have gradients of very different
            # size from layer to layer, which only the scaling makes comparable.
            Recipe(
                name="adder",
                optimizer="sgd",
                lr=0.1,
                schedule="cosine",
                epochs=60,
                weight_decay=5e-4,
                layer_rate=0.2,
                label_smoothing=0.1,
            ),
        )
    }
)
