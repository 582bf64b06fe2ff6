"""Activations in fixed point, rounded down (DeepShift)."""

from __future__ import annotations

from typing import Any

import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.core.utils import StatelessBuffer
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import FloatToIntImplType
from brevitas.proxy import ActQuantProxyFromInjector
from torch import Tensor, nn

_MAX_BITS = 24  # float32 holds every integer of 24 bits


class FloorSTE(torch.autograd.Function):
    """Largest level that is not above, with the straight-through estimator.

    Forward: ``y = step * clamp(floor(x / step), low, high)``. Backward: ``g``, even where the
    value is clamped.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: float, low: int, high: int) -> Tensor:
        """Return the levels."""
        return torch.floor(x / step).clamp_(low, high).mul_(step)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        """Return ``g``."""
        return grad_outputs[0], None, None, None


class CeilingSTE(torch.autograd.Function):
    """Forward: ``min(x, top)``. Backward: ``g``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float) -> Tensor:
        """Return the smaller values."""
        return x.clamp(max=top)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        """Return ``g``."""
        return grad_outputs[0], None


class Ceiling(nn.Module):
    """``min(x, top)`` with gradient ``g``.

    Args:
        top: Largest value.
    """

    def __init__(self, top: float) -> None:
        super().__init__()
        self.top = top

    def forward(self, x: Tensor) -> Tensor:
        """Return the smaller values; without gradients by an operator that exports."""
        if not torch.is_grad_enabled():
            return x.clamp(max=self.top)
        result: Tensor = CeilingSTE.apply(x, self.top)
        return result


class FixedPointQuant(nn.Module):
    """Signed fixed point: multiples of ``2^-fraction_bits``, rounded down.

    Forward value and gradient are those of :class:`FloorSTE`.

    Args:
        integer_bits: Bits before the point, with the sign, at least 1.
        fraction_bits: Bits behind it; 2 to 24 in all. DeepShift's 16 and 16 do not fit in float32.

    Raises:
        ValueError: There are too few or too many bits.

    >>> FixedPointQuant(3, 5)(torch.tensor([-0.001, -9.0, 9.0]))[0].tolist()
    [-0.03125, -4.0, 3.96875]
    """

    def __init__(self, integer_bits: int, fraction_bits: int) -> None:
        super().__init__()
        check_bits(integer_bits, fraction_bits)
        bits = integer_bits + fraction_bits
        self.step = 2.0**-fraction_bits
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.bit_width = BitWidthConst(bits)
        self.scale = StatelessBuffer(torch.tensor(self.step))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale, zero point and bit width, as Brevitas' proxies want them."""
        y: Tensor = FloorSTE.apply(x, self.step, self.low, self.high)
        return y, self.scale(), self.zero_point(), self.bit_width()


def check_bits(integer_bits: int, fraction_bits: int) -> None:
    """Check the bits of a fixed-point number.

    Raises:
        ValueError: There are too few or too many.
    """
    if integer_bits < 1 or fraction_bits < 0 or not 2 <= integer_bits + fraction_bits <= _MAX_BITS:
        raise ValueError(
            "fixed point: integer bits must be >= 1 and fraction bits >= 0, "
            f"2 to {_MAX_BITS} in all, got {integer_bits} and {fraction_bits}"
        )


class FixedPointActQuant(ExtendedInjector):
    """Activation quantizer: ``integer_bits``, ``fraction_bits``."""

    proxy_class = ActQuantProxyFromInjector
    tensor_quant = FixedPointQuant
    float_to_int_impl_type = FloatToIntImplType.FLOOR
    signed = True
    narrow_range = False
