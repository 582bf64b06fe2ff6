"""From stages to kernel text: what each stage adds to its segment.

A stage that is not in ``LOWERINGS``, or whose ``supports`` says no, runs by ``Stage.execute``.

The vector lane is the channel: a *tile* is 64 channels, 8 SIMD vectors, whose weights lie together,
``[word][channel]``. The tile is the outer loop and the image the inner one, so that the weights of
a tile stay in the first-level cache. Results of a tile are one word of each plane of the output.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..dtypes import BIPOLAR, DataType, Encoding, IntArray, unsigned
from ..graph import Stage
from ..stages import Argmax, Fifo, MatVec, Threshold, Thresholds, Width
from .builder import Builder, Form, Slot
from .vector import LANES, WORD_BITS

# Accumulators beyond this are left to Stage.execute: levels minus offsets must fit 64 bits.
_SAFE = 1 << 61

Scalars = TypeVar("Scalars", IntArray, NDArray[np.bool_])
AnyStage = TypeVar("AnyStage", bound=Stage)


class Lowering(ABC, Generic[AnyStage]):
    """How a class of stages becomes kernel text.

    Attributes:
        takes: Form in which the stage wants its inputs.
        gives: Forms in which it can leave its outputs.
    """

    takes: Form = Form.INTS
    gives: frozenset[Form] = frozenset(Form)

    def supports(self, stage: AnyStage) -> bool:
        """Return whether this very stage can be lowered."""
        return True

    @abstractmethod
    def lower(self, stage: AnyStage, builder: Builder) -> None:
        """Add the stage to the kernel."""


class _MatVec(Lowering[MatVec]):
    """Population counts of equal bits, plane by plane.

    With ``x = sum_b c_b x_b`` over the bits of its code, ``sum_k w_k x_bk = P_b - m``, where
    ``P_b`` counts the bits equal to those of the weights and ``m`` the weights that are -1. So the
    value is ``sum_b c_b P_b - m sum_b c_b``: ``scale * raw + bias`` for every kernel and datatype.
    """

    takes = Form.PLANES

    def supports(self, stage: MatVec) -> bool:
        """Only kernels with weights -1, 0, 1."""
        low, high = stage.accumulator_range
        return stage.kernel in {"xnor", "signed"} and low > -_SAFE and high < _SAFE

    def lower(self, stage: MatVec, builder: Builder) -> None:
        """Emit tiles of 64 neurons, one loop over images each."""
        source = builder.slots[stage.inputs[0]]
        target = builder.slot(stage.outputs[0], stage.output_types[0])
        dtype, is_masked = stage.input_dtype, bool((stage.weights == 0).any())
        scale, bias = _affine(stage)
        tail = _Tail(stage.thresholds, target, scale, bias, stage.accumulator_range, builder)
        blocks = 2 if is_masked else 1
        weights = builder.constant(_weight_tiles(stage.weights, is_masked))
        row = source.words * LANES * blocks
        builder.emit(
            0,
            f"# {stage.name}: {stage.kernel} {stage.synapses} -> {stage.neurons}, "
            f"{dtype.bits} planes of {source.words} words",
        )

        def count(tile: Tile, depth: int, word: str) -> None:
            builder.emit(depth, f"for k in range({source.words}):")
            builder.emit(depth + 1, f"b = splat(s, {word})")
            for v in range(tile.vectors):
                at = f"w + k * {blocks * LANES * tile.vectors} + {blocks * LANES * v}"
                masked = f"agree_masked(a{v}, b, s, {at}, {at} + {LANES})"
                call = masked if is_masked else f"agree(a{v}, b, s, {at})"
                builder.emit(depth + 1, f"a{v} = {call}")

        for tile in tiles(stage.neurons):
            lanes = range(tile.vectors)
            builder.emit(0, f"for t in range({tile.first}, {tile.first + tile.count}):")
            builder.emit(1, f"w = {weights} + t * {row * (WORD_BITS // LANES)}")
            builder.emit(1, f"for i in range(n * {source.vectors}):")
            builder.emit(2, f"x = S + {source.base} + i * {source.stride}")
            builder.emit(2, *(f"a{v} = zero()" for v in lanes))
            # Horner's scheme from the highest plane, which counts negative in two's complement.
            planes = dtype.bits
            if dtype.encoding is Encoding.SIGNED:
                planes -= 1
                count(tile, 2, f"x + {planes * source.words} + k")
                builder.emit(2, *(f"a{v} = negate(a{v})" for v in lanes))
            if planes == 1 and dtype.encoding is not Encoding.SIGNED:
                count(tile, 2, "x + k")
            elif planes:
                builder.emit(2, f"for p in range({planes}):")
                builder.emit(3, *(f"a{v} = double(a{v})" for v in lanes))
                count(tile, 3, f"x + ({planes - 1} - p) * {source.words} + k")
            tail.emit(tile.vectors)


class _Threshold(Lowering[Threshold]):
    """Staircases on integers."""

    def lower(self, stage: Threshold, builder: Builder) -> None:
        """Emit tiles of 64 channels."""
        source = builder.slots[stage.inputs[0]]
        target = builder.slot(stage.outputs[0], stage.output_types[0])
        channels = stage.thresholds.channels
        tail = _Tail(stage.thresholds, target, 1, np.zeros(channels, np.int64), None, builder)
        builder.emit(0, f"# {stage.name}: threshold")
        for tile in tiles(channels):
            builder.emit(0, f"for t in range({tile.first}, {tile.first + tile.count}):")
            builder.emit(1, f"for i in range(n * {source.vectors}):")
            builder.emit(2, f"x = S + {source.base} + i * {source.stride} + t * {WORD_BITS}")
            builder.emit(2, *(f"a{v} = load(s, x + {v * LANES})" for v in range(tile.vectors)))
            tail.emit(tile.vectors)


class _Argmax(Lowering[Argmax]):
    """First index of the maximum."""

    gives = frozenset({Form.INTS})

    def lower(self, stage: Argmax, builder: Builder) -> None:
        """Emit the scalar loop."""
        source = builder.slots[stage.inputs[0]]
        target = builder.slot(stage.outputs[0], stage.output_types[0])
        builder.emit(0, f"# {stage.name}: argmax of {stage.classes}")
        builder.emit(0, f"for i in range(n * {source.vectors}):")
        builder.emit(1, f"x = S + {source.base} + i * {source.stride}")
        builder.emit(1, "best = 0", f"for c in range(1, {stage.classes}):")
        builder.emit(2, "if word(s, x + c) > word(s, x + best):", "    best = c")
        builder.emit(1, f"put(s, S + {target.base} + i * {target.stride}, best)")


class Identity(Lowering[Stage]):
    """Stages that only store or cut beats: the output is the input."""

    def lower(self, stage: Stage, builder: Builder) -> None:
        """Let both streams share the slot."""
        builder.slots[stage.outputs[0]] = builder.slots[stage.inputs[0]]


class Tile:
    """``count`` tiles from number ``first`` on, of ``vectors`` SIMD vectors each."""

    def __init__(self, first: int, count: int, vectors: int) -> None:
        self.first, self.count, self.vectors = first, count, vectors


def tiles(channels: int) -> list[Tile]:
    """Return the whole tiles of 64 channels and the last, shorter one."""
    whole, rest = divmod(channels, WORD_BITS)
    found = [Tile(0, whole, WORD_BITS // LANES)] if whole else []
    return found + ([Tile(whole, 1, -(-rest // LANES))] if rest else [])


class _Tail:
    """What happens to the vectors ``a0``, ``a1``, ... of a tile: thresholds, output."""

    def __init__(
        self,
        thresholds: Thresholds | None,
        target: Slot,
        scale: int,
        bias: IntArray,
        limits: tuple[int, int] | None,
        builder: Builder,
    ) -> None:
        self.thresholds, self.target, self.scale, self.builder = (
            thresholds,
            target,
            scale,
            builder,
        )
        if thresholds is None:
            self.bias = builder.constant(pad(bias))
            return
        levels = thresholds.levels
        if limits is not None:
            levels = np.clip(levels, limits[0], limits[1] + 1)
        # scale * raw + bias >= level  <=>  raw >= ceil((level - bias) / scale)
        levels = -((bias[:, None] - levels) // scale)
        padded = pad(levels.T)
        self.row = padded.shape[-1]
        self.levels = builder.constant(padded)
        falls = ~thresholds.is_rising
        if self.is_one_bit:
            words = np.packbits(pad_to(falls, WORD_BITS), bitorder="little").view(np.int64)
            self.falls = builder.constant(words)
        else:
            # A falling channel counts steps - count = (count ^ -1) + steps + 1.
            self.falls = builder.constant(pad(-falls.astype(np.int64)))
            top = thresholds.steps * (2 if self.is_bipolar_int else 1) + 1
            base = -1 if self.is_bipolar_int else thresholds.base
            self.offset = builder.constant(pad(base + np.where(falls, top, 0)))

    @property
    def is_one_bit(self) -> bool:
        """Whether the comparison itself is the code of the result."""
        t = self.thresholds
        is_code = t is not None and t.steps == 1 and t.dtype in (BIPOLAR, unsigned(1))
        return is_code and self.target.form is Form.PLANES

    @property
    def is_bipolar_int(self) -> bool:
        """Whether the count 0 or 1 leaves as the integer -1 or +1."""
        return self.target.type.dtype == BIPOLAR and self.target.form is Form.INTS

    def emit(self, vectors: int) -> None:
        """Emit the tail for a tile of ``vectors`` vectors."""
        emit, target = self.builder.emit, self.target
        emit(2, f"y = S + {target.base} + i * {target.stride}", f"c = t * {WORD_BITS}")
        if self.is_one_bit:
            marks = [f"reach(a{v}, s, {self.levels} + c + {v * LANES})" for v in range(vectors)]
            self._put_word(marks, "y + t", f" ^ word(s, {self.falls} + t)")
            return
        if self.thresholds is None:
            for v in range(vectors):
                if self.scale == 2:
                    emit(2, f"a{v} = double(a{v})")
                emit(2, f"a{v} = plus(a{v}, s, {self.bias} + c + {v * LANES})")
        else:
            self._staircase(vectors)
        if target.form is Form.INTS:
            emit(2, *(f"store(s, y + c + {v * LANES}, a{v})" for v in range(vectors)))
            return
        for bit in range(target.type.dtype.bits):
            marks = [f"plane(a{v}, {bit})" for v in range(vectors)]
            self._put_word(marks, f"y + {bit * target.words} + t", "")

    def _staircase(self, vectors: int) -> None:
        """Emit the count of levels reached and its value."""
        assert self.thresholds is not None
        emit = self.builder.emit
        for v in range(vectors):
            emit(2, "q = zero()", f"for j in range({self.thresholds.steps}):")
            emit(3, f"q = step(q, a{v}, s, {self.levels} + j * {self.row} + c + {v * LANES})")
            if self.is_bipolar_int:
                emit(2, "q = double(q)")
            emit(2, f"q = flip(q, s, {self.falls} + c + {v * LANES})")
            emit(2, f"a{v} = plus(q, s, {self.offset} + c + {v * LANES})")

    def _put_word(self, marks: list[str], place: str, change: str) -> None:
        """Emit one output word from the 8-bit masks of the vectors; bits past the last are 0."""
        joined = " | ".join(f"{m} << {v * LANES}" if v else m for v, m in enumerate(marks))
        rest = self.target.channels % WORD_BITS
        keep = f" & {_mask(rest)}" if rest and len(marks) == -(-rest // LANES) else ""
        self.builder.emit(2, f"put(s, {place}, (({joined}){change}){keep})")


def _mask(bits: int) -> int:
    """Return the int64 with the low ``bits`` bits set."""
    return (1 << bits) - 1


def pad_to(values: Scalars, size: int) -> Scalars:
    """Return ``values`` with zeros up to a multiple of ``size`` along the last axis."""
    missing = -values.shape[-1] % size
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])


def pad(values: IntArray) -> IntArray:
    """Return ``values`` padded to whole SIMD vectors."""
    return pad_to(values, LANES)


def _affine(stage: MatVec) -> tuple[int, IntArray]:
    """Return scale and bias with which the population counts become the accumulators."""
    negative = (stage.weights == -1).sum(axis=1)
    if stage.kernel == "xnor":
        return 1, np.zeros(stage.neurons, np.int64)
    if stage.input_dtype.encoding is Encoding.BIPOLAR:
        return 2, -np.asarray(np.abs(stage.weights).sum(axis=1), np.int64)
    return 1, -np.asarray(negative * _coefficient_sum(stage.input_dtype), np.int64)


def _coefficient_sum(dtype: DataType) -> int:
    """Return the integer whose code is all ones."""
    return -1 if dtype.encoding is Encoding.SIGNED else (1 << dtype.bits) - 1


def _weight_tiles(weights: IntArray, is_masked: bool) -> IntArray:
    """Return the words of complemented weights, ``[tile][word][vector][block][lane]``, flat.

    The blocks are the weights and, for ternary ones, the mask of those that are not 0. Bits past
    the last synapse are 0 in inputs and weights, and so never counted.
    """
    blocks = [weights < 0, weights != 0][: 2 if is_masked else 1]
    packed = []
    for block in blocks:
        octets = np.packbits(pad_to(block, WORD_BITS), axis=1, bitorder="little")
        words = octets.view(np.int64).T  # (words, neurons)
        packed.append(pad(words))
    parts = []
    for tile in tiles(len(weights)):
        for t in range(tile.first, tile.first + tile.count):
            start = t * WORD_BITS
            span = slice(start, start + tile.vectors * LANES)
            cut = [p[:, span].reshape(len(p), tile.vectors, 1, LANES) for p in packed]
            parts.append(np.concatenate(cut, axis=2).reshape(-1))
    return np.concatenate(parts)


LOWERINGS: MappingProxyType[type[Stage], Lowering[Any]] = MappingProxyType(
    {
        MatVec: _MatVec(),
        Threshold: _Threshold(),
        Argmax: _Argmax(),
        Fifo: Identity(),
        Width: Identity(),
    }
)
