"""From stages to kernel text: what each stage adds to its segment.

A stage that is not in ``LOWERINGS``, or whose ``supports`` says no, runs by ``Stage.execute``.

The vector lane is the channel: a *tile* is up to 64 channels, whose weights lie together, word by
word. The tile is the outer loop and the image the inner one, so that the weights of a tile stay in
the first-level cache. The results of a tile are one word of each plane of the output.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..dtypes import DataType, Encoding, IntArray
from ..graph import Stage
from ..stages import Argmax, Fifo, MatVec, Threshold, Width
from ..stages.kernels import Computes
from .builder import Builder, Form, tile_lanes
from .ending import Ending, in_lanes, tile_groups
from .vector import WORD_BITS

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
        """Only kernels with weights -1, 0, 1, and the same thresholds everywhere."""
        low, high = stage.accumulator_range
        is_known = stage.arithmetic.computes is not Computes.DISTANCE and stage.border is None
        is_known = is_known and bool((np.abs(stage.weights) <= 1).all())
        is_known = is_known and stage.groups == 1
        is_known = is_known and (stage.thresholds is None or stage.thresholds.is_monotone)
        return is_known and low > -_SAFE and high < _SAFE

    def lower(self, stage: MatVec, builder: Builder) -> None:
        """Emit for each size of tile a loop over tiles and, inside it, one over images."""
        source = builder.slots[stage.inputs[0]]
        target = builder.slot(stage.outputs[0], stage.output_types[0])
        is_signed = stage.input_dtype.encoding is Encoding.SIGNED
        # A mask also keeps lanes past the last neuron at 0 where no threshold does.
        is_bare = stage.thresholds is None and target.form is Form.PLANES
        is_masked = is_bare or bool((stage.weights == 0).any())
        scale, bias = _affine(stage)
        ending = Ending(
            stage.thresholds,
            target,
            builder,
            scale=scale,
            bias=bias,
            limits=stage.accumulator_range,
        )
        weights = builder.constant(_weight_tiles(stage.weights, is_masked))
        rows = source.words * (2 if is_masked else 1)
        emit = builder.emit
        emit(0, f"# {stage.name}: {stage.kernel} {stage.synapses} -> {stage.neurons}")
        for first, count, lanes in tile_groups(stage.neurons):

            def add_plane(depth: int, word: str, lanes: int = lanes) -> None:
                emit(depth, f"for k in range({source.words}):")
                if is_masked:
                    at = f"w + k * {2 * lanes}"
                    emit(depth + 1, f"a = agree_masked(a, s, {word} + k, {at}, {at} + {lanes})")
                else:
                    emit(depth + 1, f"a = agree(a, s, {word} + k, w + k * {lanes})")

            emit(0, f"for t in range({first}, {first + count}):")
            emit(1, f"w = {weights} + t * {rows * WORD_BITS}")
            emit(1, f"for i in range(n * {source.vectors}):")
            emit(2, f"x = S + {source.base} + i * {source.stride}", f"a = zero({lanes})")
            # Horner's scheme from the highest plane, which counts negative in two's complement.
            planes = stage.input_dtype.bits - is_signed
            if is_signed:
                add_plane(2, f"x + {planes * source.words}")
                emit(2, "a = negate(a)")
            if planes:
                emit(2, f"for p in range({planes}):")
                emit(3, "a = double(a)")
                add_plane(3, f"x + ({planes - 1} - p) * {source.words}")
            ending.emit(lanes)


class _Threshold(Lowering[Threshold]):
    """Staircases on integers."""

    def supports(self, stage: Threshold) -> bool:
        """Only those of one direction."""
        return stage.thresholds.is_monotone

    def lower(self, stage: Threshold, builder: Builder) -> None:
        """Emit for each size of tile a loop over tiles and, inside it, one over images."""
        source = builder.slots[stage.inputs[0]]
        target = builder.slot(stage.outputs[0], stage.output_types[0])
        channels = stage.thresholds.channels
        ending = Ending(stage.thresholds, target, builder)
        builder.emit(0, f"# {stage.name}: threshold")
        for first, count, lanes in tile_groups(channels):
            builder.emit(0, f"for t in range({first}, {first + count}):")
            builder.emit(1, f"for i in range(n * {source.vectors}):")
            start = f"S + {source.base} + i * {source.stride} + t * {WORD_BITS}"
            builder.emit(2, f"a = load(s, {start}, {lanes})")
            ending.emit(lanes)


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


def _affine(stage: MatVec) -> tuple[int, IntArray]:
    """Return scale and bias with which the population counts become the accumulators."""
    magnitudes, negatives = np.abs(stage.weights).sum(axis=1), (stage.weights < 0).sum(axis=1)
    if stage.arithmetic.computes is Computes.POPCOUNT:
        return 1, 0 * negatives
    if stage.input_dtype.encoding is Encoding.BIPOLAR:
        return 2, -magnitudes
    return 1, -negatives * _coefficient_sum(stage.input_dtype)


def _coefficient_sum(dtype: DataType) -> int:
    """Return the integer whose code is all ones."""
    return -1 if dtype.encoding is Encoding.SIGNED else (1 << dtype.bits) - 1


def _weight_tiles(weights: IntArray, is_masked: bool) -> IntArray:
    """Return the words of complemented weights, ``[tile][word][block][lane]``, flat.

    The blocks are the weights and, for ternary ones, the mask of those that are not 0. Bits past
    the last synapse are 0 in inputs and weights, and so never counted.
    """
    blocks = [weights < 0, weights != 0][: 2 if is_masked else 1]
    words = []
    for block in blocks:
        bits = np.pad(block, [(0, 0), (0, -block.shape[1] % WORD_BITS)])
        words.append(in_lanes(np.packbits(bits, axis=1, bitorder="little").view(np.int64).T))
    stacked = np.stack(words, axis=1)  # word, block, lane
    ends = np.cumsum(tile_lanes(len(weights)))[:-1]
    return np.concatenate([tile.reshape(-1) for tile in np.split(stacked, ends, axis=2)])


LOWERINGS: MappingProxyType[type[Stage], Lowering[Any]] = MappingProxyType(
    {
        MatVec: _MatVec(),
        Threshold: _Threshold(),
        Argmax: _Argmax(),
        Fifo: Identity(),
        Width: Identity(),
    }
)
