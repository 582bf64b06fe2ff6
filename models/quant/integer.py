"""Brevitas quantizers of two to eight bits with constant scales."""

from __future__ import annotations

import math
from typing import Any

import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.core.utils import StatelessBuffer
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import FloatToIntImplType
from brevitas.proxy import ActQuantProxyFromInjector, WeightQuantProxyFromInjector
from torch import Tensor, nn

_MAX_BITS = 8


class ClippedRoundSTE(torch.autograd.Function):
    """Nearest level of a grid, with the straight-through estimator that stops where it saturates.

    Forward: ``y = scale * clamp(round(x / scale), low, high)``, ties to even. Backward:
    ``g * 1[|x - y| <= scale / 2]``: rounding moves a value by half a step at most, saturation by
    more.

    References:
        Hubara et al., "Quantized Neural Networks", JMLR 2018, arXiv:1609.07061, section 3.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, low: int, high: int) -> Tensor:
        """Return the nearest levels."""
        y = torch.round(x / scale).clamp_(low, high).mul_(scale)
        ctx.save_for_backward(x, y)
        ctx.half_step = scale / 2
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        """Return ``g`` where nothing saturated."""
        x, y = ctx.saved_tensors
        passes = torch.le((x - y).abs_(), ctx.half_step, out=torch.empty_like(x))  # 0.0 or 1.0
        return passes.mul_(grad_outputs[0]), None, None, None


class UniformQuant(nn.Module):
    """Integers of ``bits`` bits times a constant step.

    Forward value and gradient are those of :class:`ClippedRoundSTE`.

    Args:
        bits: 2 to 8.
        scale: Step of the grid, > 0.
        signed: Levels on both sides of 0.
        narrow_range: Leave out the lowest level, so that the levels are symmetric (signed).

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(self, bits: int, scale: float, signed: bool, narrow_range: bool) -> None:
        super().__init__()
        if not 2 <= bits <= _MAX_BITS:
            raise ValueError(f"integer quantizer: bits must be 2 to {_MAX_BITS}, got {bits}")
        if not 0 < scale < math.inf:
            raise ValueError(f"integer quantizer: scale must be > 0 and finite, got {scale}")
        self.low, self.high = levels(bits, signed=signed, narrow_range=narrow_range)
        self.step = scale
        self.latent_range = (self.low * scale, self.high * scale)
        self.bit_width = BitWidthConst(bits)
        self.scale = StatelessBuffer(torch.tensor(scale))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale, zero point and bit width, as Brevitas' proxies want them."""
        y: Tensor = ClippedRoundSTE.apply(x, self.step, self.low, self.high)
        return y, self.scale(), self.zero_point(), self.bit_width()


class IntegerQuant(UniformQuant):
    """Integers times a power of two, which float32 computes without rounding.

    Forward value and gradient are those of :class:`ClippedRoundSTE`.

    Args:
        bits: 2 to 8.
        scale: Step of the grid, a power of two.
        signed: Levels on both sides of 0.
        narrow_range: Leave out the lowest level, so that the levels are symmetric (signed).

    Raises:
        ValueError: An argument is out of its range.

    >>> quant = IntegerQuant(bits=2, scale=1.0, signed=True, narrow_range=True)
    >>> quant(torch.tensor([-9.0, -0.4, 0.6]))[0].tolist()
    [-1.0, -0.0, 1.0]
    """

    def __init__(self, bits: int, scale: float, signed: bool, narrow_range: bool) -> None:
        if not 0 < scale < math.inf or math.frexp(scale)[0] != 0.5:
            raise ValueError(f"integer quantizer: scale must be a power of two, got {scale}")
        super().__init__(bits, scale, signed, narrow_range)


def levels(bits: int, *, signed: bool, narrow_range: bool) -> tuple[int, int]:
    """Return the lowest and the highest integer.

    >>> levels(2, signed=True, narrow_range=True), levels(4, signed=False, narrow_range=False)
    ((-1, 1), (0, 15))
    """
    if not signed:
        return 0, 2**bits - 1 - narrow_range
    return -(2 ** (bits - 1)) + narrow_range, 2 ** (bits - 1) - 1


class _Uniform(ExtendedInjector):
    tensor_quant = UniformQuant
    float_to_int_impl_type = FloatToIntImplType.ROUND


class UniformActQuant(_Uniform):
    """Activation quantizer with any step: ``bits``, ``scale``, ``signed``, ``narrow_range``."""

    proxy_class = ActQuantProxyFromInjector


class UniformWeightQuant(_Uniform):
    """Weight quantizer with any step and all levels: ``weight_bits``, ``weight_scale``."""

    proxy_class = WeightQuantProxyFromInjector
    signed = True
    narrow_range = False


class _Integer(ExtendedInjector):
    tensor_quant = IntegerQuant
    float_to_int_impl_type = FloatToIntImplType.ROUND


class IntegerWeightQuant(_Integer):
    """Weight quantizer: symmetric, levels from -1 to 1: ``weight_bits``, ``weight_scale``."""

    proxy_class = WeightQuantProxyFromInjector
    signed = True
    narrow_range = True


class IntegerActQuant(_Integer):
    """Activation quantizer: ``bits``, ``scale``, ``signed``, ``narrow_range``."""

    proxy_class = ActQuantProxyFromInjector
