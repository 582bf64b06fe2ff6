"""Handlers of sums of data: integer points that have a common grid become an ``add`` stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from ..stages import Add
from ..stages.add import MAX_FACTOR
from .functions import F64, ROUNDING, add
from .islands import Constant, Island
from .nodes import Node
from .report import LayerNote
from .streams import check_accumulators, settle
from .walk import Handlers, Value, Walk

_CURE = (
    "quantize both with one shared scale before the sum, or with scales whose ratio is a power of "
    "two (e.g. one IntegerAct module for both)"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """The steps that several tensors are whole multiples of, but for terms.

    Attributes:
        step: One value or one per channel.
        factors: Steps that an integer of each stream is.
        term: Sum of what the tensors are besides, one value or one per channel.
    """

    step: F64
    factors: tuple[int, ...]
    term: F64


def add_islands(walk: Walk, node: Node, islands: Sequence[Island], signs: Sequence[int]) -> Island:
    """Return the sum of islands, each times +1 or -1, as integers of a new stage.

    With ``x_i = f_i n_i + t_i`` and ``f_i = g p_i`` for integers ``p_i`` that are the same in every
    channel, the sum is ``g sum(p_i n_i) + sum(t_i)``.

    Raises:
        UnsupportedOpError: An operand is no scaled integer, their elements lie in different orders,
            or they have no common grid.
    """
    ready = [_settled(walk, node, index, island) for index, island in enumerate(islands)]
    first = ready[0]
    for island in ready[1:]:
        if island.shape != first.shape:
            raise node.refuse(
                f"it adds {first.shape} and {island.shape}", "give both the same shape"
            )
        is_alike = island.layout.image == first.layout.image
        if not is_alike or (island.layout.positions != first.layout.positions).any():
            raise node.refuse(
                "the elements of its operands were moved differently and lie in different orders",
                "shuffle or flatten behind the sum, or both operands alike",
            )
    grid = _common_grid(node, ready, signs)
    name, stream = walk.new_stage("add")
    stage = Add(
        name=name,
        inputs=tuple(island.stream for island in ready),
        outputs=(stream,),
        input_dtypes=tuple(island.dtype for island in ready),
        factors=grid.factors,
        channels=first.channels,
        leading=first.layout.image[:-1],
    )
    walk.stages[name] = stage
    ends = [
        sorted((factor * island.low, factor * island.high))
        for factor, island in zip(grid.factors, ready, strict=True)
    ]
    low, high = sum(least for least, _ in ends), sum(most for _, most in ends)
    dtype = stage.output_types[0].dtype
    walk.layers[name] = LayerNote(
        stage=name,
        node=node.label,
        accumulators=(low, high),
        accumulator_dtype=dtype.name,
        result_dtype=dtype.name,
    )
    total = Island(
        stream=stream,
        dtype=dtype,
        low=low,
        high=high,
        layout=first.layout,
        scale=grid.step,
        rounding=_rounding(ready, grid),
    )
    whole = _with_whole_term(total, grid)
    if whole is None:
        return total.then(add(node.label, grid.term))
    walk.add_origin(
        stream,
        node.outputs[0],
        whole.layout,
        whole.scale,
        multiplier=whole.multiplier,
        offset=whole.offset,
    )
    return whole


def _settled(walk: Walk, node: Node, index: int, island: Island) -> Island:
    """Return an operand as a stream of scaled integers."""
    check_accumulators(island, node.label)
    settled = settle(walk, island)
    affine = settled.affine()
    if affine is None:
        bend = next(f.label for f in reversed(settled.functions) if f.kind.value == "other")
        raise node.refuse(
            f"its operand '{node.inputs[index]}' is no scaled integer behind {bend}, and has no "
            "common integer grid with another",
            _CURE,
        )
    if (affine[0] == 0).any():
        raise node.refuse(
            f"its operand '{node.inputs[index]}' is multiplied by 0", "remove the branch"
        )
    return settled


def _common_grid(node: Node, islands: Sequence[Island], signs: Sequence[int]) -> Grid:
    """Return the grid of the sum.

    Raises:
        UnsupportedOpError: There is none.
    """
    maps = [island.affine() for island in islands]
    factors = [sign * m[0] for sign, m in zip(signs, maps, strict=True) if m is not None]
    term = np.sum([sign * m[1] for sign, m in zip(signs, maps, strict=True) if m], axis=0)
    rows = np.unique(np.stack(factors, axis=1), axis=0)
    ratios = {tuple(Fraction(float(f)) / Fraction(float(row[0])) for f in row) for row in rows}
    if len(ratios) > 1:
        raise node.refuse(
            f"the ratio of the scales of its operands '{node.inputs[0]}' and '{node.inputs[1]}' "
            "varies from channel to channel, which leaves no common integer grid",
            _CURE,
        )
    (ratio,) = ratios
    # In lowest terms: the denominators make them whole, their greatest divisor belongs to the step.
    common = math.lcm(*(part.denominator for part in ratio))
    whole = [int(part * common) for part in ratio]
    divisor = math.gcd(*whole) * (1 if factors[0][0] > 0 else -1)
    steps = tuple(part // divisor for part in whole)
    if max(map(abs, steps)) > MAX_FACTOR:
        shown = " and ".join(f"{abs(float(f[0])):.6g}" for f in factors)
        raise node.refuse(
            f"its operands have scales {shown}, which have no common integer grid", _CURE
        )
    step = factors[0] / steps[0]
    is_uniform = bool((step == step[0]).all())
    return Grid(step=step[:1].copy() if is_uniform else step, factors=steps, term=term)


def _with_whole_term(total: Island, grid: Grid) -> Island | None:
    """Return the sum with its term as integer offset; None if it is no small fraction of a step."""
    ratios = {
        Fraction(float(t)) / Fraction(float(s))
        for t, s in {*zip(*np.broadcast_arrays(grid.term, grid.step), strict=True)}
    }
    if len(ratios) > 1:
        return None
    (ratio,) = ratios
    if ratio.denominator > 2:
        return None
    multiplier = ratio.denominator
    return Island(
        stream=total.stream,
        dtype=total.dtype,
        low=total.low,
        high=total.high,
        layout=total.layout,
        scale=total.scale / multiplier,
        multiplier=multiplier,
        offset=ratio.numerator,
        rounding=multiplier * total.rounding,
    )


def _rounding(islands: Sequence[Island], grid: Grid) -> F64:
    """Return a bound of float32 errors of the operands, in steps; 0 where float32 holds them."""
    total: F64 = np.zeros(1)
    for island, factor in zip(islands, grid.factors, strict=True):
        total = total + abs(factor / island.multiplier) * island.rounding
        most = max(abs(island.multiplier * n + island.offset) for n in (island.low, island.high))
        is_exact = bool((np.abs(np.frexp(island.scale)[0]) == 0.5).all()) and most < 1 << 24
        if is_exact and not island.functions:
            continue
        size = np.abs(island.scale) * most
        for function in island.functions:
            (parameter,) = function.parameters
            size = function.gain * size + (np.abs(parameter) if function.kind.value == "add" else 0)
        total = total + ROUNDING * (1 + len(island.functions)) * size / np.abs(grid.step)
    return np.atleast_1d(np.asarray(total, np.float64))


def _sum(walk: Walk, node: Node) -> Value:
    """``Sum`` of any number of tensors of data."""
    values = [walk.value(node, index) for index in range(len(node.inputs))]
    if any(isinstance(value, Constant) for value in values):
        raise node.refuse("it has a constant operand among its data", "use Add")
    islands = [walk.island(node, index) for index in range(len(values))]
    if len(islands) == 1:
        return islands[0]
    return add_islands(walk, node, islands, [1] * len(islands))


HANDLERS: Handlers = MappingProxyType({"Sum": _sum})
