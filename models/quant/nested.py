"""One weight of many bits that holds all shorter ones as prefixes (vertical layers, once-QAT).

The integer of b bits is that of b+1 bits without its last bit, ``q_b = floor(q_{b+1} / 2)``: the
shortest precision is the basic layer and each further bit e an enhance layer, ``q_b = 2 q_{b-1} +
e_b``. Dot products follow: ``acc_b = 2 acc_{b-1} + sum e_b x``.

References:
    Wu et al., "Vertical Layering of Quantized Neural Networks for Heterogeneous Inference",
    arXiv:2212.05326. Its rounding, loss weights and BatchNorm are not at hand; what is done here
    is stated at each. Goal there: every precision as good as a model trained for it alone, on
    CIFAR-100 and ImageNet.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from brevitas.inject import ExtendedInjector
from brevitas.proxy import WeightQuantProxyFromInjector
from torch import Tensor, nn

from .straight_through import straight_through

Drop = Literal["floor", "round"]
Centre = Literal["low", "middle"]

_MAX_BITS = 8


def drop_bits(integers: Tensor, bits: int, *, to: int) -> Tensor:
    """Return signed integers of ``bits`` bits without their last ``bits - to`` bits.

    >>> drop_bits(torch.tensor([-8, -1, 0, 5, 7]), 4, to=2).tolist()
    [-2, -1, 0, 1, 1]
    """
    return torch.floor(integers / 2 ** (bits - to))


def enhance_layer(integers: Tensor, bits: int, *, layer: int) -> Tensor:
    """Return the bit, in {0, 1}, that makes precision ``layer`` of precision ``layer - 1``.

    Args:
        integers: Signed, of ``bits`` bits.
        bits: Bits of ``integers``.
        layer: 2 to ``bits``.
    """
    shorter = drop_bits(integers, bits, to=layer - 1)
    return drop_bits(integers, bits, to=layer) - 2 * shorter


class NestedQuant(nn.Module):
    """Signed integers of the precision in use, all taken from one integer of ``bits`` bits.

    Forward value: ``step 2^(bits - b) q_b`` with b the precision in use, ``q = clip(round(w /
    step))`` of ``bits`` bits, ``step = 2^(1 - bits)`` and q_b its first b bits. With centre
    ``middle``: ``q = clip(floor(w / step))`` and q_b + 1/2, the middle of what was dropped, so that
    every precision is symmetric around 0. Gradient: g, whatever the precision (the latent weights
    are to be clipped to [-1, 1]).

    Args:
        bits: Bits of the longest precision, 2 to 8.
        precisions: All precisions, ascending, the last one ``bits``.
        drop: ``floor`` drops bits. ``round`` rounds the longest integer to b bits, which is nearer
            but may carry: its integers are no prefixes.
        centre: Whether a shortened integer stands for the low end of what it may have been, or for
            the middle: odd levels without 0, one bit more under half the step. One bit needs it.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        bits: int,
        precisions: tuple[int, ...],
        drop: Drop = "floor",
        centre: Centre = "low",
    ) -> None:
        super().__init__()
        if not 2 <= bits <= _MAX_BITS:
            raise ValueError(f"nested quantizer: bits must be 2 to {_MAX_BITS}, got {bits}")
        least = 1 if centre == "middle" else 2
        is_ascending = list(precisions) == sorted(set(precisions))
        if not is_ascending or not precisions or precisions[0] < least or precisions[-1] != bits:
            raise ValueError(
                f"nested quantizer: precisions must ascend from {least} or more to bits={bits}, "
                f"got {tuple(precisions)}"
            )
        for name, choice, known in (("drop", drop, Drop), ("centre", centre, Centre)):
            if choice not in get_args(known):
                raise ValueError(
                    f"nested quantizer: {name}={choice!r} is none of {', '.join(get_args(known))}"
                )
        if drop == "round" and centre == "middle":
            raise ValueError("nested quantizer: drop='round' has no middle; use centre='low'")
        self.bits = bits
        self.latent_range = (-1.0, 1.0)
        self.precisions = tuple(precisions)
        self.drop: Drop = drop
        self.centre: Centre = centre
        self.precision = bits

    def longest(self, weight: Tensor) -> Tensor:
        """Return q of ``bits`` bits, the stored integers, same shape."""
        top = 2 ** (self.bits - 1)
        to_integer = torch.floor if self.centre == "middle" else torch.round
        return to_integer(weight.detach() * top).clamp(-top, top - 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale, zero point and bit width, as Brevitas' proxies want them."""
        b, dropped = self.precision, self.bits - self.precision
        longest = self.longest(x)
        if self.drop == "round":
            top = 2 ** (b - 1)
            integers = torch.round(longest / 2**dropped).clamp(-top, top - 1)
        else:
            integers = drop_bits(longest, self.bits, to=b)
        if self.centre == "middle":
            integers, b = 2 * integers + 1, b + 1
        scale = x.new_tensor(2.0 ** (1 - b))
        return straight_through(x, integers * scale), scale, x.new_zeros(()), x.new_tensor(float(b))


class NestedWeightQuant(ExtendedInjector):
    """Weight quantizer: ``weight_bits``, ``weight_precisions``, ``weight_drop``, and so on."""

    proxy_class = WeightQuantProxyFromInjector
    tensor_quant = NestedQuant
    signed = True
    narrow_range = False
