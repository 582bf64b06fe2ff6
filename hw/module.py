"""What a stage becomes in SystemVerilog: a module of ``hw/rtl``, its parameters, its memories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .dtypes import DataType, Encoding
from .packing import Bytes


@dataclass(frozen=True, kw_only=True)
class MemoryImage:
    """Contents of a memory, written as ``<stage>_<parameter>.hex`` for ``$readmemh``.

    Where the memory has slices, each has a file of its own, ``<stage>_<parameter>_<slice>.hex``.

    Attributes:
        words: Packed little-endian words, shape ``(depth, bytes)``.
        width_bits: Bits of a word.
        slice_bits: Bits of a slice of the words, see ``rom.sv``; None for whole words.
        twin_words: Other words by family of ``emit.FAMILIES`` whose twin of a module takes these.
    """

    words: Bytes
    width_bits: int
    slice_bits: int | None = None
    twin_words: Mapping[str, Bytes] = field(default_factory=dict)

    def of(self, family: str | None) -> MemoryImage:
        """Return the image for the modules of a family, None for the portable ones."""
        words = self.words if family is None else self.twin_words.get(family, self.words)
        return replace(self, words=words, twin_words={})

    def slices(self) -> tuple[Bytes, ...]:
        """Return the words of each slice, that of the low bits first."""
        if self.slice_bits is None or self.slice_bits >= self.width_bits:
            return (self.words,)
        bits = np.unpackbits(self.words, axis=-1, count=self.width_bits, bitorder="little")
        starts = range(0, self.width_bits, self.slice_bits)
        parts = (bits[:, at : at + self.slice_bits] for at in starts)
        return tuple(np.packbits(part, axis=-1, bitorder="little") for part in parts)


@dataclass(frozen=True, kw_only=True)
class Module:
    """An instance of a handwritten SystemVerilog module.

    A module with several inputs or outputs has them as one vector ``s_axis_tdata`` or
    ``m_axis_tdata``, the first in the low bits, and ``tvalid`` and ``tready`` alike.

    Attributes:
        name: Module name; its source is ``hw/rtl/<name>.sv``.
        parameters: Integer or string parameters by their SystemVerilog name; integers of more than
            31 bits are vectors, see ``vector``.
        memories: Images by the name of the string parameter that receives the file name.
        sources: Further modules that ``name`` instantiates, directly or not.
    """

    name: str
    parameters: Mapping[str, int | str]
    memories: Mapping[str, MemoryImage] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


def vector(numbers: Iterable[int], bits: int) -> int:
    """Return the parameter that holds numbers of ``bits`` bits each, the first in the low bits.

    >>> hex(vector([1, 2, 3], 8))
    '0x30201'
    """
    return sum(number << (bits * index) for index, number in enumerate(numbers))


def kinds(dtypes: Iterable[DataType]) -> int:
    """Return the parameter ``X_KINDS``, 2 bits each: 0 unsigned, 1 signed, 2 BIPOLAR."""
    order = (Encoding.UNSIGNED, Encoding.SIGNED, Encoding.BIPOLAR)
    return vector((order.index(dtype.encoding) for dtype in dtypes), 2)
