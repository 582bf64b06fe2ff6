"""PalQuant's quantizers: a clipping interval that is trained with the network.

References:
    Hu et al., "PalQuant: Accelerating High-precision Networks on Low-precision Accelerators", ECCV
    2022, arXiv:2208.01944, whose quantizer is that of Lee et al., "Network Quantization with
    Element-wise Gradient Scaling", CVPR 2021, arXiv:2104.00903.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.core.utils import StatelessBuffer
from brevitas.inject import ExtendedInjector
from brevitas.proxy import WeightQuantProxyFromInjector
from torch import Tensor, nn

from .straight_through import straight_through

_MAX_BITS = 8
_LEAST_WIDTH = 1e-3


class ElementwiseGradientSTE(torch.autograd.Function):
    """Nearest of the levels ``{0, 1, .. L-1} / (L-1)`` of ``v`` clipped to [0, 1].

    Backward: ``g (1 + scaling sign(g) (v - y)) 1[0 <= v <= 1]``: a level that lies on the side to
    which the descent moves v is favoured; scaling 0 is the straight-through estimator.

    References:
        arXiv:2104.00903, equation 6.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, top: int, scaling: float) -> Tensor:
        """Return the nearest levels."""
        y = torch.round(v.clamp(0, 1) * top) / top
        ctx.save_for_backward(v, y)
        ctx.scaling = scaling
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        """Return the scaled gradient inside the interval."""
        v, y = ctx.saved_tensors
        grad = grad_outputs[0] * ((v >= 0) & (v <= 1))
        return grad * (1 + ctx.scaling * torch.sign(grad) * (v - y)), None, None


class LearnedIntervalQuant(nn.Module):
    """Odd levels without zero, ``{-(L-1), .., -1, 1, .., L-1} / (L-1)`` with L = 2^bits.

    Forward value: ``2 (round(v (L-1)) / (L-1) - 1/2)`` with ``v = clip((w - lower) / (upper -
    lower), 0, 1)``. Gradient: twice that of :class:`ElementwiseGradientSTE` for v, from there to w,
    lower and upper.

    Args:
        bits: Bits of a level, 1 to 7; its integers need one more.
        scaling: Element-wise gradient scaling; 0 as in PalQuant.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(self, bits: int, scaling: float = 0.0) -> None:
        super().__init__()
        if not 1 <= bits < _MAX_BITS:
            raise ValueError(f"learned interval: bits must be 1 to {_MAX_BITS - 1}, got {bits}")
        if not 0 <= scaling < 1:
            raise ValueError(f"learned interval: scaling must be in [0, 1), got {scaling}")
        self.top = 2**bits - 1
        self.scaling = scaling
        self.lower = nn.Parameter(torch.tensor(-1.0))
        self.upper = nn.Parameter(torch.tensor(1.0))
        self.bit_width = BitWidthConst(bits + 1)
        self.scale = StatelessBuffer(torch.tensor(1.0 / self.top))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))

    @torch.no_grad()
    def fit(self, weight: Tensor) -> None:
        """Set the interval to three standard deviations of ``weight`` around 0."""
        spread = 3 * weight.std()
        self.lower.copy_(-spread)
        self.upper.copy_(spread)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale, zero point and bit width, as Brevitas' proxies want them."""
        v = (x - self.lower) / (self.upper - self.lower)
        y: Tensor = ElementwiseGradientSTE.apply(v, self.top, self.scaling)
        scale = self.scale()
        # 2 y - 1 in whole steps, so that value = scale * integer exactly
        integers = torch.round((2 * y.detach() - 1) * self.top)
        value = straight_through(2 * y - 1, integers * scale)
        return value, scale, self.zero_point(), self.bit_width()


class LearnedIntervalWeightQuant(ExtendedInjector):
    """Weight quantizer: ``weight_bits``, ``weight_scaling``."""

    proxy_class = WeightQuantProxyFromInjector
    tensor_quant = LearnedIntervalQuant
    signed = True
    narrow_range = True


class UnitInterval(nn.Module):
    """``v = (x - lower) / (upper - lower)`` with both ends trained: what an activation clips.

    The first batch in training sets the interval: lower to its least value, upper to ``3 std /
    sqrt(1 - 2 / pi)``, three standard deviations of the normal values that a ReLU cut in half.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lower = nn.Parameter(torch.tensor(0.0))
        self.upper = nn.Parameter(torch.tensor(1.0))
        self.is_set: Tensor
        self.register_buffer("is_set", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:
        """Return v, not clipped, same shape."""
        if self.training and not self.is_set:
            self.fit(x)
        return (x - self.lower) / (self.upper - self.lower)

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Set the interval from the values of a batch."""
        lower = x.min()
        upper = 3 * x.std() / math.sqrt(1 - 2 / math.pi)
        self.lower.copy_(lower)
        self.upper.copy_(torch.maximum(upper, lower + _LEAST_WIDTH))
        self.is_set.fill_(True)
