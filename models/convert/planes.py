"""Post-training binary coding: trained float weights as sums of planes of signs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..layers import Coding, PlanesConv2d, PlanesLinear
from ..precision import WeightPrecision
from ..quant.importance import attention_importance
from ..quant.planes import BinaryCodingQuant
from .layers import converted, replaced


def convert_to_planes(
    net: nn.Module,
    planes: int,
    *,
    coding: Coding | None = None,
    images: Tensor | None = None,
    steps: int = 100,
) -> nn.Module:
    """Return a copy of any network whose float layers have weights of planes.

    It is :func:`convert_layers` for any coding, where a network of the zoo has the few that its
    precisions name. With ``images`` each weight matters as much as self-attention over the kernels
    says, which is trained to keep the outputs of its layer.

    Args:
        net: It is not changed.
        planes: Planes of a weight, 1 to 8.
        coding: How planes and scales are found.
        images: Inputs of the network, ``(images, *shape)``, for weights by attention.
        steps: Steps of training of each layer's attention.

    Raises:
        ValueError: The network has no float layer, or an argument is out of its range.

    References:
        arXiv:1802.00150; see :mod:`popshift.models.quant.importance` for the weighting.
    """
    given: Coding = coding or {}
    if images is not None and given.get("importance") is not None:
        raise ValueError("planes: give images, or an importance in coding, not both")
    layers: dict[str, Any] = {
        name: module
        for name, module in net.named_modules()
        if type(module) in (nn.Linear, nn.Conv2d)
    }
    if not layers:
        raise ValueError("planes: the network has no float linear or convolution layer")
    inputs = {} if images is None else _inputs_of(net, images, list(layers))
    new: dict[str, nn.Module] = {}
    for name, layer in layers.items():
        own: Coding = {**given}
        if name in inputs:
            quantizer = BinaryCodingQuant(planes, **own)
            own["importance"] = attention_importance(
                layer,
                inputs[name],
                planes=planes,
                group_size=quantizer.group_size(tuple(layer.weight.shape)),
                steps=steps,
            )
        new[name] = converted(name, layer, _precision(planes, own))
    return replaced(net, new)


def _precision(planes: int, coding: Coding) -> WeightPrecision:
    return WeightPrecision(
        linear=PlanesLinear,
        conv2d=PlanesConv2d,
        options=lambda _: {"planes": planes, "coding": coding},
    )


@torch.no_grad()
def _inputs_of(net: nn.Module, images: Tensor, names: list[str]) -> dict[str, Tensor]:
    """Return what each layer gets for ``images``."""
    net = copy.deepcopy(net).eval()
    inputs: dict[str, Tensor] = {}

    def recorder(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, args: inputs.__setitem__(name, args[0])

    for name in names:
        net.get_submodule(name).register_forward_pre_hook(recorder(name))
    net(images.float())
    return inputs
