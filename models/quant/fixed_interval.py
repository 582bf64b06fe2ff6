"""Uniform grids on a fixed interval, and the power of two nearest in the logarithm."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.core.utils import StatelessBuffer
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import FloatToIntImplType
from brevitas.proxy import ActQuantProxyFromInjector, WeightQuantProxyFromInjector
from torch import Tensor, nn

from .power_of_two import nearest_exponent
from .sign import sign

LevelGrid = Literal["mid-tread", "mid-rise", "unsigned"]

_MAX_BITS = 8


def grid_integers(bits: int, grid: LevelGrid) -> range:
    """Return the integers of a grid.

    ``mid-tread``: symmetric with 0; ``mid-rise``: symmetric odd ones, so without 0; ``unsigned``:
    from 0 up.

    >>> [list(grid_integers(2, grid)) for grid in ("mid-tread", "mid-rise", "unsigned")]
    [[-1, 0, 1], [-3, -1, 1, 3], [0, 1, 2, 3]]
    """
    if grid == "mid-tread":
        top = 2 ** (bits - 1) - 1
        return range(-top, top + 1)
    top = 2**bits - 1
    return range(-top, top + 1, 2) if grid == "mid-rise" else range(top + 1)


class IntervalRoundSTE(torch.autograd.Function):
    """Nearest level of a grid, with a gradient inside its interval only.

    Forward: the integer of ``grid`` nearest to ``x / scale``, times ``scale``; a tie goes to the
    even number of steps (from 0, or from the lowest level of odd integers). Backward: ``g *
    1[low <= x / scale <= high]``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, grid: range) -> Tensor:
        """Return the nearest levels."""
        low, high, spacing = grid[0], grid[-1], grid.step
        offset = low if spacing > 1 else 0
        steps = x / scale
        ctx.save_for_backward((steps >= low) & (steps <= high))
        rounded = torch.round((steps.clamp(low, high) - offset) / spacing) * spacing + offset
        return rounded * scale

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        """Return ``g`` inside the interval."""
        (is_inside,) = ctx.saved_tensors
        return grad_outputs[0] * is_inside, None, None


class FixedIntervalQuant(nn.Module):
    """Levels at equal distances that fill ``[-bound, bound]``, or ``[0, bound]`` unsigned.

    Forward value and gradient are those of :class:`IntervalRoundSTE` with the scale ``bound /
    high``, in float32. WRPN is ``mid-tread`` for weights and ``unsigned`` for activations, both
    with bound 1: ``round((2^(k-1) - 1) clip(w, -1, 1)) / (2^(k-1) - 1)`` and ``round((2^k - 1)
    clip(a, 0, 1)) / (2^k - 1)``. A grid with a power-of-two step, as in arXiv:1609.07061, is
    :class:`popshift.models.quant.IntegerQuant`.

    Args:
        bits: 2 to 8.
        grid: See :func:`grid_integers`.
        bound: Largest level, > 0.

    Raises:
        ValueError: An argument is out of its range.

    References:
        Mishra et al., "WRPN: Wide Reduced-Precision Networks", arXiv:1709.01134, section 2. Goals
        there, from memory, not reproduced: ResNet-34 on ImageNet with one bit and twice the
        filters 69.85 % top 1, three times 72.38 %, float 73.59 %.
    """

    def __init__(self, bits: int, grid: LevelGrid, bound: float = 1.0) -> None:
        super().__init__()
        if not 2 <= bits <= _MAX_BITS:
            raise ValueError(f"interval quantizer: bits must be 2 to {_MAX_BITS}, got {bits}")
        if grid not in get_args(LevelGrid):
            raise ValueError(
                f"interval quantizer: grid={grid!r} is none of {', '.join(get_args(LevelGrid))}"
            )
        _check_bound(bound)
        self.grid = grid_integers(bits, grid)
        # odd integers up to 2^bits - 1 need a bit more
        self.bit_width = BitWidthConst(bits + (grid == "mid-rise"))
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(bound / self.grid[-1]))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))

    @property
    def latent_range(self) -> tuple[float, float]:
        """Where latent weights are kept."""
        bound = float(self.scale) * self.grid[-1]
        return -bound, bound

    def set_bound(self, bound: float) -> None:
        """Make ``bound`` the largest level.

        Raises:
            ValueError: It is not positive and finite.
        """
        _check_bound(bound)
        self.scale.fill_(bound / self.grid[-1])

    def fit(self, weight: Tensor) -> None:
        """Make the largest magnitude of ``weight`` the largest level; 0 changes nothing."""
        bound = float(weight.detach().abs().max())
        if bound > 0:
            self.set_bound(bound)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale, zero point and bit width, as Brevitas' proxies want them."""
        y: Tensor = IntervalRoundSTE.apply(x, self.scale, self.grid)
        return y, self.scale, self.zero_point(), self.bit_width()


def _check_bound(bound: float) -> None:
    if not 0 < bound < math.inf:
        raise ValueError(f"interval quantizer: bound must be > 0 and finite, got {bound}")


class FixedIntervalWeightQuant(ExtendedInjector):
    """Weight quantizer: ``weight_bits``, ``weight_grid`` (not ``unsigned``), ``weight_bound``."""

    proxy_class = WeightQuantProxyFromInjector
    tensor_quant = FixedIntervalQuant
    float_to_int_impl_type = FloatToIntImplType.ROUND
    grid = "mid-tread"
    signed = True
    narrow_range = True


class FixedIntervalActQuant(ExtendedInjector):
    """Activation quantizer, unsigned: ``bits``, ``bound``."""

    proxy_class = ActQuantProxyFromInjector
    tensor_quant = FixedIntervalQuant
    float_to_int_impl_type = FloatToIntImplType.ROUND
    grid = "unsigned"
    signed = False
    narrow_range = False


def ap2(x: Tensor) -> Tensor:
    """Return ``sign(x) 2^round(log2 |x|)``, the approximate power of two; 0 stays 0.

    It switches at ``sqrt(2) 2^k``, not in the middle of two powers. Gradient: none.

    References:
        Hubara et al., "Quantized Neural Networks", JMLR 2018, arXiv:1609.07061, section 3.

    >>> ap2(torch.tensor([3.0, 2.8, -0.3, 0.0])).tolist()
    [4.0, 2.0, -0.25, 0.0]
    """
    exponent = nearest_exponent(x.detach(), "log")
    return sign(x.detach()) * torch.exp2(exponent.to(x.dtype))
