"""Tensors that several nodes take become streams that fork."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import numpy as np

from ..graph import Stage
from ..stages import Fork, Split
from .islands import Constant, Island, Undeclared
from .nodes import Node
from .walk import OpenFork, Use, Value, Walk, refuse_file


def give(walk: Walk, label: str, tensor: str, value: Value) -> None:
    """Make ``value`` that of ``tensor``, with a branch for each of several that take it.

    The branches carry the same integers. What lies between the integers and the tensor is applied
    in each branch.

    Args:
        walk: Receives the value.
        label: Who yields the tensor, for messages.
        tensor: Name in the file.
        value: What it holds.

    Raises:
        UnsupportedOpError: Several take floats that only the first quantizer makes integers.
    """
    walk.values[tensor] = value
    uses = walk.uses.get(tensor, ())
    if len(uses) < 2 or isinstance(value, Constant):
        return
    if isinstance(value, Undeclared):
        users = ", ".join(use.label for use in uses)
        raise refuse_file(
            label,
            f"'{tensor}' feeds {len(uses)} consumers ({users}) as floats, before any quantizer",
            "quantize it once, before the branches",
        )
    for use, number in zip(uses, _branches(walk, label, tensor, value, len(uses)), strict=True):
        walk.branches[use.user, use.index] = replace(value, branch=number)


def _branches(
    walk: Walk, label: str, tensor: str, value: Island, count: int
) -> list[tuple[str, int]]:
    """Return new branches of the stream of an island, which may itself be a branch."""
    if value.branch is None:
        walk.forks[tensor] = OpenFork(label=label, alive=list(range(count)), dtype=value.dtype)
        return [(tensor, number) for number in range(count)]
    root, number = value.branch
    fork = walk.forks[root]
    fresh = [number, *range(fork.numbers, fork.numbers + count - 1)]
    fork.numbers += count - 1
    place = fork.alive.index(number)
    fork.alive[place : place + 1] = fresh
    _set_outputs(walk, fork)
    return [(root, one) for one in fresh]


def meet(walk: Walk, one: Island, other: Island) -> Island | None:
    """Return what two branches of the same integers have in common, as one branch.

    Returns:
        The island before the functions in which they differ; None where they do not carry the same
        integers in the same order.
    """
    if one.branch is None or other.branch is None or one.branch[0] != other.branch[0]:
        return None
    layouts = one.layout.shape == other.layout.shape and one.padding is other.padding
    if not layouts or (one.layout.positions != other.layout.positions).any():
        return None
    fork = walk.forks[one.branch[0]]
    fork.alive.remove(other.branch[1])
    _set_outputs(walk, fork)
    pairs = zip(one.functions, other.functions, strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))
    return replace(one, functions=one.functions[:common])


def _set_outputs(walk: Walk, fork: OpenFork) -> None:
    """Give the stage of a fork an output for each branch that is left."""
    if not fork.stage:
        return
    stage = walk.stages[fork.stage]
    outputs = tuple(f"{fork.stage}_out{number}" for number in fork.alive)
    walk.stages[fork.stage] = stage.with_(outputs=outputs)
    origin = walk.origins.get(stage.outputs[0])
    for name in stage.outputs:
        walk.origins.pop(name, None)
    if origin is not None:
        walk.origins.update(dict.fromkeys(outputs, origin))


def merge_branches(walk: Walk) -> None:
    """Make one stage of forks and splits that follow each other.

    A fork behind a fork becomes outputs of the first one; splits behind the same fork become one
    split, so that a beat is stored only where it is needed.
    """
    for name in list(walk.stages):
        stage = walk.stages.get(name)
        if isinstance(stage, Fork):
            _merge(walk, stage)


def _merge(walk: Walk, fork: Fork) -> None:
    by_input = {stage.inputs[0]: stage for stage in walk.stages.values()}
    outputs: list[str] = []
    splits: list[Split] = []
    waiting = list(fork.outputs)
    while waiting:
        stream = waiting.pop(0)
        after = by_input.get(stream)
        if isinstance(after, Fork):
            waiting = [*after.outputs, *waiting]
            _remove(walk, after)
        elif isinstance(after, Split):
            splits.append(after)
        else:
            outputs.append(stream)
    if len(splits) < 2 and len(outputs) + len(splits) == len(fork.outputs):
        return
    if splits:
        first = splits[0]
        source = first.inputs[0] if outputs else fork.inputs[0]
        merged = first.with_(
            inputs=(source,),
            outputs=tuple(stream for split in splits for stream in split.outputs),
            members=np.concatenate([split.members for split in splits]),
        )
        for split in splits[1:]:
            _remove(walk, split)
        walk.stages[first.name] = merged
        if outputs:
            outputs.append(source)
    if outputs:
        walk.stages[fork.name] = fork.with_(outputs=tuple(outputs))
    else:
        _remove(walk, fork)
    _drop_lost_origins(walk)


def _remove(walk: Walk, stage: Stage) -> None:
    del walk.stages[stage.name], walk.layers[stage.name]


def _drop_lost_origins(walk: Walk) -> None:
    """Forget the origins of streams that no stage yields any more."""
    streams = walk.streams
    walk.origins = {name: origin for name, origin in walk.origins.items() if name in streams}


def users_of(nodes: Sequence[Node], outputs: Sequence[str]) -> dict[str, list[Use]]:
    """Return by tensor who takes its values; a Shape node looks at no value."""
    uses: dict[str, list[Use]] = {}
    for node in nodes:
        if node.op == "Shape":
            continue
        for index, tensor in enumerate(node.inputs):
            if tensor:
                uses.setdefault(tensor, []).append(Use(node, index))
    for tensor in outputs:
        uses.setdefault(tensor, []).append(Use(tensor))
    return uses
