"""Integers to and from the bits of stream beats and memory words; lane 0 in the low bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .dtypes import DataType, IntArray

Bytes = NDArray[np.uint8]


def word_bytes(width_bits: int) -> int:
    """Return the bytes that one word of ``width_bits`` takes in a packed array."""
    return (width_bits + 7) // 8


def pack_words(values: IntArray, dtype: DataType) -> Bytes:
    """Return words whose lanes are ``values``, little-endian bytes.

    Args:
        values: Integers of ``dtype``, shape ``(words, lanes)``.
        dtype: Encoding of one lane.

    Returns:
        Shape ``(words, word_bytes(lanes * dtype.bits))``; unused high bits are 0.
    """
    words, lanes = values.shape
    codes = np.ascontiguousarray(dtype.to_codes(values))
    octets = codes.reshape(words, lanes, 1).view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, count=dtype.bits, bitorder="little")
    return np.packbits(bits.reshape(words, lanes * dtype.bits), axis=-1, bitorder="little")


def unpack_words(words: Bytes, lanes: int, dtype: DataType) -> IntArray:
    """Return the lanes of packed words; the inverse of :func:`pack_words`.

    Args:
        words: Shape ``(words, word_bytes(lanes * dtype.bits))``.
        lanes: Elements per word.
        dtype: Encoding of one lane.

    Returns:
        Integers of ``dtype``, shape ``(words, lanes)``.
    """
    count = words.shape[0]
    bits = np.unpackbits(words, axis=-1, count=lanes * dtype.bits, bitorder="little")
    padded = np.zeros((count, lanes, 64), np.uint8)
    padded[:, :, : dtype.bits] = bits.reshape(count, lanes, dtype.bits)
    codes = np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)
    return dtype.from_codes(codes.reshape(count, lanes))


def hex_lines(words: Bytes) -> str:
    """Return the text of a ``$readmemh`` file, one word a line, most significant digit first."""
    return "".join(f"{word[::-1].tobytes().hex()}\n" for word in words)
