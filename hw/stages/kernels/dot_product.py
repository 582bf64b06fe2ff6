"""What kernels whose accumulator is the dot product share."""

from __future__ import annotations

import numpy as np

from ...dtypes import BIPOLAR, DataType, IntArray, signed, unsigned
from .kernel import Kernel


class DotProduct(Kernel):
    """A kernel of any integer inputs whose accumulator is the dot product."""

    def check_input(self, dtype: DataType) -> None:
        """Every integer datatype."""

    def accumulate(self, x: IntArray, weights: IntArray) -> IntArray:
        """Return dot products."""
        return exact_product(x, weights)

    def accumulator_range(self, dtype: DataType, weights: IntArray) -> tuple[int, int]:
        """Return the sum of each weight's extreme, over the worst row on either side."""
        extremes = np.stack([weights * dtype.min, weights * dtype.max])
        low = extremes.min(axis=0).sum(axis=1).min()
        high = extremes.max(axis=0).sum(axis=1).max()
        return int(low), int(high)


def magnitude(dtype: DataType) -> int:
    """Return the greatest absolute value of a datatype."""
    return max(-dtype.min, dtype.max)


def random_input(rng: np.random.Generator, max_bits: int = 8) -> DataType:
    """Return a bipolar, unsigned or signed datatype."""
    bits = int(rng.integers(1, max_bits + 1))
    return (BIPOLAR, unsigned(bits), signed(bits))[rng.integers(0, 3)]


def random_grid(rng: np.random.Generator, shape: tuple[int, int], max_bits: int) -> IntArray:
    """Return weights of a random width, on a grid with 0, or on the odd integers around it."""
    bits = int(rng.integers(1, max_bits + 1))
    if rng.random() < 1 / 2:
        return 2 * rng.integers(0, 1 << bits, shape) - (1 << bits) + 1
    return signed(bits).random(shape, rng)


def exact_product(x: IntArray, weights: IntArray) -> IntArray:
    """Return ``x @ weights.T`` by floating-point BLAS where 53 bits hold every partial sum."""
    bound = int(np.abs(x).max(initial=0)) * int(np.abs(weights).sum(axis=1).max(initial=0))
    if bound >= 1 << 53:
        return np.asarray(x @ weights.T, np.int64)
    return (x.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64)
