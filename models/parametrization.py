"""Weights that are functions of other parameters, and how to make them plain again."""

from __future__ import annotations

from typing import Any

from torch import nn


def make_plain(layer: Any) -> None:
    """Make the parametrized ``weight`` of ``layer`` a plain parameter with the values it has.

    ``parametrize.remove_parametrizations`` would take the weight from the class, which ``layer``
    shares with every copy of it.
    """
    weight = nn.Parameter(layer.weight.detach().clone())
    layer.__class__ = type(layer).__bases__[0]
    del layer.parametrizations
    layer.weight = weight
