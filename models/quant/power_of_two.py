"""Weights that are powers of two, from latent weights (DeepShift-Q)."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.core.utils import StatelessBuffer
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import FloatToIntImplType
from brevitas.proxy import WeightQuantProxyFromInjector
from torch import Tensor, nn

PowerRounding = Literal["log", "linear"]

# Mantissas in [1/2, 1) from which the larger power is the nearer one.
_SWITCH = {"log": math.sqrt(0.5), "linear": 0.75}


def nearest_exponent(x: Tensor, rounding: PowerRounding) -> Tensor:
    """Return the integer ``P`` whose ``2^P`` is nearest to ``|x|``; least integers for 0.

    Args:
        x: Values, any shape.
        rounding: ``log``: ``round(log2 |x|)``, which switches at ``sqrt(2) * 2^k``; ``linear``:
            the nearest value, which switches at ``1.5 * 2^k``, upwards at the tie.

    >>> nearest_exponent(torch.tensor([1.41, 1.42, 1.5]), "log").tolist()
    [0, 1, 1]
    >>> nearest_exponent(torch.tensor([1.42, 1.49, 1.5]), "linear").tolist()
    [0, 0, 1]
    """
    mantissa, exponent = torch.frexp(x)
    # float64, because sqrt(1/2) lies between two float32
    above = mantissa.abs().double() >= _SWITCH[rounding]
    exponent = exponent - 1 + above.int()
    return exponent.masked_fill_(x == 0, torch.iinfo(torch.int32).min // 2)


def powers_of_two(exponents: Tensor, exp_min: int, exp_max: int, dtype: torch.dtype) -> Tensor:
    """Return ``2^e`` for integers e in [exp_min, exp_max], exactly."""
    table = [2.0**e for e in range(exp_min, exp_max + 1)]
    return torch.tensor(table, dtype=dtype, device=exponents.device)[exponents.long() - exp_min]


class PowerOfTwoSTE(torch.autograd.Function):
    """Nearest power of two, with the straight-through estimator.

    Forward: ``sign(x) * 2^P``, P the nearest exponent in [exp_min, exp_max]; 0 stays 0, and where
    ``has_zero`` everything that is nearer to a power below ``exp_min`` becomes 0. Backward: ``g``.

    References:
        Elhoushi et al., "DeepShift", CVPR Workshops 2021, arXiv:1905.13298, section 3 (Q).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, exp_min: int, exp_max: int, has_zero: bool, rounding: PowerRounding
    ) -> Tensor:
        """Return the powers of two."""
        exponent = nearest_exponent(x, rounding)
        values = powers_of_two(exponent.clamp(exp_min, exp_max), exp_min, exp_max, x.dtype)
        values.mul_(torch.sign(x))
        return values.masked_fill_(exponent < exp_min, 0) if has_zero else values

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Return ``g``."""
        return grad_outputs[0], None, None, None, None


class PowerOfTwoQuant(nn.Module):
    """``+-2^P`` with exponents of a few bits.

    Forward value and gradient are those of :class:`PowerOfTwoSTE`. While training, the latent
    weights themselves are kept where a step can move them on: ``|w| > 2^exp_max`` becomes
    ``2^exp_max``, and without a zero ``0 < |w| < 2^exp_min`` becomes ``2^exp_min``.

    Goals, by the authors' repository: CIFAR-10 ResNet-18 94.42 % (float 94.45 %), MNIST fully
    connected 97.03 % (float 96.92 %).

    Args:
        bits: 2 to 5: a sign and an exponent; with zero one code less.
        exp_max: Largest exponent.
        exp_min: Least exponent; by default as many as the bits allow.
        allow_zero: Spend a code on 0.
        rounding: ``log`` as DeepShift, or ``linear`` as QONNX' FloatQuant.

    Raises:
        ValueError: An argument is out of its range, or the exponents need more bits.
    """

    def __init__(
        self,
        bits: int = 5,
        exp_max: int = 0,
        exp_min: int | None = None,
        allow_zero: bool = False,
        rounding: PowerRounding = "log",
    ) -> None:
        super().__init__()
        if not 2 <= bits <= 5:
            raise ValueError(f"power-of-two quantizer: bits must be 2 to 5, got {bits}")
        if rounding not in get_args(PowerRounding):
            raise ValueError(
                f"power-of-two quantizer: rounding={rounding!r} is none of "
                f"{', '.join(get_args(PowerRounding))}"
            )
        lowest = exp_max + 1 - 2 ** (bits - 1) + allow_zero
        self.exp_min = lowest if exp_min is None else exp_min
        self.exp_max = exp_max
        if not lowest <= self.exp_min <= exp_max:
            raise ValueError(
                f"power-of-two quantizer: {bits} bits hold exponents from {lowest} to {exp_max}, "
                f"got exp_min={exp_min}"
            )
        self.allow_zero = allow_zero
        self.rounding = rounding
        self.bit_width = BitWidthConst(integer_bits(self.exp_min, exp_max))
        self.scale = StatelessBuffer(torch.tensor(2.0**self.exp_min))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale 2^exp_min, zero point and bit width of the integers."""
        if self.training:
            self.clamp_(x.detach())
        y: Tensor = PowerOfTwoSTE.apply(
            x, self.exp_min, self.exp_max, self.allow_zero, self.rounding
        )
        return y, self.scale(), self.zero_point(), self.bit_width()

    def clamp_(self, x: Tensor) -> None:
        """Clamp magnitudes in place; 0 stays 0."""
        low = 0.0 if self.allow_zero else 2.0**self.exp_min
        x.copy_(torch.sign(x) * x.abs().clamp(low, 2.0**self.exp_max))


class OnGridQuant(nn.Module):
    """Weights that are ``n * 2^exp_min`` already: they stay as they are, with gradient ``g``.

    Args:
        exp_min: Exponent of the step.
        exp_max: Exponent of the largest magnitude.
    """

    def __init__(self, exp_min: int, exp_max: int) -> None:
        super().__init__()
        self.bit_width = BitWidthConst(integer_bits(exp_min, exp_max))
        self.scale = StatelessBuffer(torch.tensor(2.0**exp_min))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale 2^exp_min, zero point and bit width of the integers."""
        return x, self.scale(), self.zero_point(), self.bit_width()


def integer_bits(exp_min: int, exp_max: int) -> int:
    """Return the bits of signed integers up to ``2^(exp_max - exp_min)`` on both sides of 0.

    >>> integer_bits(-15, 0), integer_bits(0, 2), integer_bits(0, 0)
    (17, 4, 2)
    """
    return exp_max - exp_min + 2


class _OfIntegers(ExtendedInjector):
    proxy_class = WeightQuantProxyFromInjector
    float_to_int_impl_type = FloatToIntImplType.ROUND
    signed = True
    narrow_range = True


class PowerOfTwoWeightQuant(_OfIntegers):
    """Weight quantizer of DeepShift-Q.

    Options ``weight_bits``, ``weight_exp_max``, ``weight_exp_min``, ``weight_allow_zero`` and
    ``weight_rounding``, as those of :class:`PowerOfTwoQuant`. An exported file holds the integers
    ``+-2^(P - exp_min)`` with the scale ``2^exp_min``.
    """

    tensor_quant = PowerOfTwoQuant


class OnGridWeightQuant(_OfIntegers):
    """Weight quantizer of weights that a parametrization made: ``weight_exp_min, weight_exp_max``.

    An exported file holds the integers with the scale ``2^exp_min``.
    """

    tensor_quant = OnGridQuant
