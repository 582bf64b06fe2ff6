"""Activations whose levels are at any distances: thresholds and a table of integers.

A staircase ``y = step * levels[#{j : x >= thresholds[j]}]`` is what QONNX' MultiThreshold computes
when a threshold is repeated as often as its level rises, and what hardware holds as thresholds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from brevitas.inject import ExtendedInjector
from brevitas.proxy import ActQuantProxyFromInjector
from torch import Tensor, nn

from .binary_coding import level_signs
from .straight_through import straight_through

_MAX_BITS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Staircase:
    """A rising function with integer levels.

    Attributes:
        levels: Ascending int64, one more than thresholds.
        thresholds: Ascending float32; the level rises where ``x >= threshold``.
        step: The value of a level is ``step * level``; a power of two.
    """

    levels: Tensor
    thresholds: Tensor
    step: float

    def __call__(self, x: Tensor) -> Tensor:
        """Return the levels of ``x``, int64, same shape."""
        return self.levels[torch.searchsorted(self.thresholds, x.contiguous(), right=True)]

    @property
    def bits(self) -> int:
        """Bits that hold every level, in two's complement if one is negative."""
        low, high = int(self.levels[0]), int(self.levels[-1])
        if low >= 0:
            return max(high.bit_length(), 1)
        return max((-low - 1).bit_length(), high.bit_length()) + 1

    def repeated_thresholds(self) -> tuple[Tensor, int, int]:
        """Return thresholds, unit and base with ``level = base + unit * #{thresholds <= x}``.

        Each threshold is repeated as often as its level rises by the unit, the greatest common
        divisor of all rises and the base.
        """
        rises = torch.diff(self.levels)
        base = int(self.levels[0])
        unit = math.gcd(*(int(rise) for rise in rises), base)
        return self.thresholds.repeat_interleave(rises // unit), unit, base


class _StaircaseSTE(torch.autograd.Function):
    """Backward: ``g * 1[low <= x <= high]``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stairs: Staircase, low: float, high: float) -> Tensor:
        ctx.save_for_backward((x >= low) & (x <= high))
        return stairs(x).to(x) * stairs.step

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (is_inside,) = ctx.saved_tensors
        return grad_outputs[0] * is_inside, None, None, None


class StaircaseQuant(nn.Module):
    """Base of activation quantizers that are a :class:`Staircase`.

    Forward value: the staircase. Gradient: ``g`` between the outer thresholds, each moved outwards
    by what is between it and the outer level; 0 beyond.
    """

    def staircase(self) -> Staircase:
        """Return the function as it is now."""
        raise NotImplementedError

    def value(self, x: Tensor, stairs: Staircase) -> Tensor:
        """Return the values of ``x`` with the gradient of the class."""
        levels, thresholds = stairs.levels, stairs.thresholds
        low, high = (2 * stairs.step * float(levels[i]) - float(thresholds[i]) for i in (0, -1))
        y: Tensor = _StaircaseSTE.apply(x, stairs, low, high)
        return y

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale, zero point and bit width, as Brevitas' proxies want them."""
        stairs = self.staircase()
        bits = x.new_tensor(float(stairs.bits))
        return self.value(x, stairs), x.new_tensor(stairs.step), x.new_zeros(()), bits


class FixedStaircaseQuant(StaircaseQuant):
    """A staircase that is not trained.

    Args:
        levels: Ascending integers, at least two.
        thresholds: Ascending, one fewer.
        step: Value of level 1, a power of two.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(self, levels: tuple[int, ...], thresholds: tuple[float, ...], step: float) -> None:
        super().__init__()
        if not 0 < step < math.inf or math.frexp(step)[0] != 0.5:
            raise ValueError(f"staircase quantizer: step must be a power of two, got {step}")
        for name, values in (("levels", levels), ("thresholds", thresholds)):
            if list(values) != sorted(set(values)):
                raise ValueError(f"staircase quantizer: {name} must ascend, got {values}")
        if len(levels) < 2 or len(thresholds) != len(levels) - 1:
            raise ValueError(
                f"staircase quantizer: {len(levels)} levels need one threshold fewer, "
                f"got {len(thresholds)}"
            )
        self.levels = levels
        self.thresholds = thresholds
        self.step = step

    def staircase(self) -> Staircase:
        """Return it."""
        return Staircase(
            levels=torch.tensor(self.levels),
            thresholds=torch.tensor(self.thresholds, dtype=torch.float32),
            step=self.step,
        )


class CodebookQuant(FixedStaircaseQuant):
    """The nearest sum of planes: ``y = step sum_i +-beta_i``, thresholds in the middle of levels.

    Args:
        beta: Plane scales, integers >= 1, 1 to 8 of them; no two sums may be the same.
        step: Value of a plane scale of 1, a power of two.

    Raises:
        ValueError: An argument is out of its range.

    References:
        arXiv:1802.00150 codes activations by least squares on line, which a stream cannot wait
        for: beta is fixed here, and the hardware is exact for it.

    >>> CodebookQuant((2, 1), 0.5)(torch.tensor([-0.6, 0.0, 0.9, 9.0]))[0].tolist()
    [-0.5, 0.5, 0.5, 1.5]
    """

    def __init__(self, beta: tuple[int, ...], step: float) -> None:
        if not 1 <= len(beta) <= _MAX_BITS or min(beta) < 1:
            raise ValueError(f"codebook quantizer: beta must be 1 to 8 integers >= 1, got {beta}")
        sums = level_signs(len(beta)) @ torch.tensor(beta, dtype=torch.float32)
        levels = tuple(int(level) for level in sums.sort().values)
        if len(set(levels)) < len(levels):
            raise ValueError(f"codebook quantizer: sums of beta={beta} must differ")
        middles = tuple(step * (low + high) / 2 for low, high in pairwise(levels))
        super().__init__(levels, middles, step)
        self.beta = beta


class LogQuant(FixedStaircaseQuant):
    """The power of two that is nearest in the logarithm, 0 below the least one.

    Levels ``step * {0, 1, 2, 4 ..}``, ``2 ** bits`` of them from 0 up, or mirrored with one fewer;
    switches at ``sqrt(2)`` times a power, as :func:`popshift.models.quant.ap2`.

    Args:
        bits: 2 to 4, as 5 would make levels of 30 bits.
        step: The least power of two.
        signed: Levels on both sides of 0.

    Raises:
        ValueError: An argument is out of its range.

    References:
        LogQuant of Hubara et al., "Quantized Neural Networks", JMLR 2018, arXiv:1609.07061, section
        3. Goal there: AlexNet with one-bit weights and two-bit activations 51 % top 1.
    """

    def __init__(self, bits: int, step: float, signed: bool) -> None:
        if not 2 <= bits <= 4:
            raise ValueError(f"log quantizer: bits must be 2 to 4, got {bits}")
        powers = [2**i for i in range(2 ** (bits - signed) - 1)]
        switches = [step * power / math.sqrt(2) for power in powers]
        levels, thresholds = [0, *powers], switches
        if signed:
            levels = [-power for power in reversed(powers)] + levels
            thresholds = [-switch for switch in reversed(switches)] + thresholds
        super().__init__(tuple(levels), tuple(thresholds), step)


class ShiftedSignsQuant(StaircaseQuant):
    """A sum of signs with shifts of their own: ``y = sum_n beta_n sign(x + v_n - 1/2)``.

    Shifts and scales are trained; scales are rounded to ``step`` and at least that. Gradient:
    ``g sum_n beta_n 1[0 <= x + v_n <= 1]`` for x, the n-th term of that sum for v_n, ``g sign(x +
    v_n - 1/2)`` for beta_n.

    Args:
        planes: Signs, 1 to 8.
        step: Grid of the scales, a power of two.

    Raises:
        ValueError: ``planes`` is out of its range.

    References:
        Lin et al., "Towards Accurate Binary Convolutional Neural Network", NIPS 2017,
        arXiv:1711.11294, equations 8 to 11; the first values are ours: they quantize normal inputs
        well. Goals there, from memory, not reproduced: ResNet-18 on ImageNet with 5 planes of
        weights and of activations 65.0 % top 1, with 3 and 3 61.0 %.
    """

    def __init__(self, planes: int, step: float = 2.0**-4) -> None:
        super().__init__()
        if not 1 <= planes <= _MAX_BITS:
            raise ValueError(f"shifted signs: planes must be 1 to {_MAX_BITS}, got {planes}")
        if not 0 < step < math.inf or math.frexp(step)[0] != 0.5:
            raise ValueError(f"shifted signs: step must be a power of two, got {step}")
        distance = 3.2 / (planes + 1)  # about the best of a uniform grid for normal values
        ranks = torch.arange(planes) - (planes - 1) / 2
        self.shift = nn.Parameter(0.5 + distance * ranks)
        self.beta = nn.Parameter(torch.full((planes,), distance / 2))
        self.step = step

    def staircase(self) -> Staircase:
        """Return the sum of signs as one staircase; signs with equal shifts make one step."""
        thresholds, order = (0.5 - self.shift.detach()).sort(stable=True)
        rises = 2 * self._integers()[order]
        distinct, place = thresholds.unique_consecutive(return_inverse=True)
        rises = torch.zeros(len(distinct), dtype=torch.int64).index_add_(0, place, rises)
        base = -rises.sum(dim=0, keepdim=True) // 2
        return Staircase(
            levels=torch.cat([base, base + rises.cumsum(dim=0)]),
            thresholds=distinct,
            step=self.step,
        )

    def _integers(self) -> Tensor:
        return torch.round(self.beta.detach() / self.step).clamp_min(1).long()

    def value(self, x: Tensor, stairs: Staircase) -> Tensor:
        """Return the staircase of ``x`` with the gradients of the class."""
        if not torch.is_grad_enabled():
            return stairs(x).to(x) * stairs.step
        beta = straight_through(self.beta, self._integers() * self.step)
        moved = x[..., None] + self.shift
        signs = _SignInUnitSTE.apply(moved, x[..., None] >= 0.5 - self.shift)
        total = (signs * beta).sum(dim=-1)
        return straight_through(total, stairs(x).to(x) * stairs.step)


class _SignInUnitSTE(torch.autograd.Function):
    """Backward: ``g * 1[0 <= x <= 1]``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, is_positive: Tensor) -> Tensor:
        ctx.save_for_backward((x >= 0) & (x <= 1))
        return torch.where(is_positive, 1.0, -1.0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (is_inside,) = ctx.saved_tensors
        return grad_outputs[0] * is_inside, None


class _StaircaseAct(ExtendedInjector):
    proxy_class = ActQuantProxyFromInjector
    signed = True
    narrow_range = False


class CodebookActQuant(_StaircaseAct):
    """Activation quantizer: ``beta``, ``step``."""

    tensor_quant = CodebookQuant


class LogActQuant(_StaircaseAct):
    """Activation quantizer: ``bits``, ``step``, ``signed``."""

    tensor_quant = LogQuant


class ShiftedSignsActQuant(_StaircaseAct):
    """Activation quantizer: ``planes``, ``step``."""

    tensor_quant = ShiftedSignsQuant
