"""Layers of few bits in place of trained float ones, without data or with a few images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .. import zoo
from ..layers import AdderConv2d, AdderLinear, ChannelBias, GroupedAdder, PositiveScale
from ..precision import WEIGHTS, Surroundings, WeightPrecision
from ..quant.adder import RangeOfInputs, quantize_filters

_BATCH = 256


def convert_network(net: nn.Module, *, weight: str, act: str | None = None) -> nn.Module:
    """Return the twin of a network of the zoo with weights, and activations, of other precision.

    Each weight becomes the nearest one that the precision has: with ``shift-qN`` and ``shift-psN``
    ``sign(w) * 2^round(log2 |w|)``, magnitudes above 1 become 1.

    Args:
        net: Network of the zoo, usually with float weights; it is not changed.
        weight: Precision of the weights, a key of ``popshift.models.precision.WEIGHTS``.
        act: Precision of the activations, if it changes.

    Raises:
        ValueError: ``net`` is not of the zoo, or a precision is unknown or has no conversion.

    References:
        Elhoushi et al., "DeepShift", CVPR Workshops 2021, arXiv:1905.13298, section 4.
    """
    options = zoo.describe(net)
    if not options:
        raise ValueError("convert: the network is not of the zoo; use convert_layers")
    _check_takes_float(weight)
    changes: dict[str, Any] = {"weight": weight, "act": options["act"] if act is None else act}
    if "pad_value" in options and options["weight"] == "float" and changes["act"] != "binary":
        changes["pad_value"] = 0  # as float convolutions pad
    twin = zoo.create(**{**options, **changes})
    copy_weights(net, twin)
    return twin.train(net.training)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give ``target`` the weights and statistics of ``source``, module by module of one name.

    Weights become the nearest ones that the layers of ``target`` have. A ``PositiveScale`` that
    ``source`` lacks becomes 1.

    Raises:
        ValueError: ``target`` lacks a module, or one has another shape.
    """
    modules = dict(target.named_modules())
    for name, module in source.named_modules():
        if not _has_tensors(module):
            continue
        if name not in modules:
            raise ValueError(f"convert: the new network has no {name!r}")
        try:
            if _is_layer(module):
                _set_weight(modules[name], module.weight)
                _set_bias(modules.pop(name), module.bias)
            else:
                modules.pop(name).load_state_dict(module.state_dict())
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"convert: {name!r} does not fit: {error}") from error
    known = dict(source.named_modules())
    for name, module in modules.items():
        if isinstance(module, PositiveScale) and name not in known:
            nn.init.zeros_(module.log_scale)


def convert_layers(net: nn.Module, weight: str, *, keep: Collection[str] = ()) -> nn.Module:
    """Return a copy of any network whose float layers have weights of few bits.

    ``nn.Linear`` and ``nn.Conv2d`` are replaced; a bias goes into a module behind the layer. The
    weights become what :func:`convert_network` says.

    Args:
        net: It is not changed.
        weight: Precision of the weights, a key of ``popshift.models.precision.WEIGHTS``.
        keep: Names of layers to leave as they are.

    Raises:
        ValueError: A name is unknown, or a layer cannot be converted.
    """
    _check_takes_float(weight)
    if WEIGHTS[weight].needs_grid:
        raise ValueError(f"convert: weight={weight!r} depends on the inputs; use quantize_adder")
    layers = {
        name: module
        for name, module in net.named_modules()
        if type(module) in (nn.Linear, nn.Conv2d)
    }
    for name in keep:
        if name not in layers:
            raise ValueError(f"convert: keep has {name!r}; layers: {', '.join(layers)}")
    return replaced(
        net,
        {
            name: converted(name, layer, WEIGHTS[weight])
            for name, layer in layers.items()
            if name not in keep
        },
    )


