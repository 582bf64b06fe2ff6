"""Tensors that several nodes take become streams that fork."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..graph import Stage
from ..stages import Fork, Split
from .islands import Constant, Island, Undeclared
from .nodes import Node
from .pools import check_accumulators, settle
from .report import LayerNote
from .walk import Use, Value, Walk, refuse_file


def give(walk: Walk, label: str, tensor: str, value: Value) -> None:
    """Make ``value`` that of ``tensor``, and fork its stream where several take it.

    The branches carry the same integers. What lies between the integers and the tensor is applied
    in each branch, and a layer keeps its accumulators, for a threshold stage behind each branch.

    Args:
        walk: Receives the value and the fork.
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
    check_accumulators(value, f"{label} feeds {len(uses)} consumers, and its output")
    value = settle(walk, value)
    for use, stream in zip(uses, _fork(walk, label, value, uses), strict=True):
        walk.branches[use.user, use.index] = replace(value, stream=stream, matvec="")


def _fork(walk: Walk, label: str, value: Island, uses: Sequence[Use]) -> list[str]:
    """Return the streams of a new fork."""
    name, _ = walk.new_stage("fork")
    stage = Fork(
        name=name,
        inputs=(value.stream,),
        outputs=tuple(f"{name}_out{i}" for i in range(len(uses))),
        type=walk.type_of(value.stream),
    )
    walk.stages[name] = stage
    walk.layers[name] = LayerNote(
        stage=name,
        node=label,
        accumulators=(value.low, value.high),
        accumulator_dtype=value.dtype.name,
        result_dtype=value.dtype.name,
    )
    if value.stream in walk.origins:
        walk.origins.update(dict.fromkeys(stage.outputs, walk.origins[value.stream]))
    return list(stage.outputs)


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
