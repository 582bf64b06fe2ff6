"""The text of a segment's kernel, its constants, and where each stream lies in its memory.

A kernel is one function ``run(x..., y..., s)``: the integers that come in and go out, and one int64
array that holds the constants and, behind them, every stream inside the segment for ``CHUNK``
images. Sizes and addresses are literals in the text, so that LLVM sees constant trip counts;
weights and levels are only in ``s``, so that networks of one shape share one compiled kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import prod

import numpy as np

from ..dtypes import Encoding, IntArray
from ..graph import StreamType
from .vector import WORD_BITS

CHUNK = 128
# Blocks of memory start on a cache line, which is also the widest SIMD register.
_LINE_WORDS = 8


def tile_lanes(channels: int) -> list[int]:
    """Return the lanes of each tile of ``channels``: 64, and for the rest 8, 16, 32 or 64.

    >>> tile_lanes(148)
    [64, 64, 32]
    """
    whole, rest = divmod(channels, WORD_BITS)
    last = [max(_LINE_WORDS, 1 << (rest - 1).bit_length())] if rest else []
    return [WORD_BITS] * whole + last


class Form(Enum):
    """How a stream lies in memory."""

    PLANES = "planes"  # per vector, one row of words for each bit of the code
    INTS = "ints"  # per vector, one int64 for each channel, padded to whole tiles


@dataclass(frozen=True)
class Slot:
    """A stream in the memory of a segment.

    Attributes:
        type: Type of the stream.
        form: How it lies there.
        base: Index of its first word, counted from the first stream.
    """

    type: StreamType
    form: Form
    base: int

    @property
    def channels(self) -> int:
        """Elements of a vector."""
        return self.type.shape[-1]

    @property
    def vectors(self) -> int:
        """Vectors of an image."""
        return prod(self.type.shape[:-1])

    @property
    def words(self) -> int:
        """Words of one plane of a vector."""
        return -(-self.channels // WORD_BITS)

    @property
    def stride(self) -> int:
        """Words from one vector to the next."""
        if self.form is Form.INTS:
            return sum(tile_lanes(self.channels))
        return self.type.dtype.bits * self.words

    def decode(self, memory: IntArray, images: int) -> IntArray:
        """Return the integers ``(images, *shape)`` that lie in ``memory``."""
        rows = memory[self.base : self.base + images * self.vectors * self.stride]
        if self.form is Form.INTS:
            values = rows.reshape(-1, self.stride)[:, : self.channels].copy()
        else:
            octets = rows.view(np.uint8).reshape(-1, self.type.dtype.bits, self.words * 8)
            bits = np.unpackbits(octets, axis=-1, count=self.channels, bitorder="little")
            codes = np.zeros((len(bits), self.channels), np.uint64)
            for bit in range(self.type.dtype.bits):
                codes |= bits[:, bit].astype(np.uint64) << np.uint64(bit)
            values = self.type.dtype.from_codes(codes)
        return values.reshape(images, *self.type.shape)


@dataclass
class Builder:
    """Grows the kernel of one segment.

    Attributes:
        forms: Form of every stream of the segment, which its consumer decides.
        lines: Text of the body, inside the loop over chunks of ``n`` images.
        constants: Blocks of ``s``, each on a cache line.
        slots: Where each stream lies; a stream that only changes its beats shares a slot.
    """

    forms: dict[str, Form]
    lines: list[str] = field(default_factory=list)
    constants: list[IntArray] = field(default_factory=list)
    slots: dict[str, Slot] = field(default_factory=dict)
    _constant_words: int = 0
    _stream_words: int = 0

    def emit(self, depth: int, *lines: str) -> None:
        """Add lines at a depth of indentation, 0 being the loop over chunks."""
        self.lines += ["    " * (depth + 2) + line for line in lines]

    def constant(self, values: IntArray) -> str:
        """Store ``values`` and return their first index."""
        flat = values.astype(np.int64).reshape(-1)
        base = self._constant_words
        padded = np.zeros(-(-len(flat) // _LINE_WORDS) * _LINE_WORDS, np.int64)
        padded[: len(flat)] = flat
        self.constants.append(padded)
        self._constant_words += len(padded)
        return str(base)

    def slot(self, name: str, kind: StreamType) -> Slot:
        """Reserve memory for ``CHUNK`` images of a stream, behind those before it."""
        slot = Slot(kind, self.forms[name], self._stream_words)
        size = CHUNK * slot.vectors * slot.stride
        self._stream_words += -(-size // _LINE_WORDS) * _LINE_WORDS
        self.slots[name] = slot
        return slot

    def read(self, name: str, index: int, element: str) -> None:
        """Emit the check of argument ``x<index>`` and its copy into stream ``name``."""
        slot = self.slots[name]
        x, dtype, channels = f"x{index}", slot.type.dtype, slot.channels
        limits = np.iinfo(element)
        low, high = max(dtype.min, int(limits.min)), min(dtype.max, int(limits.max))
        self.emit(0, f"# {name}: {dtype.name} x {channels}, from {element} to {slot.form.value}")
        self.emit(0, f"for i in range(n * {slot.vectors}):")
        self.emit(1, f"e = (first * {slot.vectors} + i) * {channels}")
        self.emit(1, f"o = S + {slot.base} + i * {slot.stride}")
        if slot.form is Form.INTS or channels < WORD_BITS:
            self._read_elements(slot, x, low, high)
            return
        whole, rest = divmod(channels, WORD_BITS)
        self.emit(1, f"for k in range({whole}):")
        self._read_word(2, slot, x, f"e + k * {WORD_BITS}", "k", "", low, high)
        if rest:
            # The last 64 elements again: those already packed are shifted out.
            mask = f" >> {WORD_BITS - rest} & {(1 << rest) - 1}"
            place = f"e + {channels - WORD_BITS}"
            self._read_word(1, slot, x, place, str(whole), mask, low, high)

    def _read_word(
        self, depth: int, slot: Slot, x: str, at: str, word: str, mask: str, low: int, high: int
    ) -> None:
        """Emit the packing of 64 elements from ``at`` into word ``word`` of every plane."""
        self.emit(depth, f"bad |= outside({x}, {at}, {low}, {high})")
        if slot.type.dtype.encoding is Encoding.BIPOLAR:
            self.emit(depth, f"bad |= ~pack({x}, {at}, 0)")
            self.emit(depth, f"put(s, o + {word}, outside({x}, {at}, {low}, 0){mask})")
            return
        for bit in range(slot.type.dtype.bits):
            target = f"o + {bit * slot.words} + {word}"
            self.emit(depth, f"put(s, {target}, pack({x}, {at}, {bit}){mask})")

    def _read_elements(self, slot: Slot, x: str, low: int, high: int) -> None:
        """Emit the copy of single elements, for short vectors and for streams of integers."""
        is_bipolar = slot.type.dtype.encoding is Encoding.BIPOLAR
        if slot.form is Form.PLANES:
            self.emit(1, f"for b in range({slot.stride}):", "    put(s, o + b, 0)")
        self.emit(1, f"for c in range({slot.channels}):")
        self.emit(2, f"v = element({x}, e + c)")
        self.emit(2, f"bad |= (v < {low}) | (v > {high})" + (" | (v == 0)" if is_bipolar else ""))
        if slot.form is Form.INTS:
            self.emit(2, "put(s, o + c, v)")
        elif is_bipolar:
            self.emit(2, "put(s, o, word(s, o) | (v + 1 >> 1 & 1) << c)")
        else:
            for b in range(slot.type.dtype.bits):
                self.emit(2, f"put(s, o + {b}, word(s, o + {b}) | (v >> {b} & 1) << c)")

    def write(self, name: str, index: int) -> None:
        """Emit the copy of stream ``name`` to argument ``y<index>``."""
        slot = self.slots[name]
        self.emit(0, f"# {name}: to y{index}")
        self.emit(0, f"for i in range(n * {slot.vectors}):")
        self.emit(1, f"for c in range({slot.channels}):")
        target = f"(first * {slot.vectors} + i) * {slot.channels} + c"
        self.emit(2, f"put(y{index}, {target}, word(s, S + {slot.base} + i * {slot.stride} + c))")

    @property
    def constant_words(self) -> int:
        """Words of ``s`` before the streams."""
        return self._constant_words

    def memory(self) -> IntArray:
        """Return a new ``s`` with the constants in place, on a 64-byte boundary."""
        words = self._constant_words + self._stream_words
        raw = np.zeros(words + 2 * _LINE_WORDS, np.int64)
        start = -raw.ctypes.data // 8 % _LINE_WORDS
        memory = raw[start : start + words]
        if self.constants:
            memory[: self._constant_words] = np.concatenate(self.constants)
        return memory

    def source(self, inputs: Sequence[str], outputs: Sequence[str]) -> str:
        """Return the text of ``run``, which returns 0, or 1 for a value outside, 2 for a shape."""
        arguments = [f"x{i}" for i in range(len(inputs))] + [f"y{i}" for i in range(len(outputs))]
        wrong = [
            f"x{i}.shape[{axis + 1}] != {size}"
            for i, name in enumerate(inputs)
            for axis, size in enumerate(self.slots[name].type.shape)
        ] + [f"x{i}.shape[0] != x0.shape[0]" for i in range(1, len(inputs))]
        head = [
            f"def run({', '.join(arguments)}, s):",
            f"    if {' or '.join(wrong)}:",
            "        return 2",
            f"    S = {self._constant_words}",
            "    bad = 0",
            f"    for first in range(0, x0.shape[0], {CHUNK}):",
            f"        n = min({CHUNK}, x0.shape[0] - first)",
        ]
        return "\n".join([*head, *self.lines, "    return 1 if bad else 0", ""])
