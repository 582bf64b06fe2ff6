"""QONNX names of the integers that a network takes."""

from __future__ import annotations

import re

_MAX_BITS = 24  # float32, which torch computes in, holds every integer of 24 bits


def integer_range(name: str, where: str) -> tuple[int, int]:
    """Return the smallest and the largest integer of the datatype ``name``.

    Args:
        name: BIPOLAR (-1 and +1, not 0), UINTn or INTn, 1 to 24 bits.
        where: What ``name`` was given for; begins the message.

    Raises:
        ValueError: ``name`` is none of them.

    >>> integer_range("UINT5", "input_dtype"), integer_range("INT8", "input_dtype")
    ((0, 31), (-128, 127))
    """
    if name == "BIPOLAR":
        return -1, 1
    match = re.fullmatch(r"(U?)INT([1-9][0-9]?)", name)
    if match is None or int(match[2]) > _MAX_BITS:
        raise ValueError(
            f"{where}={name!r} is none of BIPOLAR, UINTn, INTn (n from 1 to {_MAX_BITS})"
        )
    bits = int(match[2])
    return (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
