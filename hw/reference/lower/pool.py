"""Lowering of ``pool``."""

from __future__ import annotations

from collections.abc import Sequence

from ...dtypes import DataType, Encoding
from ...stages import Pool
from ..builder import Builder
from ..ending import Ending
from ..index import Index
from ..lanes import lane_bits
from ..layout import Axis, Form, Layout, View
from .lowering import Lowering
from .window import windows

# Bits up to which a maximum is found in planes, 64 channels at once, instead of in integers.
_PLANES = 4


class LowerPool(Lowering[Pool]):
    """Maxima of planes or of integers, sums of integers."""

    def takes(self, stage: Pool, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """Planes for a maximum that leaves in planes, else integers."""
        is_max = stage.operation == "max"
        is_planes = is_max and outputs[0].form is Form.PLANES and stage.input_dtype.bits <= _PLANES
        fill = stage.input_dtype.min if is_max else 0
        return (Layout(Form.PLANES if is_planes else Form.INTS, stage.padding, fill),)

    def lower(
        self,
        stage: Pool,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Emit loops over the windows."""
        source = windows(sources[0], stage.lines, stage.output_types[0])
        limits = source.slot.limits if stage.operation == "max" else None
        target = builder.slot(stage.output_types[0], outputs[0], limits).view
        height, width = stage.kernel
        builder.emit(f"# {stage.name}: {stage.operation} of {height} x {width}")
        axes = [Axis(a.extent, a.stride * source.slot.pixel) for a in source.parts[:2]]
        if source.slot.layout.form is Form.PLANES:
            _greatest_codes(stage.input_dtype, source, axes, target, builder)
        else:
            _in_lanes(stage, source, axes, target, builder)
        return (target,)


def _in_lanes(
    stage: Pool, source: View, axes: Sequence[Axis], target: View, builder: Builder
) -> None:
    """Emit maxima or sums of integers."""
    before = source.slot.unit_bits
    low, high = target.type.dtype.min, target.type.dtype.max
    is_sum = stage.operation == "sum"
    bits = max(before, lane_bits(low, high - 1)) if is_sum else before
    ending = Ending(None, target, builder, bits=bits, limits=(low, high))
    for tile in builder.tiles(stage.channels):
        with builder.vectors(x=source, y=target) as position:
            first = Index.of("x") + tile.first
            start = f"load(s, {first}, {bits}, {tile.lanes})"
            builder.emit(f"a = {f'zero({bits}, {tile.lanes})' if is_sum else start}")
            with builder.units(axes, 1) as (at, _):
                tap = f"load(s, {first + at}, {before}, {tile.lanes})"
                builder.emit(f"a = {'added' if is_sum else 'greater'}(a, {tap})")
            ending.emit(tile, position)


def _greatest_codes(
    dtype: DataType, source: View, axes: Sequence[Axis], target: View, builder: Builder
) -> None:
    """Emit maxima of the integers whose codes are in planes, bit by bit from the highest.

    ``f`` has the bits where the tap is the greater one, ``d`` those where that is decided.
    """
    planes, (before, after) = range(dtype.bits), (source.slot.plane, target.slot.plane)
    _, words = target.runs
    with builder.vectors(x=source, y=target), builder.loop("k", words) as word:
        x, y = Index.of("x") + word, Index.of("y") + word
        builder.emit(*(f"b{p} = word(s, {x + p * before})" for p in planes))
        with builder.units(axes, 1) as (at, _):
            builder.emit(*(f"e{p} = word(s, {x + at + p * before})" for p in planes))
            builder.emit("f = 0", "d = 0")
            for p in reversed(planes):
                # The highest bit of two's complement makes the smaller one.
                is_sign = dtype.encoding is Encoding.SIGNED and p == dtype.bits - 1
                wins = f"b{p} & ~e{p}" if is_sign else f"e{p} & ~b{p}"
                builder.emit(f"f |= {wins} & ~d", f"d |= b{p} ^ e{p}")
            builder.emit(*(f"b{p} ^= (b{p} ^ e{p}) & f" for p in planes))
        builder.emit(*(f"put(s, {y + p * after}, b{p})" for p in planes))
