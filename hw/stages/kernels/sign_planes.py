"""Rows of integers as sums of signs times plane scales of their own, found from the integers."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise, permutations, product

import numpy as np
from numpy.typing import NDArray

from ...dtypes import IntArray
from ...errors import DatatypeError

MAX_PLANES = 5

# Up to so many planes every way to sign the greatest values is tried.
_MOST_TRIED = 4


def plane_scales(weights: IntArray) -> IntArray:
    """Return the plane scales of each row, doubled: ``2 w = sum_i scale_i s_i`` with signs s_i.

    A row has the fewest planes that there are, up to four; see :func:`scales_of`. It is doubled
    because the planes of integers may have scales that are halves: 3/2 and 1/2 make -2, -1, 1, 2.

    Args:
        weights: Shape ``(rows, columns)``.

    Returns:
        Integers from 0, shape ``(rows, planes)``, the greatest of a row first, 0 where a row has
        fewer planes than another.

    Raises:
        DatatypeError: A row is no sum of ``MAX_PLANES`` planes or fewer.
    """
    rows = []
    for number, row in enumerate(weights):
        values = np.unique(np.abs(row))[::-1]
        scales = scales_of(tuple(values.tolist()))
        if scales is None:
            raise DatatypeError(
                f"kernel coded takes rows that are sums of at most {MAX_PLANES} signs times plane "
                f"scales, got {len(values)} magnitudes in row {number} that are not"
            )
        rows.append(scales)
    planes = max(1, *map(len, rows))
    return np.array([[*scales, *(planes - len(scales)) * (0,)] for scales in rows], np.int64)


@lru_cache(maxsize=4096)
def scales_of(magnitudes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the doubled plane scales of a row, the greatest first, or None.

    >>> scales_of((7, 5, 3, 1)), scales_of((5, 0)), scales_of((9, 2))
    ((8, 4, 2), (5, 5), (11, 7))

    N planes make up to 2^(N-1) magnitudes, and N magnitudes are always N planes. Between the two,
    up to four planes are the solution of N equations: N magnitudes with any signs of planes, of
    which the greatest one has all positive. More than four follow by the rule of sums:
    with the greatest value v_0 the differences ``v_0 - v`` are sums of subsets of the scales, and
    the least that is not yet a sum is the next scale, if the row has all single ones.

    Args:
        magnitudes: Distinct absolute values, the greatest first.
    """
    if magnitudes[0] == 0:
        return ()
    count = len(magnitudes)
    for planes in range((count - 1).bit_length() + 1, MAX_PLANES + 1):
        if planes >= count:
            return _nested(magnitudes)
        tried = _solved if planes <= _MOST_TRIED else _summed
        scales = tried(magnitudes, planes)
        if scales is not None:
            return scales
    return None


def sign_codes(weights: IntArray, scales: IntArray) -> NDArray[np.uint64]:
    """Return the signs of each weight: bit i is 1 where plane i counts positive.

    Args:
        weights: Shape ``(rows, columns)``.
        scales: Doubled, shape ``(rows, planes)``; see :func:`plane_scales`.
    """
    signs = _signs(scales.shape[1])
    codes = np.empty(weights.shape, np.uint64)
    for row, own, found in zip(weights, scales, codes, strict=True):
        values, first = np.unique(signs @ own, return_index=True)
        found[:] = first[np.searchsorted(values, 2 * row)]
    return codes


@cache
def _signs(planes: int) -> IntArray:
    """Return the signs of every code, shape ``(2^planes, planes)``."""
    bits = np.arange(1 << planes)[:, None] >> np.arange(planes) & 1
    return np.asarray(2 * bits - 1, np.int64)


def _nested(magnitudes: tuple[int, ...]) -> tuple[int, ...]:
    """Return scales with which each magnitude has one plane more negative than the one above."""
    steps = [high - low for high, low in pairwise(magnitudes)]
    return tuple(sorted((*steps, magnitudes[0] + magnitudes[-1]), reverse=True))


def _solved(magnitudes: tuple[int, ...], planes: int) -> tuple[int, ...] | None:
    """Return scales that make all magnitudes, for any signs in N of them.

    Three rows of signs are linearly independent, and five span all four dimensions: one of the
    equations behind the first N - 1 always completes them.
    """
    given = 2 * np.array(magnitudes)
    for last in range(planes - 1, len(magnitudes)):
        sides = given[[*range(planes - 1), last]]
        candidates = np.rint(_inverses(planes) @ sides).astype(np.int64)
        sums = np.abs(candidates @ _signs(planes).T)
        is_made = (sums[:, :, None] == given).any(axis=1).all(axis=1)
        if is_made.any():
            found = np.abs(candidates[is_made.argmax()])
            return tuple(sorted(found.tolist(), reverse=True))
    return None


@cache
def _inverses(planes: int) -> NDArray[np.float64]:
    """Return the inverses of all matrices of signs whose first row is positive."""
    others = [signs for signs in product((-1, 1), repeat=planes) if abs(sum(signs)) < planes]
    systems = [((1,) * planes, *rows) for rows in permutations(others, planes - 1)]
    matrices = np.array(systems, np.float64)
    return np.linalg.inv(matrices[np.abs(np.linalg.det(matrices)) > 1 / 2])


def _summed(magnitudes: tuple[int, ...], planes: int) -> tuple[int, ...] | None:
    """Return scales by the rule of sums, see :func:`scales_of`."""
    top = magnitudes[0]
    scales: list[int] = []
    sums = {0}
    for difference in sorted({top - v for m in magnitudes for v in (m, -m)}):
        if difference in sums:
            continue
        if len(scales) == planes:
            return None
        scales.append(difference)
        sums |= {known + difference for known in sums}
    return tuple(scales[::-1]) if sum(scales) == 2 * top else None
