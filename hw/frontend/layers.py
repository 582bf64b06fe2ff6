"""Handlers of layers: products with constant weights, or distances to them, become ``matvec``."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from ..stages import Layer, MatVec
from .functions import F64, add
from .islands import Constant, Island
from .layout import Layout
from .nodes import Node
from .operations import Operate, Operation, distances, products
from .points import integer_point
from .report import LayerNote
from .walk import Handlers, Value, Walk

MAX_ACCUMULATOR = (1 << 31) - 1


def _matmul(walk: Walk, node: Node) -> Value:
    return _layer(walk, node, products, is_transposed=False, factor=1.0, bias=None)


def _l1_matmul(walk: Walk, node: Node) -> Value:
    """``-sum_k |x[k] - W[k, n]|``; see docs/ops.md."""
    return _layer(walk, node, distances, is_transposed=False, factor=1.0, bias=None)


def _gemm(walk: Walk, node: Node) -> Value:
    """``alpha * x @ W + beta * bias``."""
    if node.number("transA", 0):
        raise node.refuse("it transposes the data (transA = 1)", "export with transA = 0")
    bias = None
    if len(node.inputs) > 2:
        bias = walk.floats(node, 2, "bias") * node.number("beta", 1.0)
    return _layer(
        walk,
        node,
        products,
        is_transposed=bool(node.number("transB", 0)),
        factor=node.number("alpha", 1.0),
        bias=bias,
    )


def _layer(
    walk: Walk,
    node: Node,
    operate: Operate,
    *,
    is_transposed: bool,
    factor: float,
    bias: F64 | None,
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
    if right.values.shape[1] != point.shape[1] or not right.values.size:
        raise node.refuse(
            f"data {point.shape} does not fit weights {shape}", "export the model again"
        )
    operation = operate(node, right, node.inputs[1], point.dtype, scale)
    if factor == 0:
        raise node.refuse("its alpha is 0", "export the model again")
    name, stream = walk.new_stage("fc")
    stage = MatVec(
        name=name,
        inputs=(point.stream,),
        outputs=(stream,),
        weights=point.layout.columns(operation.integers),
        input_dtype=point.dtype,
        kernel=operation.kernel,
    )
    layout = Layout.vector((point.shape[0], stage.neurons))
    scaled = replace(operation, scale=operation.scale * factor)
    return add_layer(walk, node, stage, layout, scaled, bias)


def add_layer(
    walk: Walk,
    node: Node,
    stage: Layer,
    layout: Layout,
    operation: Operation,
    bias: F64 | None,
) -> Island:
    """Return the accumulators of a new stage with weights, and the bias as a function on them.

    Args:
        walk: Receives the stage.
        node: The layer in the file.
        stage: Without thresholds.
        layout: Of the accumulators.
        operation: What an accumulator stands for.
        bias: Broadcastable to the output, or None.

    Raises:
        UnsupportedOpError: The accumulators leave 32 bits.
    """
    taps = stage.weights.shape[1]
    is_binary = stage.kernel == "xnor"
    (stream,) = stage.outputs
    low, high = stage.accumulator_range
    if max(-low - 1, high) > MAX_ACCUMULATOR:
        raise node.refuse(
            f"its accumulators reach from {low} to {high}, beyond 32 bits",
            "use fewer bits for its weights or its data, or fewer inputs per output",
        )
    walk.stages[stage.name] = stage
    island = Island(
        stream=stream,
        dtype=stage.accumulator_dtype,
        low=low,
        high=high,
        layout=layout,
        scale=operation.scale,
        multiplier=operation.factor * (2 if is_binary else 1),
        offset=-taps * operation.factor if is_binary else 0,
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
            operation.scale,
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


HANDLERS: Handlers = MappingProxyType({"Gemm": _gemm, "L1MatMul": _l1_matmul, "MatMul": _matmul})
