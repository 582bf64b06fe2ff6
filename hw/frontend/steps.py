"""The greatest step of which floats are whole multiples, exactly."""

from __future__ import annotations

import math

import numpy as np

from .functions import F64

_MANTISSA_BITS = 53
_MAX_BITS = 62  # of an integer number of steps


def common_step(values: F64) -> float | None:
    """Return the greatest step of which all values are whole multiples; 1 if all are 0.

    Every float is an integer times a power of two, so there is one; it is the greatest common
    divisor. Floats that were drawn from no grid have a step so small that it is of no use.

    >>> common_step(np.array([0.75, -1.5, 0.0])), common_step(np.array([0.5, 4.0]))
    (0.75, 0.5)

    Returns:
        None where some value is 2^62 steps or more.
    """
    nonzero = values[values != 0]
    if not nonzero.size:
        return 1.0
    fractions, exponents = np.frexp(np.unique(np.abs(nonzero)))
    odd = np.ldexp(fractions, _MANTISSA_BITS).astype(np.int64)
    zeros = np.log2((odd & -odd).astype(np.float64)).astype(np.int64)
    odd >>= zeros
    exponents = exponents.astype(np.int64) - _MANTISSA_BITS + zeros
    shifts = exponents - exponents.min()
    if int(shifts.max()) + _MANTISSA_BITS > _MAX_BITS and _widest(odd, shifts) > _MAX_BITS:
        return None
    return math.ldexp(float(np.gcd.reduce(odd << shifts)), int(exponents.min()))


def _widest(odd: np.ndarray, shifts: np.ndarray) -> int:
    """Return the bits of the largest of ``odd << shifts``."""
    return max(int(n).bit_length() + int(s) for n, s in zip(odd, shifts, strict=True))
