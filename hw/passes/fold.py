"""Folding: how many synapses (SIMD) and neurons (PE) each stage computes per cycle."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from ..cost import Cost
from ..errors import FoldingError
from ..graph import Dataflow, Stage, StreamType
from ..stages import Add, Concat, Fork, Layer, Pool, Split, Threshold, Window
from .connect import bridge_stages, connect, logical_stages
from .finn_folding import from_finn
from .kernels import Price, price_of, with_exact_kernels, with_kernel

# They are folded as the stages before them, where that is cheapest.
_FOLLOWERS = (Add, Concat, Fork, Pool, Split, Threshold)

# More lanes than needed can save LUTs, by shallower memories; more than this many times never paid.
MAX_SURPLUS = 4


def cycles_per_image(stage: Stage) -> int:
    """Return the cycles that ``stage`` takes for an image when nothing stalls it.

    It is the longest thread: operations of its program, times the programs in an image.
    """
    types = dict(zip(stage.input_ports, stage.input_types, strict=True))
    types |= dict(zip(stage.output_ports, stage.output_types, strict=True))
    longest = 0
    for thread in stage.schedule().threads:
        beats = {
            port: int(t.sum()) for port, t in (*thread.consumes.items(), *thread.produces.items())
        }
        port = next(port for port, count in beats.items() if count)
        longest = max(longest, thread.operations * types[port].beats // beats[port])
    return longest


def apply_folding(dataflow: Dataflow, folding: Mapping[str, Mapping[str, Any]]) -> Dataflow:
    """Return ``dataflow`` with other folds, converters put in where beats differ.

    The kernel of a layer that is named becomes the cheapest one that computes its integers.

    Args:
        dataflow: Connected or not; its converters are taken out first, its FIFOs stay.
        folding: By stage name, ``pe`` and ``simd`` (FINN's ``PE`` and ``SIMD`` as well), and
            ``kernel``, the name of one, where it is not to be the cheapest. Stages and
            folds that are not named stay as they are, but windows, pools, thresholds and what forks
            and joins streams: these follow the lanes of the layers that they feed, or that feed
            them. FINN's own folding files are taken as
            well, see ``finn_folding``.

    Raises:
        FoldingError: A stage or key is unknown, a fold is no divisor of its dimension, or a kernel
            does not compute the integers of its layer.
    """
    logical = logical_stages(dataflow)
    stages = {stage.name: stage for stage in logical}
    folding = from_finn(folding, logical)
    for name, given in folding.items():
        if name not in stages:
            raise FoldingError(f"folding: no stage {name!r}; the stages are {list(stages)}")
        stages[name] = _folded(stages[name], given)
    if folding:
        _follow(stages, set(folding))
    return connect(dataflow, stages.values())


def _follow(stages: dict[str, Stage], fixed: set[str]) -> None:
    """Give windows the lanes of their layer and followers the most of their producers.

    Where that does not divide, the greatest number of lanes that divides both.

    Args:
        stages: By name, in the order of the dataflow; changed.
        fixed: Names of stages whose folds are given.
    """
    consumers = {stream: stage.name for stage in stages.values() for stream in stage.inputs}
    producers = {stream: stage.name for stage in stages.values() for stream in stage.outputs}
    led = set(fixed)
    for name, stage in list(stages.items()):
        if name in fixed:
            continue
        if isinstance(stage, Window):
            other = consumers.get(stage.outputs[0])
            if other in fixed:
                lanes = stages[other].input_types[0].lanes
                stages[name] = stage.with_(simd=math.gcd(lanes, stage.channels))
        elif isinstance(stage, _FOLLOWERS):
            leading = [producers[s] for s in stage.inputs if producers.get(s) in led]
            if leading:
                lanes = max(stages[other].output_types[0].lanes for other in leading)
                stages[name] = stage.with_(pe=math.gcd(lanes, stage.fold_sizes["pe"]))
                led.add(name)


def _folded(stage: Stage, given: Mapping[str, Any]) -> Stage:
    """Return ``stage`` with the given folds, and the given kernel or the cheapest."""
    known = [*stage.fold_sizes, "kernel"] if isinstance(stage, Layer) else list(stage.fold_sizes)
    changes: dict[str, int] = {}
    for key, value in given.items():
        if key == "kernel" and key in known:
            continue
        fold = key.lower() if key in ("PE", "SIMD") else key
        if fold not in known:
            raise FoldingError(f"folding of {stage.name}: unknown key {key!r}; it has {known}")
        if fold in changes:
            raise FoldingError(f"folding of {stage.name}: {fold} is given twice")
        if isinstance(value, bool) or not isinstance(value, int):
            raise FoldingError(f"folding of {stage.name}: {key}={value!r} must be an integer")
        changes[fold] = value
    kernel = given.get("kernel")
    if isinstance(stage, Layer) and kernel is not None:
        return with_kernel(stage, str(kernel)).with_(**changes)
    return _with_cheapest_kernel(_variants(stage), changes)


def _variants(stage: Stage) -> tuple[Stage, ...]:
    """Return the stage with each kernel that computes the same integers."""
    return with_exact_kernels(stage) if isinstance(stage, Layer) else (stage,)


def _with_cheapest_kernel(variants: Sequence[Stage], folds: Mapping[str, int]) -> Stage:
    """Return the cheapest of the variants of a stage, folded."""
    return min((variant.with_(**folds) for variant in variants), key=price_of)


def fold(dataflow: Dataflow, *, fps: float, clock_mhz: float) -> Dataflow:
    """Return ``dataflow`` with the smallest folding that reaches a frame rate.

    Per stage, of all foldings that take at most ``clock / fps`` cycles per image, the one with the
    fewest LUTs by ``Stage.cost``, with the kernel that is cheapest for it; of equal ones the fewest
    block RAMs, then flip-flops. Foldings with more than ``MAX_SURPLUS`` times the lanes that are
    needed are not priced.

    A window is chosen together with the layer that it feeds; pools, thresholds and what forks and
    joins streams for the stages before them. The converters in between count.

    Args:
        dataflow: Connected or not.
        fps: Images per second.
        clock_mhz: Clock, MHz.

    Raises:
        FoldingError: A rate is not positive, or a stage cannot reach it however it is folded.
    """
    if not (fps > 0 and clock_mhz > 0 and math.isfinite(fps) and math.isfinite(clock_mhz)):
        raise FoldingError(f"folding: fps={fps} and clock_mhz={clock_mhz} must be positive")
    # A rate that was itself computed from cycles may be off by a rounding.
    budget = math.floor(clock_mhz * 1e6 / fps * (1 + 1e-12))
    logical = logical_stages(dataflow)
    candidates = {s.name: _fast_enough(s, budget, fps, clock_mhz) for s in logical}
    fed_by = {stream: s for s in logical for stream in s.outputs}
    chosen: dict[str, Stage] = {}
    for stage in logical:
        before = fed_by.get(stage.inputs[0])
        options = candidates[stage.name]
        if isinstance(before, Window):
            window, layer = _smallest_pair(candidates[before.name], options)
            chosen |= {before.name: window, stage.name: layer}
        elif isinstance(stage, _FOLLOWERS):
            names = [(n, fed_by[n].name) for n in stage.inputs if n in fed_by]
            given = [_type_of(name, chosen[producer]) for name, producer in names]
            chosen[stage.name] = _smallest_behind(given, options)
        else:
            chosen[stage.name] = min(options, key=price_of)
    return connect(dataflow, [chosen[stage.name] for stage in logical])


def _type_of(stream: str, producer: Stage) -> StreamType:
    """Return the type of a stream that ``producer`` yields."""
    return producer.output_types[producer.outputs.index(stream)]


def _smallest_pair(before: Sequence[Stage], after: Sequence[Stage]) -> tuple[Stage, Stage]:
    """Return the foldings of a stage and the one that it feeds that cost least with converters."""
    feeding = [(stage, price_of(stage), stage.output_types[0]) for stage in before]
    bridges: dict[tuple[int, int], Price] = {}
    best: tuple[Price, Stage, Stage] | None = None
    for stage in after:
        price, want = price_of(stage), stage.input_types[0]
        for other, other_price, have in feeding:
            lanes = (have.lanes, want.lanes)
            if lanes not in bridges:
                bridges[lanes] = _bridge_price(have, want)
            total = _total(price, other_price, bridges[lanes])
            if best is None or total < best[0]:
                best = (total, other, stage)
    assert best is not None
    return best[1], best[2]


def _smallest_behind(given: Sequence[StreamType], options: Sequence[Stage]) -> Stage:
    """Return the folding that costs least with the converters from its producers' beats.

    Args:
        given: What the stages before it yield; those of the inputs of the dataflow are left out.
        options: Foldings, of which all inputs have the same lanes.
    """

    def price(stage: Stage) -> Price:
        lanes = stage.input_types[0].lanes
        bridges = (_bridge_price(kind, kind.flat.with_lanes(lanes)) for kind in given)
        return _total(price_of(stage), *bridges)

    return min(options, key=price)


def _bridge_price(have: StreamType, want: StreamType) -> Price:
    """Return the price of the converters between two types of a stream."""
    cost = sum((bridge.cost() for bridge in bridge_stages("x", have, want, 0)), Cost())
    return cost.lut, cost.bram, cost.ff


def _total(*prices: Price) -> Price:
    """Return the sum of prices."""
    lut, bram, ff = zip(*prices, strict=True)
    return sum(lut), sum(bram), sum(ff)


def _fast_enough(stage: Stage, budget: int, fps: float, clock_mhz: float) -> list[Stage]:
    """Return the foldings of ``stage`` within ``budget`` cycles per image that may be smallest.

    Raises:
        FoldingError: There is none.
    """
    rows = foldings(stage)

    def is_fast(folds: Mapping[str, int]) -> bool:
        return cycles_per_image(stage.with_(**folds)) <= budget

    # Cycles fall along a row, so what is fast enough starts at one place of each row.
    fast = [row[bisect_left(row, True, key=is_fast) :] for row in rows]
    if not any(fast):
        fastest = min(cycles_per_image(stage.with_(**row[-1])) for row in rows)
        raise FoldingError(
            f"{stage.name}: {fps:g} images/s at {clock_mhz:g} MHz leave {budget} cycles per image, "
            f"but it needs {fastest}; at most {clock_mhz * 1e6 / fastest:.1f} images/s are "
            "reachable, or raise the clock"
        )
    fewest = min(math.prod(row[0].values()) for row in fast if row)
    is_follower = isinstance(stage, (Window, *_FOLLOWERS))
    variants = _variants(stage)
    return [
        _with_cheapest_kernel(variants, folds)
        for row in fast
        for folds in row
        if is_follower or math.prod(folds.values()) <= MAX_SURPLUS * fewest
    ]


def foldings(stage: Stage) -> list[list[dict[str, int]]]:
    """Return the foldings of ``stage``, a row for each PE, SIMD ascending along it.

    A single fold is a row by itself.
    """
    rows: list[list[dict[str, int]]] = [[{}]]
    for name, size in stage.fold_sizes.items():
        folds = _divisors(size)
        rows = [[{**first, name: fold} for fold in folds] for row in rows for first in row]
    return rows


def _divisors(number: int) -> list[int]:
    """Return the divisors of ``number``, ascending."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return small + [number // d for d in reversed(small) if d * d != number]
