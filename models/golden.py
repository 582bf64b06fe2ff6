"""The integers that a torch module computes at every integer point, in order of execution.

An integer point is a tensor that equals ``scale * integer``: the network input, the output of an
activation quantizer, the accumulator of a quantized layer, the maximum or sum of a pooling, the sum
of two branches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
import torch
from brevitas.nn.quant_layer import QuantNonLinearActLayer, QuantWeightBiasInputOutputLayer
from brevitas.quant_tensor import IntQuantTensor
from numpy.typing import NDArray
from torch import Tensor, nn

from .blocks.group import ChannelRoll, ChannelShuffle
from .blocks.residual import ResidualSum
from .layers import PaddedConv2d

_FLOAT_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
_MAX_POOLS = (nn.MaxPool2d,)
_AVERAGE_POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class PointKind(Enum):
    """What produces an integer point."""

    ACTIVATION = "activation"
    ACCUMULATOR = "accumulator"
    POOL = "pool"
    SUM = "sum"


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerPoint:
    """What one quantizer or one layer computed.

    Attributes:
        module: Name of the module in the network.
        kind: Activation, accumulator, pooling or sum.
        integers: Shape ``(images, *shape)``; int8 in {-1, +1} for one-bit activations.
        scale: The tensor is ``scale * integers``; float64, a scalar or one value per channel.
        weight: Values that multiply in the network, float32; None for others than accumulators.
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
        ValueError: A layer is not quantized, has a bias, gets values that are no integers, a
            quantizer has a zero point, the windows of a pooling differ in size, or a sum adds
            tensors of two grids; the message names the layer.
    """
    net = copy.deepcopy(net).eval()
    recorder = _Recorder()
    for name, module in net.named_modules():
        if isinstance(module, QuantNonLinearActLayer):
            module.return_quant_tensor = True
            module.register_forward_hook(recorder.activation(name))
        elif isinstance(module, QuantWeightBiasInputOutputLayer):
            _check_layer(name, module)
            module.register_forward_hook(recorder.accumulator(name))
        elif isinstance(module, (*_MAX_POOLS, *_AVERAGE_POOLS)):
            module.register_forward_hook(recorder.pool(name))
        elif isinstance(module, ResidualSum):
            module.register_forward_pre_hook(recorder.addends(name))
            module.register_forward_hook(recorder.sum(name))
        elif isinstance(module, (ChannelRoll, ChannelShuffle)):
            module.register_forward_hook(recorder.rearranged())
        elif isinstance(module, _FLOAT_LAYERS):
            raise ValueError(
                f"export: layer {name!r} is a float {type(module).__name__}; "
                "only quantized layers become hardware, use a binary one"
            )
    with torch.no_grad():
        outputs = net(images)
    return recorder.points, outputs.value if isinstance(outputs, IntQuantTensor) else outputs


class _Recorder:
    """Hooks that record the integer points.

    A layer that does more than multiply and add has a method ``integer_accumulator(images,
    input_scale, weight, weight_scale)``, all in float64, the first and third integers, that
    returns its integers and their scale; it raises ValueError where there are none.

    Brevitas carries the scale of activations along, not that of accumulators: their integers are
    remembered by the identity of the tensor, which stays alive until the end.
    """

    def __init__(self) -> None:
        self.points: list[IntegerPoint] = []
        self._known: dict[int, tuple[Any, Tensor, Tensor]] = {}

    def activation(self, name: str) -> Callable[..., None]:
        """Return the hook of an activation quantizer."""

        def record(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
            integers, scale = _integers(output, f"activation {name!r}")
            is_bipolar = int(output.bit_width) == 1
            self.points.append(
                IntegerPoint(
                    module=name,
                    kind=PointKind.ACTIVATION,
                    integers=integers.numpy().astype(np.int8 if is_bipolar else np.int32),
                    scale=_per_channel(scale),
                )
            )

        return record

    def accumulator(self, name: str) -> Callable[..., None]:
        """Return the hook of a quantized layer."""

        def record(layer: Any, args: tuple[Any, ...], output: Any) -> None:
            images, input_scale = self._read(args[0], f"input of layer {name!r}")
            if isinstance(layer, PaddedConv2d):
                images = layer.pad(images, _pad_steps(layer, input_scale, name))
            quantized = layer.quant_weight()
            weight, weight_scale = _integers(quantized, f"weight of layer {name!r}")
            weight_scale = _along_channels(weight_scale, output.ndim)
            accumulate = getattr(layer, "integer_accumulator", partial(_dot_product, layer))
            try:
                accumulator, scale = accumulate(images, input_scale, weight, weight_scale)
            except ValueError as error:
                raise ValueError(f"export: layer {name!r}: {error}") from error
            _check_32_bits(accumulator, f"the accumulator of layer {name!r}")
            if not torch.equal(torch.round(_plain(output).double() / scale), accumulator):
                raise ValueError(
                    f"export: layer {name!r} does not compute the products of its integers; "
                    "float32 has lost bits, reduce its inputs or its bit widths"
                )
            self._known[id(output)] = (output, accumulator, scale)
            self.points.append(
                IntegerPoint(
                    module=name,
                    kind=PointKind.ACCUMULATOR,
                    integers=accumulator.numpy().astype(np.int32),
                    scale=_per_channel(scale),
                    weight=quantized.value.numpy().astype(np.float32),
                )
            )

        return record

    def pool(self, name: str) -> Callable[..., None]:
        """Return the hook of a pooling: the maximum, or the sum, whose scale has the divisor."""

        def record(module: Any, args: tuple[Any, ...], output: Any) -> None:
            images, scale = self._read(args[0], f"input of pooling {name!r}")
            area = _averaged_values(module, images, name)
            pooled = torch.round(module.forward(images) * area)
            _check_32_bits(pooled, f"the sum of pooling {name!r}")
            scale = scale / area
            if not torch.equal(torch.round(_plain(output).double() / scale), pooled):
                raise ValueError(
                    f"export: pooling {name!r} does not compute the sums of its integers; "
                    "float32 has lost bits, reduce its window"
                )
            self._known[id(output)] = (output, pooled, scale)
            self.points.append(
                IntegerPoint(
                    module=name,
                    kind=PointKind.POOL,
                    integers=pooled.numpy().astype(np.int32),
                    scale=_per_channel(scale),
                )
            )

        return record

    def addends(self, name: str) -> Callable[..., None]:
        """Return the hook that checks a sum before Brevitas adds."""

        def check(_module: Any, args: tuple[Any, ...]) -> None:
            (_, scale), (_, other) = (self._read(x, f"input of sum {name!r}") for x in args)
            if scale.numel() != other.numel() or (scale != other).any():
                raise ValueError(
                    f"export: sum {name!r} adds tensors with steps {scale.tolist()} and "
                    f"{other.tolist()}; quantize both with one step"
                )

        return check

    def sum(self, name: str) -> Callable[..., None]:
        """Return the hook of a sum of two branches on one grid."""

        def record(_module: Any, args: tuple[Any, ...], output: Any) -> None:
            (a, scale), (b, _) = (self._read(x, f"input of sum {name!r}") for x in args)
            self._known[id(output)] = (output, a + b, scale)
            self.points.append(
                IntegerPoint(
                    module=name,
                    kind=PointKind.SUM,
                    integers=(a + b).numpy().astype(np.int32),
                    scale=_per_channel(scale),
                )
            )

        return record

    def rearranged(self) -> Callable[..., None]:
        """Return the hook of a module that moves channels: its integers move along."""

        def record(module: Any, args: tuple[Any, ...], output: Any) -> None:
            if not (isinstance(args[0], IntQuantTensor) or id(args[0]) in self._known):
                return
            integers, scale = self._read(args[0], "moved channels")
            if scale.numel() == 1:
                self._known[id(output)] = (output, module.forward(integers), scale)

        return record

    def _read(self, value: Any, where: str) -> tuple[Tensor, Tensor]:
        if id(value) in self._known:
            _, integers, scale = self._known[id(value)]
            return integers, scale
        return _integers(value, where)


def _dot_product(
    layer: Any, images: Tensor, input_scale: Tensor, weight: Tensor, weight_scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the accumulator of a layer that multiplies and adds, and its scale."""
    accumulator: Tensor = layer.inner_forward_impl(images, weight, None)
    return accumulator, weight_scale * input_scale


