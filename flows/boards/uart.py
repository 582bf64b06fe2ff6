"""What travels over the serial line: bytes of images to the board, bytes of answers back."""

from __future__ import annotations

import numpy as np

from ...hw.dtypes import DataType, IntArray
from ...hw.graph import StreamType
from ...hw.packing import Bytes
from .board import Board, BoardError

DEFAULT_BAUD = 1_000_000
MAX_BAUD_ERROR = 0.02
MIN_CLOCKS_PER_BIT = 4
MIN_FIFO_BYTES = 2048  # one block RAM
MAX_FIFO_BYTES = 16384


def clocks_per_bit(board: Board, baud: int = DEFAULT_BAUD) -> int:
    """Return the clock cycles of one bit on the serial line.

    Raises:
        BoardError: The rate is no whole number of cycles within 2 %, or too fast for the clock.

    >>> from popshift.flows.boards import find_board
    >>> clocks_per_bit(find_board("ulx3s-85f"), 1_000_000)
    25
    """
    if baud < 1:
        raise BoardError(f"{board.name}: baud must be at least 1, got {baud}")
    clock_hz = board.clock_mhz * 1e6
    cycles = round(clock_hz / baud)
    if cycles < MIN_CLOCKS_PER_BIT:
        limit = int(clock_hz // MIN_CLOCKS_PER_BIT)
        raise BoardError(
            f"{board.name}: baud={baud} leaves {cycles} clock cycles a bit at "
            f"{board.clock_mhz:g} MHz; use {limit} or less"
        )
    error = clock_hz / cycles / baud - 1
    if abs(error) > MAX_BAUD_ERROR:
        raise BoardError(
            f"{board.name}: baud={baud} cannot be made from {board.clock_mhz:g} MHz within "
            f"{MAX_BAUD_ERROR:.0%}: {cycles} cycles a bit are {error:+.1%} off; "
            f"use {round(clock_hz / cycles)}"
        )
    return cycles


def element_bytes(dtype: DataType) -> int:
    """Return the bytes of one element on the serial line."""
    return (dtype.bits + 7) // 8


def image_bytes(stream: StreamType) -> int:
    """Return the bytes of one image on the serial line."""
    return stream.elements * element_bytes(stream.dtype)


def fifo_bytes(stream: StreamType) -> int:
    """Return the depth of the receive buffer: a power of two, two images where that is modest."""
    wanted = 1 << (2 * image_bytes(stream) - 1).bit_length()
    return min(max(wanted, MIN_FIFO_BYTES), MAX_FIFO_BYTES)


def to_uart_bytes(images: IntArray, stream: StreamType) -> Bytes:
    """Return the bytes of images: the code of each element, little-endian, channels fastest.

    Args:
        images: Integers of the stream's datatype, shape ``(images, *shape)``.
        stream: Type of the stream.

    Returns:
        Shape ``(images, image_bytes(stream))``.

    >>> from popshift.hw.dtypes import signed
    >>> stream = StreamType(dtype=signed(12), shape=(2,), lanes=1)
    >>> to_uart_bytes(np.array([[-1, 2]]), stream).tolist()
    [[255, 15, 2, 0]]
    """
    codes = np.ascontiguousarray(stream.dtype.to_codes(images.astype(np.int64)), "<u8")
    octets = codes.reshape(len(images), stream.elements, 1).view(np.uint8)
    return octets[:, :, : element_bytes(stream.dtype)].reshape(len(images), -1)


def from_uart_bytes(octets: Bytes, stream: StreamType) -> IntArray:
    """Return the images whose bytes were received; the inverse of :func:`to_uart_bytes`.

    Args:
        octets: Shape ``(images, image_bytes(stream))``.
        stream: Type of the stream.

    Returns:
        Integers of the stream's datatype, shape ``(images, *shape)``.
    """
    size = element_bytes(stream.dtype)
    padded = np.zeros((len(octets), stream.elements, 8), np.uint8)
    padded[:, :, :size] = octets.reshape(len(octets), stream.elements, size)
    codes = padded.view("<u8")[..., 0].astype(np.uint64)
    return stream.dtype.from_codes(codes).reshape(len(octets), *stream.shape)
