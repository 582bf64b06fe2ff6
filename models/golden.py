"""The integers that a torch module computes at every integer point, in order of execution.

An integer point is a tensor that equals ``scale * integer``: the network input, the output of an
activation quantizer, the accumulator of a quantized layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import torch
from brevitas.nn.quant_layer import QuantNonLinearActLayer, QuantWeightBiasInputOutputLayer
from brevitas.quant_tensor import IntQuantTensor
from numpy.typing import NDArray
from torch import Tensor, nn

_FLOAT_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)


class PointKind(Enum):
    """What produces an integer point."""

    ACTIVATION = "activation"
    ACCUMULATOR = "accumulator"


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerPoint:
    """What one quantizer or one layer computed.

    Attributes:
        module: Name of the module in the network.
        kind: Activation or accumulator.
        integers: Shape ``(images, *shape)``; int8 in {-1, +1} for one-bit activations.
        scale: The tensor is ``scale * integers``; float64, a scalar or one value per channel.
        weight: Values that multiply in the network, float32; None for an activation.
    """

    module: str
    kind: PointKind
    integers: NDArray[np.signedinteger[Any]]
    scale: NDArray[np.float64]
    weight: NDArray[np.float32] | None = None


def capture(net: nn.Module, images: Tensor) -> tuple[list[IntegerPoint], Tensor]:
    """Return the integer points of ``net`` on ``images`` and its outputs.

    Args:
        net: Brevitas network; it is copied and not changed.
        images: Integers as float32, shape ``(images, *shape)``.

    Raises:
        ValueError: A layer is not quantized, has a bias, gets values that are no integers, or a
            quantizer has a zero point; the message names the layer.
    """
    net = copy.deepcopy(net).eval()
    points: list[IntegerPoint] = []
    for name, module in net.named_modules():
        if isinstance(module, QuantNonLinearActLayer):
            module.return_quant_tensor = True
            module.register_forward_hook(_activation_hook(name, points))
        elif isinstance(module, QuantWeightBiasInputOutputLayer):
            _check_layer(name, module)
            module.register_forward_hook(_accumulator_hook(name, points))
        elif isinstance(module, _FLOAT_LAYERS):
            raise ValueError(
                f"export: layer {name!r} is a float {type(module).__name__}; "
                "only quantized layers become hardware, use a binary one"
            )
    with torch.no_grad():
        outputs = net(images)
    return points, outputs.value if isinstance(outputs, IntQuantTensor) else outputs


def _check_layer(name: str, layer: Any) -> None:
    if not layer.weight_quant.is_quant_enabled:
        raise ValueError(f"export: layer {name!r} has float weights; give it a weight quantizer")
    if layer.bias is not None:
        raise ValueError(
            f"export: layer {name!r} has a bias, which no integer accumulator holds; "
            "set bias=False and let the BatchNorm after it shift"
        )


def _activation_hook(name: str, points: list[IntegerPoint]) -> Callable[..., None]:
    def record(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        integers, scale = _integers(output, f"activation {name!r}")
        is_bipolar = int(output.bit_width) == 1
        points.append(
            IntegerPoint(
                module=name,
                kind=PointKind.ACTIVATION,
                integers=integers.numpy().astype(np.int8 if is_bipolar else np.int32),
                scale=_per_channel(scale),
            )
        )

    return record


def _accumulator_hook(name: str, points: list[IntegerPoint]) -> Callable[..., None]:
    def record(layer: Any, args: tuple[Any, ...], output: Any) -> None:
        images, input_scale = _integers(args[0], f"input of layer {name!r}")
        quantized = layer.quant_weight()
        weight, weight_scale = _integers(quantized, f"weight of layer {name!r}")
        accumulator = layer.inner_forward_impl(images, weight, None)
        limit = torch.iinfo(torch.int32)
        if accumulator.min() < limit.min or accumulator.max() > limit.max:
            raise ValueError(f"export: the accumulator of layer {name!r} leaves 32 bits")
        scale = _per_channel(weight_scale * input_scale)
        value = output.value if isinstance(output, IntQuantTensor) else output
        channels = (-1, *[1] * (value.ndim - 2))
        if not torch.equal(
            torch.round(value.double() / torch.from_numpy(scale).reshape(channels)), accumulator
        ):
            raise ValueError(
                f"export: layer {name!r} does not compute the products of its integers; "
                "float32 has lost bits, reduce its inputs or its bit widths"
            )
        points.append(
            IntegerPoint(
                module=name,
                kind=PointKind.ACCUMULATOR,
                integers=accumulator.numpy().astype(np.int32),
                scale=scale,
                weight=quantized.value.numpy().astype(np.float32),
            )
        )

    return record


def _integers(value: Any, where: str) -> tuple[Tensor, Tensor]:
    """Return integers as float64 and their float64 scale; a plain tensor has scale 1."""
    if isinstance(value, IntQuantTensor):
        if (value.zero_point != 0).any():
            raise ValueError(f"export: {where} has a zero point; use a symmetric quantizer")
        scale = value.scale.detach().double()
        quotient = value.value.detach().double() / scale
        integers = torch.round(quotient)
        # float32 holds scale * integer to one part in 2^24
        is_integer = (quotient - integers).abs() <= 2.0**-22 * integers.abs()
    else:
        scale = torch.tensor(1.0, dtype=torch.float64)
        quotient = value.detach().double()
        integers = torch.round(quotient)
        is_integer = quotient == integers
    if not is_integer.all():
        index = tuple(int(i) for i in torch.argwhere(~is_integer)[0])
        raise ValueError(
            f"export: {where}: element {index} is {float(quotient[index])} steps of its grid, "
            "not an integer; put a quantizer before it"
        )
    return integers, scale


def _per_channel(scale: Tensor) -> NDArray[np.float64]:
    array = scale.numpy().astype(np.float64).reshape(-1)
    return array.reshape(()) if array.size == 1 else array
