"""The ends of a graph: argmax, and the affine rest that stays on the host."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from ..dtypes import BIPOLAR
from ..errors import UnsupportedOpError
from ..graph import HostAffine, Origin
from ..stages import Argmax
from .islands import Constant, Island, Undeclared
from .layout import Layout
from .nodes import Node
from .report import LayerNote
from .streams import check_accumulators, settle
from .walk import Handlers, Value, Walk, as_scale, refuse_file


def argmax_obstacle(island: Island) -> str:
    """Return why the argmax of the stream is not that of the tensor; "" if it is."""
    affine = island.affine()
    if affine is None:
        return f"{island.functions[-1].label} is not affine"
    factor, term = affine
    if island.layout.pixels > 1 or island.layout.order != 1:
        return "its scores are those of many pixels, in another order than those of the stream"
    if island.dtype == BIPOLAR:
        return "the scores are single bits"
    if (factor != factor[0]).any() or (term != term[0]).any():
        return "the scale or bias differs from class to class"
    return "" if factor[0] > 0 else "the scale is not positive"


def add_argmax(walk: Walk, island: Island, node: str) -> Island:
    """Return the index of the greatest element of ``island`` as a new stage."""
    name = "argmax" if "argmax" not in walk.stages else walk.new_stage("argmax")[0]
    stage = Argmax(
        name=name,
        inputs=(island.stream,),
        outputs=(f"{name}_out",),
        classes=island.channels,
        input_dtype=island.dtype,
    )
    walk.stages[name] = stage
    dtype = stage.output_types[0].dtype
    walk.layers[name] = LayerNote(
        stage=name,
        node=node,
        accumulators=(island.low, island.high),
        accumulator_dtype=island.dtype.name,
        result_dtype=dtype.name,
    )
    return Island(
        stream=f"{name}_out",
        dtype=dtype,
        low=0,
        high=island.channels - 1,
        layout=Layout.vector((island.shape[0], 1)),
        scale=np.ones(1),
    )


def _argmax(walk: Walk, node: Node) -> Value:
    """``ArgMax`` over the channels, first of equal ones."""
    island = settle(walk, walk.island(node))
    if node.number("select_last_index", 0):
        raise node.refuse("it takes the last of equal scores", "use select_last_index = 0")
    _check_axis(node, island, int(node.number("axis", 0)))
    is_kept = bool(node.number("keepdims", 1))
    return _index(walk, node, island, node.outputs[0], is_kept=is_kept)


def _top_k(walk: Walk, node: Node) -> Value:
    """``TopK`` with k = 1, of which only the index is used."""
    island = settle(walk, walk.island(node))
    count = walk.constant(node, 1, "k").values
    if count.size != 1 or count.item() != 1 or not node.number("largest", 1):
        raise node.refuse("it is not the single greatest element", "use k = 1, largest = 1")
    _check_axis(node, island, int(node.number("axis", -1)))
    return _index(walk, node, island, node.proto.output[1], is_kept=True)


def _check_axis(node: Node, island: Island, axis: int) -> None:
    if len(island.shape) != 2 or axis % 2 != 1 or axis not in (-1, 1):
        raise node.refuse(f"it runs over axis {axis} of {island.shape}", "use (N, classes), axis 1")


def _index(walk: Walk, node: Node, island: Island, tensor: str, *, is_kept: bool) -> Value:
    check_accumulators(island, node.label)
    if obstacle := argmax_obstacle(island):
        raise node.refuse(
            f"it does not commute with what comes before: {obstacle}",
            "use one positive scale and no bias per class, or end the model before this node",
        )
    index = add_argmax(walk, island, node.label)
    walk.origins[index.stream] = Origin(tensor=tensor)
    shape = (island.shape[0], 1) if is_kept else (island.shape[0],)
    return Island(
        stream=index.stream,
        dtype=index.dtype,
        low=index.low,
        high=index.high,
        layout=Layout.vector(shape),
        scale=index.scale,
    )


def finish(walk: Walk, tensor: str, *, with_argmax: bool) -> tuple[str, HostAffine | None]:
    """Return the stream that leaves for a graph output, and what the host applies to it.

    Raises:
        UnsupportedOpError: The output is constant, an undeclared input, or not affine in integers.
    """
    value = walk.branches.get((tensor, 0), walk.values.get(tensor))
    if value is None or isinstance(value, Constant | Undeclared):
        raise UnsupportedOpError(
            f"output '{tensor}': it depends on no quantized layer; "
            "export a model with quantized weights and activations"
        )
    if value.padding is not None:
        raise refuse_file(value.padding.node, "nothing takes it in", "put a Conv behind it")
    check_accumulators(value, f"output '{tensor}'")
    value = settle(walk, value)
    affine = value.affine()
    if affine is None:
        bend = next(f.label for f in reversed(value.functions) if f.kind.value == "other")
        raise UnsupportedOpError(
            f"{bend}: it lies after the last integer and is not affine; "
            "end the model before it, or put a quantizer behind it"
        )
    is_index = any(
        isinstance(stage, Argmax) and value.stream in stage.outputs
        for stage in walk.stages.values()
    )
    if is_index:
        return value.stream, None
    if with_argmax and value.channels > 1:
        obstacle = argmax_obstacle(value)
        if not obstacle:
            return add_argmax(walk, value, f"argmax of output '{tensor}'").stream, None
        walk.notes.append(f"output '{tensor}' has no argmax stage: {obstacle}")
    if value.layout.order != 1:
        walk.notes.append(
            f"output '{tensor}' leaves pixel by pixel as {value.layout.image}, channels last"
        )
    factor, term = affine
    return value.stream, HostAffine(scale=as_scale(factor), bias=as_scale(term))


HANDLERS: Handlers = MappingProxyType({"ArgMax": _argmax, "TopK": _top_k})