def quantize_adder(
    net: nn.Module, images: Tensor, *, bits: int = 4, groups: int = 4, quantile: float = 0.9997
) -> nn.Module:
    """Return a copy of a float adder network with weights and inputs of a few bits.

    Some images give the ranges of the layers' inputs; no training follows. Filters of similar
    range share the step of their inputs, see :class:`popshift.models.layers.GroupedAdder`.
    Filters whose weights do not reach as far as the inputs clip these, by the paper's rule; trained
    ones reach farther. To be exported, a network needs quantized activations in front of its
    poolings, ``uint8`` for one.

    Goals, by the paper: ImageNet adder ResNet-18 66.5 % with four bits; CIFAR-10 ResNet-20 91.36,
    91.21, 90.86 and 90.27 % with 8, 6, 5 and 4 bits.

    Args:
        net: Network with ``AdderLinear`` and ``AdderConv2d`` of float weights, whose inputs are
            never negative; it is not changed.
        images: Integers, shape ``(images, *shape)``.
        bits: Bits of weights and inputs, 2 to 8.
        groups: Groups of filters of a layer, at most; convolutions of several groups of channels
            have one.
        quantile: Share of a layer's inputs in a batch that are not clipped as outliers.

    Raises:
        ValueError: There is no such layer, or a layer cannot be quantized; names the layer.

    References:
        Nie et al., "Redistribution of Weights and Activations for AdderNet Quantization",
        NeurIPS 2022, arXiv:2212.10200.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"adder: bits must be 2 to 8, got {bits}")
    if groups < 1:
        raise ValueError(f"adder: groups must be >= 1, got {groups}")
    layers = {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, AdderLinear | AdderConv2d)
        and not module.weight_quant.is_quant_enabled
    }
    if not layers:
        raise ValueError("adder: the network has no adder layer with float weights")
    ranges = _ranges_of_inputs(net, images, layers, quantile)
    quantized: dict[str, nn.Module] = {}
    for name, layer in layers.items():
        least, largest = ranges[name].least, ranges[name].largest
        if least < 0 or largest == 0:
            raise ValueError(
                f"adder: the inputs of layer {name!r} reach from {least} to {largest}; "
                "they must not be negative, nor all 0: put a ReLU in front"
            )
        if getattr(layer, "pad_value", 0):
            raise ValueError(f"adder: layer {name!r} pads with {layer.pad_value}; use pad_value=0")
        parts = quantize_filters(
            layer.weight,
            bits=bits,
            largest_input=largest,
            groups=groups if getattr(layer, "groups", 1) == 1 else 1,
        )
        quantized[name] = GroupedAdder(layer, parts, bits=bits)
    return replaced(net, quantized)


def _check_takes_float(weight: str) -> None:
    if weight not in WEIGHTS:
        raise ValueError(f"convert: weight={weight!r} is none of {', '.join(WEIGHTS)}")
    if not WEIGHTS[weight].takes_float:
        raise ValueError(
            f"convert: weight={weight!r} has no scale that float weights would fit; "
            "train it from scratch"
        )


@torch.no_grad()
def _ranges_of_inputs(
    net: nn.Module, images: Tensor, layers: Collection[str], quantile: float
) -> dict[str, RangeOfInputs]:
    """Return the ranges of the inputs of some layers on ``images``."""
    net = copy.deepcopy(net).eval()
    ranges = {name: RangeOfInputs(quantile) for name in layers}

    def recorder(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda _module, args: ranges[name].add(args[0])

    for name in layers:
        net.get_submodule(name).register_forward_pre_hook(recorder(name))
    for batch in images.split(_BATCH):
        net(batch.float())
    return ranges


def replaced(net: nn.Module, new: dict[str, nn.Module]) -> nn.Module:
    """Return a copy of ``net`` with some modules replaced, in the mode of ``net``."""
    net = copy.deepcopy(net)
    if "" in new:
        return new[""].train(net.training)
    for name, module in new.items():
        parent, _, child = name.rpartition(".")
        setattr(net.get_submodule(parent), child, module.train(net.training))
    return net


def converted(name: str, layer: nn.Module, precision: WeightPrecision) -> nn.Module:
    """Return a layer of another precision with the weights of the float layer ``name``."""
    options = precision.options(Surroundings(clip=1.0, inputs=None))
    new: Any
    if isinstance(layer, nn.Conv2d):
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise ValueError(
                f"convert: layer {name!r} pads by {layer.padding_mode!r}, {layer.padding!r}; "
                "use zeros and a number of rows and columns"
            )
        new = precision.conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            **options,
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
        )
    else:
        assert isinstance(layer, nn.Linear)
        new = precision.linear(layer.in_features, layer.out_features, **options)
    _set_weight(new, layer.weight)
    return new if layer.bias is None else nn.Sequential(new, ChannelBias(layer.bias))


@torch.no_grad()
def _set_weight(layer: Any, weight: Tensor) -> None:
    """Give ``layer`` the nearest weights that it has."""
    if layer.weight.shape != weight.shape:
        raise ValueError(f"its weight is {tuple(weight.shape)}, not {tuple(layer.weight.shape)}")
    if parametrize.is_parametrized(layer, "weight"):
        layer.weight = weight.detach().clone()
    else:
        layer.weight.copy_(weight)
    quantizer: Any = getattr(getattr(layer, "weight_quant", None), "tensor_quant", None)
    if hasattr(quantizer, "fit"):
        quantizer.fit(layer.weight)


@torch.no_grad()
def _set_bias(layer: Any, bias: Tensor | None) -> None:
    """Give ``layer`` the bias, if there is one."""
    if (layer.bias is None) != (bias is None):
        raise ValueError("only one of the two has a bias")
    if bias is not None:
        layer.bias.copy_(bias)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


def _has_tensors(module: nn.Module) -> bool:
    """Return whether a module has parameters or buffers of its own."""
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return bool(own)
