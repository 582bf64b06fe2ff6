"""Tiles of channels: a tile is up to 64 channels, one for each lane of a vector."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from ..dtypes import DataType, IntArray

WORD_BITS = 64
# Blocks of memory start on a cache line, which is also the widest SIMD register.
LINE_WORDS = 8


def tile_lanes(channels: int) -> list[int]:
    """Return the lanes of each tile of ``channels``: 64, and for the rest 8, 16, 32 or 64.

    >>> tile_lanes(148)
    [64, 64, 32]
    """
    whole, rest = divmod(channels, WORD_BITS)
    last = [max(LINE_WORDS, 1 << (rest - 1).bit_length())] if rest else []
    return [WORD_BITS] * whole + last


def tile_groups(channels: int) -> list[tuple[range, int]]:
    """Return the numbers of the tiles and the lanes of each run of equal tiles.

    >>> tile_groups(148)
    [(range(0, 2), 64), (range(2, 3), 32)]
    """
    groups: list[tuple[range, int]] = []
    first = 0
    for lanes, run in groupby(tile_lanes(channels)):
        count = len(list(run))
        groups.append((range(first, first + count), lanes))
        first += count
    return groups


def in_lanes(values: IntArray, fill: int = 0) -> IntArray:
    """Return ``values`` padded to the lanes of all tiles along the last axis."""
    channels = values.shape[-1]
    result = np.full((*values.shape[:-1], sum(tile_lanes(channels))), fill, np.int64)
    result[..., :channels] = values
    return result


def in_words(bits: IntArray) -> IntArray:
    """Return the last axis of 0 and 1 packed into words, the first in the lowest bit."""
    padding = [(0, 0)] * (bits.ndim - 1) + [(0, -bits.shape[-1] % WORD_BITS)]
    octets = np.packbits(np.pad(bits, padding), axis=-1, bitorder="little")
    return octets.view(np.int64)


def lane_bits(low: int, high: int) -> int:
    """Return the bits of lanes, 16, 32 or 64, for integers from ``low`` to ``high``.

    ``high + 1`` must fit as well: it is the level that is never reached.
    """
    fitting = (b for b in (16, 32) if -(1 << (b - 1)) <= low and high + 1 < 1 << (b - 1))
    return next(fitting, 64)


def element_bits(dtype: DataType) -> int:
    """Return the bits of an integer in memory: 16, 32 or 64."""
    return lane_bits(dtype.min, dtype.max - 1)
