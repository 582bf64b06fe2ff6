"""Handlers of layers: products with constant weights become ``matvec``."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from ..dtypes import BIPOLAR
from ..stages import Layer, MatVec
from .functions import F64, add
from .islands import Constant, Island
from .layout import Layout
from .nodes import Node
from .points import integer_point
from .report import LayerNote
from .walk import Handlers, Value, Walk
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
    point, scale = integer_point(walk, node, walk.island(node))
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
        weights=point.layout.columns(weights),
        input_dtype=point.dtype,
        kernel="xnor" if is_binary else "signed",
    )
    layout = Layout.vector((point.shape[0], stage.neurons))
    return add_layer(walk, node, stage, layout, scale * weight_scale * factor, bias)


def add_layer(
    walk: Walk,
    node: Node,
    stage: Layer,
    layout: Layout,
    scale: F64,
    bias: F64 | None,
) -> Island:
    """Return the accumulators of a new stage with weights, and the bias as a function on them.

    Args:
        walk: Receives the stage.
        node: The layer in the file.
        stage: Without thresholds.
        layout: Of the accumulators.
        scale: What an accumulator stands for: one value or one per output.
        bias: Broadcastable to the output, or None.
    """
    taps = stage.weights.shape[1]
    is_binary = stage.kernel == "xnor"
    (stream,) = stage.outputs
    walk.stages[stage.name] = stage
    low, high = stage.accumulator_range
    island = Island(
        stream=stream,
        dtype=stage.accumulator_dtype,
        low=low,
        high=high,
        layout=layout,
        scale=scale,
        multiplier=2 if is_binary else 1,
        offset=-taps if is_binary else 0,
        matvec=stage.name,
    )
    walk.layers[stage.name] = LayerNote(
        stage=stage.name,
        node=node.label,
        kernel=stage.kernel,
        accumulators=(low, high),
        accumulator_dtype=island.dtype.name,
        result_dtype=island.dtype.name,
    )
    if bias is None or not bias.any():
        walk.add_origin(
            stream,
            node.outputs[0],
            layout,
            scale,
            multiplier=island.multiplier,
            offset=island.offset,
        )
        return island
    # With a bias the output is no multiple of an integer: the stream has no tensor in the file.
    term = walk.per_channel(node, bias, layout, "bias")
    return island.then(add(node.label, term))


def _transposed(constant: Constant) -> Constant:
    """Return a matrix transposed, its integers and scales with it."""
    if constant.integers is None or constant.scale is None:
        return replace(constant, values=constant.values.T)
    return Constant(values=constant.values.T, integers=constant.integers.T, scale=constant.scale.T)


HANDLERS: Handlers = MappingProxyType({"Gemm": _gemm, "MatMul": _matmul})
