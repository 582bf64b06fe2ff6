"""Images made larger by exact integer arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def upscale(images: NDArray[np.int64], factor: int, top: int, new_top: int) -> NDArray[np.int64]:
    """Return ``images`` enlarged by linear interpolation, values 0 to ``new_top``.

    Pixels are squares: the first and last new ones lie beyond the outermost old centres and repeat
    them. Results are rounded half up, and the same on every machine.

    Args:
        images: Values 0 to ``top``, shape ``(images, size, size)``.
        factor: New pixels for each old one in a row.
        top: Largest value that ``images`` can have.
        new_top: What it becomes.

    >>> upscale(np.array([[[0, 8], [0, 8]]]), 2, 8, 80)[0, 0].tolist()
    [0, 20, 60, 80]
    """
    size = images.shape[-1]
    weight = _weights(size, factor)
    denominator = (2 * factor) ** 2 * top
    scaled = (weight @ images @ weight.T) * new_top
    result: NDArray[np.int64] = (2 * scaled + denominator) // (2 * denominator)
    return result


def _weights(size: int, factor: int) -> NDArray[np.int64]:
    """Return shares of old pixels in new ones, in parts of ``2 * factor``."""
    weight = np.zeros((size * factor, size), np.int64)
    for new in range(size * factor):
        # centre of the new pixel in halves of itself, from the centre of the first old one
        position = 2 * new + 1 - factor
        left, part = divmod(position, 2 * factor)
        weight[new, max(left, 0)] += 2 * factor - part
        weight[new, min(left + 1, size - 1)] += part
    return weight
