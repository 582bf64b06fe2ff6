"""Layers of adder networks, where sums of absolute differences take the place of products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

import torch
from brevitas.nn import QuantLinear
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from ..ops import emit
from ..quant.integer import UniformWeightQuant
from .l1 import l1_conv2d, l1_linear
from .padded import Geometry, PaddedConv2d, Pair


class _AdderLayer:
    """What the layers share: how integers come about, and the scale of gradients.

    Attributes:
        weight: Latent weights.
        unit: Standard deviation of the first weights.
    """

    weight: nn.Parameter
    unit: float

    def distances(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return minus the distances of inputs and weights, with gradients."""
        raise NotImplementedError

    def integer_accumulator(
        self, images: Tensor, input_scale: Tensor, weight: Tensor, weight_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return integers and their scale, for integers ``images`` and ``weight``.

        Raises:
            ValueError: The steps of inputs and weights are no whole multiples of one another.
        """
        step = torch.minimum(input_scale, weight_scale)
        factors = input_scale / step, weight_scale / step
        if step.numel() != 1 or any(float(f) != round(float(f)) for f in factors):
            raise ValueError(
                f"its inputs come in steps of {_numbers(input_scale)} and its weights in steps of "
                f"{_numbers(weight_scale)}; one must be a whole multiple of the other"
            )
        return self.distances(images * factors[0], weight * factors[1]), step

    def scale_gradients(self, rate: float) -> None:
        """Scale the weights' gradient to a root mean square of ``rate`` times their first one.

        Distances have gradients of very different size from layer to layer. For weights that
        start with standard deviation 1 it is ``eta * sqrt(k) * g / ||g||`` with ``k`` weights, of
        arXiv:1912.13200, section 3.3.
        """
        gradient = self.weight.grad
        if gradient is not None:
            norm = float(gradient.norm())
            gradient.mul_(rate * self.unit * math.sqrt(gradient.numel()) / max(norm, 1e-12))


class AdderLinear(_AdderLayer, QuantLinear):
    """``y = -sum_k |x_k - w_k|``: distances to the neurons' weights, without bias.

    The results are never positive: a BatchNorm belongs behind it. With weights of ``bits`` bits
    the inputs must come from a grid whose step is a whole multiple of ``step``, or the other way
    round; see :func:`popshift.models.quant.adder.adder_step`.

    Gradients: ``dy/dw = x - w`` and ``dy/dx = clip(w - x, -1, 1)``.

    Goals, by the paper: CIFAR-10 ResNet-20 91.84 % (a convolutional one 92.25 %).

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        bits: Bits of a weight, 2 to 8, or None for float weights, which cannot be exported.
        step: Step of the weights.
        init: Standard deviation of the first weights.

    References:
        Chen et al., "AdderNet", CVPR 2020, arXiv:1912.13200.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bits: int | None = None,
        step: float = 1.0,
        init: float = 1.0,
    ) -> None:
        super().__init__(in_features, out_features, bias=False, **_quantizer(bits, step))
        self.unit = init
        nn.init.normal_(self.weight, std=init)

    def distances(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return minus the distances, shape ``(..., out_features)``."""
        return l1_linear(x, weight)

    def inner_forward_impl(self, x: Any, quant_weight: Any, quant_bias: None) -> Tensor:
        """Return minus the distances; in an exported file, one node ``L1MatMul``."""
        data, weight = _plain(x), _plain(quant_weight)
        if torch.onnx.is_in_onnx_export():
            return emit("L1MatMul", (data, weight.t()), {}, like=torch.matmul)
        return self.distances(data, weight)


class AdderConv2d(_AdderLayer, PaddedConv2d):
    """Distances of windows to kernels: the twin of :class:`AdderLinear`.

    Padding is processed like any other value: a 0 at the border contributes ``|0 - w|``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        bits: Bits of a weight, 2 to 8, or None for float weights, which cannot be exported.
        step: Step of the weights.
        init: Standard deviation of the first weights.
        geometry: See :class:`popshift.models.layers.padded.Geometry`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        bits: int | None = None,
        step: float = 1.0,
        init: float = 1.0,
        **geometry: Unpack[Geometry],
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, geometry=geometry, **_quantizer(bits, step)
        )
        self.unit = init
        nn.init.normal_(self.weight, std=init)

    def distances(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return minus the distances, shape ``(images, out_channels, height, width)``."""
        return l1_conv2d(
            x,
            weight,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def inner_forward_impl(self, x: Any, quant_weight: Any, quant_bias: None) -> Tensor:
        """Return minus the distances; in an exported file, one node ``L1Conv``."""
        data, weight = _plain(x), _plain(quant_weight)
        if not torch.onnx.is_in_onnx_export():
            return self.distances(data, weight)
        attributes: dict[str, int | Sequence[int]] = {
            "kernel_shape": self.kernel_size,
            "strides": self.stride,
            "pads": (*self.padding, *self.padding),
            "dilations": self.dilation,
            "group": self.groups,
        }
        like = partial(self._conv_forward, bias=None)
        return emit("L1Conv", (data, weight), attributes, like=like)


def _quantizer(bits: int | None, step: float) -> dict[str, Any]:
    if bits is None:
        return {"weight_quant": None}
    return {"weight_quant": UniformWeightQuant, "weight_bits": bits, "weight_scale": step}


def _plain(value: Any) -> Tensor:
    tensor: Tensor = value.value if isinstance(value, QuantTensor) else value
    return tensor


def _numbers(scale: Tensor) -> str:
    values = scale.flatten().tolist()
    return str(values[0]) if len(values) == 1 else f"{min(values)} to {max(values)}"
