"""Handlers of elementwise nodes: each appends functions to an island."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from .functions import F64, Floats, Function, add, curve, divide, multiply
from .islands import Constant, Island
from .meetings import met
from .nodes import Node
from .sums import add_islands
from .walk import Handler, Handlers, Value, Walk


def _operand(walk: Walk, node: Node, role: str) -> tuple[Island, F64, bool]:
    """Return the island of a binary node, its constant per channel, and whether that comes first.

    Raises:
        UnsupportedOpError: Both operands depend on the data.
    """
    first, second = walk.value(node, 0), walk.value(node, 1)
    if not isinstance(first, Constant) and not isinstance(second, Constant):
        raise node.refuse(
            "its factor depends on the data", "use a constant scale, e.g. one per layer or channel"
        )
    is_first = isinstance(first, Constant)
    island = walk.island(node, 1 if is_first else 0)
    values = walk.floats(node, 0 if is_first else 1, role)
    return island, walk.per_channel(node, values, island.layout, role), is_first


def _is_of_data(walk: Walk, node: Node) -> bool:
    """Return whether both operands depend on the data."""
    return not any(isinstance(walk.value(node, index), Constant) for index in (0, 1))


def _add(walk: Walk, node: Node) -> Value:
    if (island := met(walk, node)) is not None:
        return island
    if _is_of_data(walk, node):
        return add_islands(walk, node, [walk.island(node, i) for i in (0, 1)], (1, 1))
    island, term, _ = _operand(walk, node, "term")
    return island.then(add(node.label, term))


def _sub(walk: Walk, node: Node) -> Value:
    if (island := met(walk, node)) is not None:
        return island
    if _is_of_data(walk, node):
        return add_islands(walk, node, [walk.island(node, i) for i in (0, 1)], (1, -1))
    island, term, is_first = _operand(walk, node, "term")
    if is_first:
        return island.then(multiply(node.label, -np.ones(1)), add(node.label, term))
    return island.then(add(node.label, -term))


def _mul(walk: Walk, node: Node) -> Value:
    if (joined := met(walk, node)) is not None:
        return joined
    island, factor, _ = _operand(walk, node, "factor")
    return island.then(multiply(node.label, factor))


def _div(walk: Walk, node: Node) -> Value:
    if (joined := met(walk, node)) is not None:
        return joined
    island, divisor, is_first = _operand(walk, node, "divisor")
    if is_first:
        raise node.refuse("it divides by a value that depends on the data", "multiply instead")
    if (divisor == 0).any():
        raise node.refuse("its divisor is 0", "use a divisor that is not 0")
    return island.then(divide(node.label, divisor))


def _batch_norm(walk: Walk, node: Node) -> Value:
    """``(x - mean) * gamma / sqrt(var + eps) + beta`` per channel of axis 1."""
    if node.number("training_mode", 0):
        raise node.refuse("it is in training mode", "call eval() before the export")
    island = walk.island(node)
    names = ("gamma", "beta", "mean", "variance")
    parameters = []
    for index, name in enumerate(names, start=1):
        values = walk.floats(node, index, name)
        # Axis 1 are the channels, whatever follows.
        spread = values.reshape(-1, *[1] * (len(island.shape) - 2))
        parameters.append(walk.per_channel(node, spread, island.layout, name))
    gamma, beta, mean, variance = parameters
    deviation = variance + node.number("epsilon", 1e-5)
    if (deviation <= 0).any():
        raise node.refuse("variance + epsilon is not positive", "train or export the model again")
    factor = gamma / np.sqrt(deviation)
    label = node.label
    return island.then(add(label, -mean), multiply(label, factor), add(label, beta))


def _prelu(walk: Walk, node: Node) -> Value:
    island = walk.island(node)
    values = walk.floats(node, 1, "slope")
    return island.then(_leaky(node, walk.per_channel(node, values, island.layout, "slope")))


def _leaky_relu(walk: Walk, node: Node) -> Value:
    slope = np.array([node.number("alpha", 0.01)], np.float64)
    return walk.island(node).then(_leaky(node, slope))


def _leaky(node: Node, slope: F64) -> Function:
    """Return ``x if x >= 0 else slope * x``."""
    return curve(
        node.label,
        lambda x, a: np.where(x >= 0, x, a * x),
        (slope,),
        gain=np.maximum(1.0, np.abs(slope)),
        is_rising=bool((slope >= 0).all()),
    )


def _clip(walk: Walk, node: Node) -> Value:
    """Bounds are attributes up to opset 10, inputs from 11 on."""
    bounds = []
    for index, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
        if index < len(node.inputs) and node.inputs[index]:
            value = walk.floats(node, index, name)
            if value.size != 1:
                raise node.refuse(f"its {name} is no single number", "use one bound for all")
            bounds.append(value.reshape(1))
        else:
            bounds.append(np.array([node.number(name, default)], np.float64))
    # np.minimum outside: a max below min wins, as in ONNX.
    return walk.island(node).then(
        curve(
            node.label,
            lambda x, low, high: np.minimum(np.maximum(x, low), high),
            (bounds[0], bounds[1]),
            is_rising=True,
        )
    )


def _bound(apply: Callable[..., Floats]) -> Handler:
    """Return the handler of Min or Max with a constant."""

    def handle(walk: Walk, node: Node) -> Value:
        if len(node.inputs) != 2:
            raise node.refuse("it has other than two inputs", "use Clip")
        if (joined := met(walk, node)) is not None:
            return joined
        island, bound, _ = _operand(walk, node, "bound")
        return island.then(curve(node.label, apply, (bound,), is_rising=True))

    return handle


def _scalar(
    apply: Callable[..., Floats],
    *,
    gain: float = 1.0,
    is_rising: bool = False,
    **defaults: float,
) -> Handler:
    """Return the handler of a function without inputs besides x.

    Args:
        apply: Function of x and the attributes in ``defaults``, in that order.
        gain: Bound of the slope's magnitude for the attributes' defaults.
        is_rising: Whether it never falls, for any value of the attributes.
        **defaults: Attributes of the node and their defaults.
    """

    def handle(walk: Walk, node: Node) -> Value:
        given = {key: node.number(key, value) for key, value in defaults.items()}
        parameters = tuple(np.array([value], np.float64) for value in given.values())
        bound = gain * max([1.0, *map(abs, given.values())])
        return walk.island(node).then(
            curve(node.label, apply, parameters, gain=bound, is_rising=is_rising)
        )

    return handle


def _neg(walk: Walk, node: Node) -> Value:
    return walk.island(node).then(multiply(node.label, -np.ones(1)))


def _identity(walk: Walk, node: Node) -> Value:
    return walk.value(node, 0)


def _dropout(walk: Walk, node: Node) -> Value:
    if len(node.inputs) > 2 and walk.constant(node, 2, "training mode").values.any():
        raise node.refuse("it is in training mode", "call eval() before the export")
    return walk.value(node, 0)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Any) -> Any:
    return np.logaddexp(0, x).astype(x.dtype)


HANDLERS: Handlers = MappingProxyType(
    {
        "Abs": _scalar(np.abs),
        "Add": _add,
        "BatchNormalization": _batch_norm,
        "Clip": _clip,
        "Div": _div,
        "Dropout": _dropout,
        "Elu": _scalar(lambda x, a: np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0))), alpha=1.0),
        "HardSigmoid": _scalar(lambda x, a, b: np.clip(a * x + b, 0, 1), alpha=0.2, beta=0.5),
        "HardSwish": _scalar(lambda x: x * np.clip(x / 6 + x.dtype.type(0.5), 0, 1), gain=1.5),
        "Identity": _identity,
        "LeakyRelu": _leaky_relu,
        "Max": _bound(np.maximum),
        "Min": _bound(np.minimum),
        "Mul": _mul,
        "Neg": _neg,
        "PRelu": _prelu,
        "Relu": _scalar(lambda x: np.maximum(x, 0), is_rising=True),
        "Sigmoid": _scalar(_sigmoid, is_rising=True),
        "Softplus": _scalar(_softplus, is_rising=True),
        "Softsign": _scalar(lambda x: x / (1 + np.abs(x)), is_rising=True),
        "Sub": _sub,
        "Tanh": _scalar(np.tanh, is_rising=True),
    }
)