def _averaged_values(pool: Any, images: Tensor, name: str) -> int:
    """Return how many values an average pooling divides by; 1 for a maximum."""
    if isinstance(pool, _MAX_POOLS):
        return 1
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        if pool.output_size not in (1, (1, 1)):
            raise ValueError(
                f"export: pooling {name!r} has windows of several sizes; "
                "use AvgPool2d, or an output of 1 x 1"
            )
        return int(images.shape[-2] * images.shape[-1])
    rows, columns = _pair(pool.kernel_size)
    is_padded = any(_pair(pool.padding))
    if pool.ceil_mode or (is_padded and not pool.count_include_pad):
        raise ValueError(
            f"export: pooling {name!r} averages fewer values at the border; "
            "set ceil_mode=False and count_include_pad=True"
        )
    return int(pool.divisor_override or rows * columns)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _pad_steps(layer: PaddedConv2d, scale: Tensor, name: str) -> float:
    """Return the value of the padding in steps of the input."""
    steps = layer.pad_value / float(scale) if layer.pad_value else 0.0
    if steps != round(steps):
        raise ValueError(
            f"export: layer {name!r} pads with {layer.pad_value}, which is {steps} steps of its "
            "input's grid; use another pad_value"
        )
    return steps


def _check_32_bits(integers: Tensor, what: str) -> None:
    limit = torch.iinfo(torch.int32)
    if integers.min() < limit.min or integers.max() > limit.max:
        raise ValueError(f"export: {what} leaves 32 bits")


def _plain(value: Any) -> Tensor:
    tensor: Tensor = value.value if isinstance(value, IntQuantTensor) else value
    return tensor


def _along_channels(scale: Tensor, dimensions: int) -> Tensor:
    """Return a scale, one or one per channel, in the shape that multiplies ``(images, channels)``.

    A weight's scale has the shape of the weight: channels first.
    """
    if scale.numel() == 1:
        return scale.reshape(())
    return scale.reshape(-1, *[1] * (dimensions - 2))


def _check_layer(name: str, layer: Any) -> None:
    if not layer.weight_quant.is_quant_enabled:
        raise ValueError(f"export: layer {name!r} has float weights; give it a weight quantizer")
    if layer.bias is not None:
        raise ValueError(
            f"export: layer {name!r} has a bias, which no integer accumulator holds; "
            "set bias=False and let the BatchNorm after it shift"
        )
    reason = getattr(layer.weight_quant.tensor_quant, "off_grid", "")
    if reason:
        raise ValueError(f"export: the weights of layer {name!r} are no integers: {reason}")


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
