"""What the modules of a network ask of a training besides gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

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
        self._recipe = recipe

    def penalty(self) -> Tensor | float:
        """Return what is added to the loss."""
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
