"""Kernel ``coded``: weights that are sums of a few signs times plane scales of their row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ... import cost
from ...cost import Cost
from ...dtypes import DataType, IntArray
from .dot_product import DotProduct, magnitude, random_input
from .kernel import WeightCode, signed_sum, weight_dtype
from .planes import MAX_INPUT_BITS, Planes
from .sign_planes import plane_scales, sign_codes
from .signed import Signed

# Values of W_FORM: how the sum of a plane is made.
ADDED, COUNTED = 0, 1

_SIGNS = WeightCode(bits=1)
_SIGNED, _PLANES = Signed(), Planes()


class Coded(DotProduct):
    """Integer x binary coding ``w = sum_i m_i s_i`` with signs s_i (arXiv:1802.00150, eq. 2).

    The plane scales m_i are those of a neuron and are found from its integers, see
    :func:`plane_scales`. A weight is stored as its signs, a bit each. The sums of all planes are
    accumulated apart; behind the accumulators ``scaled_planes.sv`` weighs them, once a neuron. The
    inputs of a plane are added and subtracted as with the kernel ``signed``, or their bits are
    counted as with ``planes``, whichever is smaller.
    """

    name = "coded"
    sources = ("delay", "dot_planes", "dot_signed", *_PLANES.sources, *_SIGNED.sources)
    has_plane_scales = True

    def code(self, weights: IntArray) -> WeightCode:
        """A bit for each plane; ``high`` bits of a scale, which are twice as large if ``low``."""
        weight_dtype(self, weights)
        scales = plane_scales(weights)
        is_halved = int((scales & 1).any())
        bits = int(scales.max() >> (1 - is_halved)).bit_length()
        return WeightCode(bits=scales.shape[1], low=is_halved, high=max(1, bits))

    def scales(self, weights: IntArray, code: WeightCode) -> IntArray:
        """Return the scales as they are stored, shape ``(rows, planes)``, below ``2^high``."""
        return plane_scales(weights) >> (1 - code.low)

    def signs(self, weights: IntArray) -> IntArray:
        """Return the signs of all planes, -1 and 1, shape ``(rows * planes, columns)``."""
        scales = plane_scales(weights)
        codes = sign_codes(weights, scales).astype(np.int64)
        bits = codes[:, None, :] >> np.arange(scales.shape[1])[:, None] & 1
        return (2 * bits - 1).reshape(-1, weights.shape[1])

    def sum_dtype(self, dtype: DataType, code: WeightCode, simd: int) -> DataType:
        """Signed, of the inputs of a plane."""
        return signed_sum(simd, magnitude(dtype))

    def cycles(self, code: WeightCode, simd: int) -> int:
        """Two, whichever way."""
        return 2

    def form(self, dtype: DataType, code: WeightCode, simd: int, pe: int) -> int:
        """Return ``W_FORM``, the smaller way to the sums of planes."""
        if dtype.bits > MAX_INPUT_BITS:
            return ADDED
        neurons = pe * code.bits
        added = _SIGNED.cost(dtype, _SIGNS, simd, neurons)
        return COUNTED if _PLANES.cost(dtype, _SIGNS, simd, neurons).lut < added.lut else ADDED

    def to_codes(self, weights: IntArray, code: WeightCode) -> NDArray[np.uint64]:
        """Bit i for the sign of plane i."""
        return sign_codes(weights, plane_scales(weights))

    def random(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[DataType, IntArray]:
        """Inputs up to 8 bits; one to four planes, with equal scales, zeros and halves."""
        rows, columns = shape
        planes = int(rng.integers(1, 5))
        scales = rng.integers(0, 1 << int(rng.integers(1, 7)), (rows, planes))
        signs = rng.choice([-1, 1], (rows, planes, columns))
        weights: IntArray = np.einsum("rp,rpc->rc", scales, signs)
        if rng.random() < 1 / 2:
            weights = np.where((weights & 1).any(axis=1, keepdims=True), weights, weights >> 1)
        return random_input(rng), weights

    def cost(self, dtype: DataType, code: WeightCode, simd: int, pe: int = 1) -> Cost:
        """Those of the kernel of signs, each plane a neuron."""
        neurons = pe * code.bits
        if self.form(dtype, code, simd, pe) == COUNTED:
            return _PLANES.cost(dtype, _SIGNS, simd, neurons)
        total = _SIGNED.cost(dtype, _SIGNS, simd, neurons)
        waits = self.cycles(code, simd) - _SIGNED.cycles(_SIGNS, simd)
        sum_bits = self.sum_dtype(dtype, code, simd).bits
        return total + cost.register(waits * neurons * (sum_bits + 1))
