"""What the modules of a network ask of a training besides gradients."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..layers import precisions_of, set_precision
from ..quant import clip_latent_weights, latent_weights
from .recipes import Recipe


class Hooks:
    """The wishes of all modules of a network.

    A module may have any of these; the loop knows no class of modules.

    - ``weight_quant.tensor_quant.latent_range``, two floats: the latent weights are clamped to
      them after every step.
    - ``undecayed_parameters()``: its parameters that weight decay would pull in a wrong direction.
    - ``penalty()``, a scalar: the recipe's ``penalty`` times it is added to the loss.
    - ``scale_gradients(rate)``: called before every step with the recipe's ``layer_rate``.
    - ``before_epoch(progress)``: called before every epoch with the share of epochs done.
    - ``settled_after``, a share of the epochs that changes of this kind take: epochs before count
      as the best only until then.

    Nested layers are trained in all their precisions at once: the loss is the mean of the losses
    of all of them.

    Args:
        net: Network that is trained.
        recipe: Settings of the training.
    """

    def __init__(self, net: nn.Module, recipe: Recipe) -> None:
        modules: list[Any] = list(net.modules())
        self._latent = latent_weights(net)
        self._penalties = [m.penalty for m in modules if recipe.penalty and hasattr(m, "penalty")]
        self._scalers = [
            m.scale_gradients
            for m in modules
            if recipe.layer_rate and hasattr(m, "scale_gradients")
        ]
        settled_after = max(
            (m.settled_after for m in modules if hasattr(m, "settled_after")), default=0
        )
        self.settled_epoch = min(1 + math.ceil(settled_after * recipe.epochs), recipe.epochs)
        self._starters = [m.before_epoch for m in modules if hasattr(m, "before_epoch")]
        self._recipe = recipe
        self._net = net
        self._precisions = precisions_of(net)

    def before_epoch(self, epoch: int) -> None:
        """Tell the modules that epoch ``epoch``, 1 for the first, begins."""
        for start in self._starters:
            start((epoch - 1) / self._recipe.epochs)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return what a step lowers; the longest precision is in use afterwards."""
        if not self._precisions:
            loss = self._recipe.compute_loss(self._net(images), labels)
        else:
            losses = []
            for bits in self._precisions:
                set_precision(self._net, bits)
                losses.append(self._recipe.compute_loss(self._net(images), labels))
            loss = torch.stack(losses).mean()
        return loss + self._penalty()

    def _penalty(self) -> Tensor | float:
        total: Tensor | float = sum(penalty() for penalty in self._penalties)
        return self._recipe.penalty * total

    def before_step(self) -> None:
        """Scale the gradients of the layers that want it."""
        for scale in self._scalers:
            scale(self._recipe.layer_rate)

    def after_step(self) -> None:
        """Keep the latent weights in their range."""
        clip_latent_weights(self._latent)


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer of ``recipe`` over all parameters of ``net`` that are trained."""
    modules: list[Any] = [m for m in net.modules() if hasattr(m, "undecayed_parameters")]
    undecayed = {id(p) for module in modules for p in module.undecayed_parameters()}
    trained = [p for p in net.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if id(p) not in undecayed]},
        {"params": [p for p in trained if id(p) in undecayed], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    if recipe.optimizer == "radam":
        return torch.optim.RAdam(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)
    return torch.optim.Adam(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
