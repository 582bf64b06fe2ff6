"""Handlers of layers: products with constant weights become ``matvec``."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..dtypes import BIPOLAR
from ..graph import Origin
from ..stages import MatVec
from .functions import F64, add
from .islands import Constant, Island
from .nodes import Node
from .report import LayerNote
from .walk import Handlers, Value, Walk, as_scale
from .weights import weight_matrix


def _matmul(walk: Walk, node: Node) -> Value:
    return _product(walk, node, is_transposed=False, factor=1.0, bias=None)


def _gemm(walk: Walk, node: Node) -> Value:
    """``alpha * x @ W + beta * bias``."""
    if node.number("transA", 0):
        raise node.refuse("it transposes the data (transA = 1)", "export with transA = 0")
    bias = None
    if len(node.inputs) > 2:
        bias = walk.floats(node, 2, "bias") * node.number("beta", 1.0)
    return _product(
        walk,
        node,
        is_transposed=bool(node.number("transB", 0)),
        factor=node.number("alpha", 1.0),
        bias=bias,
    )


def _product(
    walk: Walk, node: Node, *, is_transposed: bool, factor: float, bias: F64 | None
) -> Value:
    """Return the accumulators of a new ``matvec`` stage, and the bias as a function on them."""
    left, right = walk.value(node, 0), walk.value(node, 1)
    if not isinstance(right, Constant):
        side = "on the left" if isinstance(left, Constant) else "not constant"
        raise node.refuse(
            f"its weights are {side}", "multiply data (N, K) by constant weights (K, M)"
        )
    point, scale = _point(walk, node)
    shape = right.values.shape
    if len(point.shape) != 2 or len(shape) != 2:
        raise node.refuse(
            f"it multiplies shapes {point.shape} and {shape}",
            "flatten the data to (N, K) and use a matrix of weights",
        )
    if not is_transposed:
        right = _transposed(right)
    weights, weight_scale = weight_matrix(node, right, node.inputs[1])
    if weights.shape[1] != point.shape[1] or not weights.size:
        raise node.refuse(
            f"data {point.shape} does not fit weights {shape}", "export the model again"
        )
    if factor == 0:
        raise node.refuse("its alpha is 0", "export the model again")
    is_binary = point.dtype == BIPOLAR and bool((weights != 0).all())
    name, stream = walk.new_stage("fc")
    stage = MatVec(
        name=name,
        inputs=(point.stream,),
        outputs=(stream,),
        weights=weights,
        input_dtype=point.dtype,
        kernel="xnor" if is_binary else "signed",
    )
    walk.stages[name] = stage
    low, high = stage.accumulator_range
    island = Island(
        stream=stream,
        dtype=stage.accumulator_dtype,
        low=low,
        high=high,
        shape=(point.shape[0], stage.neurons),
        scale=scale * weight_scale * factor,
        multiplier=2 if is_binary else 1,
        offset=-stage.synapses if is_binary else 0,
        matvec=name,
    )
    walk.layers[name] = LayerNote(
        stage=name,
        node=node.label,
        kernel=stage.kernel,
        accumulators=(low, high),
        accumulator_dtype=island.dtype.name,
        result_dtype=island.dtype.name,
    )
    if bias is None or not bias.any():
        walk.origins[stream] = Origin(
            tensor=node.outputs[0],
            multiplier=island.multiplier,
            offset=island.offset,
            scale=as_scale(island.scale),
        )
        return island
    # With a bias the output is no multiple of an integer: the stream has no tensor in the file.
    term = walk.per_channel(node, bias, island.shape, "bias")
    return island.then(add(node.label, term))


def _transposed(constant: Constant) -> Constant:
    """Return a matrix transposed, its integers and scales with it."""
    if constant.integers is None or constant.scale is None:
        return replace(constant, values=constant.values.T)
    return Constant(values=constant.values.T, integers=constant.integers.T, scale=constant.scale.T)


def _point(walk: Walk, node: Node) -> tuple[Island, F64]:
    """Return the data of a product as quantized integers and their one scale.

    Raises:
        UnsupportedOpError: The data is not quantized, or its channels have different scales.
    """
    island = walk.island(node)
    affine = island.affine()
    cure = "put a quantizer (e.g. BinaryAct or QuantIdentity) before this layer"
    if island.matvec:
        raise node.refuse(f"its data '{node.inputs[0]}' is not quantized", cure)
    if affine is None or affine[1].any():
        label = island.functions[-1].label
        raise node.refuse(f"its data '{node.inputs[0]}' is no scaled integer after {label}", cure)
    factor, _ = affine
    if (factor != factor[0]).any():
        raise node.refuse(
            f"the scale of its data '{node.inputs[0]}' varies over the channels it sums",
            "quantize the activations with one scale per tensor",
        )
    if factor[0] == 0:
        raise node.refuse(f"its data '{node.inputs[0]}' is multiplied by 0", "remove the layer")
    return island, np.array(factor[:1])


HANDLERS: Handlers = MappingProxyType({"Gemm": _gemm, "MatMul": _matmul})
