"""Integer datatypes of stream elements and their bit encodings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .errors import DatatypeError

IntArray = NDArray[np.int64]

MAX_BITS = 64


class Encoding(Enum):
    """How the bits of an element stand for its integer."""

    BIPOLAR = "BIPOLAR"  # one bit b stands for 2b - 1
    UNSIGNED = "UINT"
    SIGNED = "INT"  # two's complement


@dataclass(frozen=True, slots=False)
class DataType:
    """A set of integers and its encoding in bits, named as in QONNX: BIPOLAR, UINT4, INT8.

    Attributes:
        encoding: Meaning of the bits.
        bits: Bits of one element, 1 to 64; 1 for BIPOLAR.

    Raises:
        DatatypeError: ``bits`` is out of range for the encoding.
    """

    encoding: Encoding
    bits: int

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise DatatypeError(f"datatype: bits must be 1 to {MAX_BITS}, got {self.bits}")
        if self.encoding is Encoding.BIPOLAR and self.bits != 1:
            raise DatatypeError(f"datatype: BIPOLAR has 1 bit, got {self.bits}")

    @classmethod
    def parse(cls, name: str) -> DataType:
        """Return the datatype called ``name``; BINARY is UINT1 and TERNARY is INT2.

        Raises:
            DatatypeError: ``name`` is none of BIPOLAR, BINARY, TERNARY, UINTn, INTn.

        >>> DataType.parse("UINT5").max
        31
        """
        aliases = {"BIPOLAR": BIPOLAR, "BINARY": unsigned(1), "TERNARY": signed(2)}
        if name in aliases:
            return aliases[name]
        match = re.fullmatch(r"(U?INT)([1-9][0-9]?)", name)
        if match is None:
            raise DatatypeError(
                f"datatype: {name!r} is none of BIPOLAR, BINARY, TERNARY, UINTn, INTn"
            )
        return cls(Encoding(match[1]), int(match[2]))

    @property
    def name(self) -> str:
        """QONNX name of the datatype."""
        if self.encoding is Encoding.BIPOLAR:
            return "BIPOLAR"
        return f"{self.encoding.value}{self.bits}"

    @cached_property
    def min(self) -> int:
        """Smallest integer."""
        if self.encoding is Encoding.BIPOLAR:
            return -1
        return 0 if self.encoding is Encoding.UNSIGNED else -(1 << (self.bits - 1))

    @cached_property
    def max(self) -> int:
        """Largest integer."""
        if self.encoding is Encoding.BIPOLAR:
            return 1
        return (
            (1 << self.bits) - 1
            if self.encoding is Encoding.UNSIGNED
            else (1 << (self.bits - 1)) - 1
        )

    def check(self, values: NDArray[np.generic], where: str) -> IntArray:
        """Return ``values`` as int64 after checking that each belongs to the set.

        Raises:
            DatatypeError: A value is no integer or outside the set; says which and where.
        """
        array = np.asarray(values)
        integers: IntArray = array.astype(np.int64)
        wrong = integers != array
        wrong |= (integers < self.min) | (integers > self.max)
        if self.encoding is Encoding.BIPOLAR:
            wrong |= integers == 0
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            members = "or" if self.encoding is Encoding.BIPOLAR else "to"
            raise DatatypeError(
                f"{where}: element {index} is {array[index]}, which is not in {self.name} "
                f"({self.min} {members} {self.max})"
            )
        return integers

    def random(self, shape: tuple[int, ...], rng: np.random.Generator) -> IntArray:
        """Return integers drawn evenly from the set."""
        if self.encoding is Encoding.BIPOLAR:
            return 2 * rng.integers(0, 2, shape) - 1
        return rng.integers(self.min, self.max, shape, endpoint=True)

    def to_codes(self, values: IntArray) -> NDArray[np.uint64]:
        """Return the unsigned bit patterns of integers of this set (same shape)."""
        if self.encoding is Encoding.BIPOLAR:
            return (values > 0).astype(np.uint64)
        mask = np.uint64((1 << self.bits) - 1)
        return values.astype(np.int64).view(np.uint64) & mask

    def from_codes(self, codes: NDArray[np.uint64]) -> IntArray:
        """Return the integers that unsigned bit patterns stand for (same shape)."""
        if self.encoding is Encoding.BIPOLAR:
            return 2 * codes.astype(np.int64) - 1
        values = codes.astype(np.uint64).view(np.int64)
        if self.encoding is Encoding.SIGNED and self.bits < MAX_BITS:
            shift = MAX_BITS - self.bits
            return (values << shift) >> shift
        return values


def unsigned(bits: int) -> DataType:
    """Return UINT<bits>."""
    return DataType(Encoding.UNSIGNED, bits)


def signed(bits: int) -> DataType:
    """Return INT<bits>."""
    return DataType(Encoding.SIGNED, bits)


def smallest_for(low: int, high: int) -> DataType:
    """Return the narrowest UINT or INT that holds every integer from ``low`` to ``high``.

    >>> smallest_for(0, 128).name, smallest_for(-4, 3).name
    ('UINT8', 'INT3')
    """
    if low > high:
        raise DatatypeError(f"datatype: empty range {low} to {high}")
    if low >= 0:
        return unsigned(max(1, high.bit_length()))
    return signed(1 + max((-low - 1).bit_length(), max(high, 0).bit_length()))


BIPOLAR = DataType(Encoding.BIPOLAR, 1)
