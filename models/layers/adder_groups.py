"""A quantized adder layer whose filters share steps with their inputs group by group."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from brevitas.nn import QuantIdentity
from torch import Tensor, nn

from ..quant.adder import AdderGroup
from ..quant.integer import UniformActQuant
from .adder import AdderConv2d, AdderLinear
from .scale import ChannelBias


class GroupedAdder(nn.Module):
    """Adder layers side by side, each with inputs rounded to its own step.

    The result of a group is ``step * (-sum |a - 2 w|) + bias`` with the integers ``a`` of its
    inputs, 0 to ``2^bits - 1``, and ``w`` of its weights, signed: the accumulator is an integer in
    steps of the inputs. An exported file holds a Quant and an ``L1MatMul`` or ``L1Conv`` for each
    group, a Concat, a Gather where filters of a group are not neighbours, and an Add.

    Args:
        layer: Adder layer with float weights; it is not changed.
        groups: Its filters with their integers, each filter once.
        bits: Bits of the integers.

    References:
        Nie et al., "Redistribution of Weights and Activations for AdderNet Quantization",
        NeurIPS 2022, arXiv:2212.10200.
    """

    order: Tensor | None

    def __init__(
        self, layer: AdderLinear | AdderConv2d, groups: Sequence[AdderGroup], *, bits: int
    ) -> None:
        super().__init__()
        self.groups = nn.ModuleList(_group(layer, group, bits) for group in groups)
        places = torch.tensor([number for group in groups for number in group.filters])
        order = torch.argsort(places)
        is_in_order = torch.equal(order, torch.arange(len(order)))
        self.register_buffer("order", None if is_in_order else order)
        bias = torch.cat([group.bias for group in groups])[order]
        self.bias = ChannelBias(bias.to(layer.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return the results of all filters, in the order of the original layer."""
        y = torch.cat([group(x) for group in self.groups], dim=1)
        if self.order is not None:
            y = y.index_select(1, self.order)
        result: Tensor = self.bias(y)
        return result


def _group(layer: AdderLinear | AdderConv2d, group: AdderGroup, bits: int) -> nn.Sequential:
    """Return the rounding of the inputs and the layer of some filters."""
    step = group.input_step(bits)
    act = QuantIdentity(
        act_quant=UniformActQuant, bits=bits, scale=step, signed=False, narrow_range=False
    )
    part: AdderLinear | AdderConv2d
    if isinstance(layer, AdderConv2d):
        part = AdderConv2d(
            layer.in_channels,
            len(group.filters),
            layer.kernel_size,
            bits=bits,
            step=2 * step,
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
        )
    else:
        part = AdderLinear(layer.in_features, len(group.filters), bits=bits, step=2 * step)
    with torch.no_grad():
        part.weight.copy_(group.codes * (2 * step))
    return nn.Sequential(act, part)
