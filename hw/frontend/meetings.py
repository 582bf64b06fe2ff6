"""Branches of the same integers that meet again: still a function of one integer per channel.

``x * sigmoid(x)``, ``x * relu6(x + 3) / 6`` or ``max(a x, b x)`` are several nodes of a file, but
no stream has to fork for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .branches import meet
from .functions import (
    F64,
    ROUNDING,
    Directions,
    Floats,
    Function,
    Kind,
    Rounded,
    affine,
    chain,
)
from .islands import Island
from .nodes import Node
from .walk import Walk


@dataclass(frozen=True)
class Operation:
    """An operation on two floats.

    Attributes:
        apply: The operation.
        error: Bound of the error of the result for two results with errors, before it is rounded.
        keeps: Direction of the second operand that makes a rising result of a rising first one;
            0 if there is none.
    """

    apply: Callable[..., Floats]
    error: Callable[[Rounded, Rounded], F64]
    keeps: int = 0


def _sum_error(one: Rounded, other: Rounded) -> F64:
    return one.error + other.error


def _greater_error(one: Rounded, other: Rounded) -> F64:
    return np.maximum(one.error, other.error)


def _product_error(one: Rounded, other: Rounded) -> F64:
    x, y = np.abs(one.exact), np.abs(other.exact)
    return x * other.error + y * one.error + one.error * other.error


def _quotient_error(one: Rounded, other: Rounded) -> F64:
    x, y = np.abs(one.exact), np.abs(other.exact)
    room = y - other.error
    with np.errstate(divide="ignore", invalid="ignore"):
        error = (one.error + x / y * other.error) / room
    return np.where(room > 0, error, np.inf)


_OPERATIONS = MappingProxyType(
    {
        "Add": Operation(np.add, _sum_error, 1),
        "Div": Operation(np.divide, _quotient_error),
        "Max": Operation(np.maximum, _greater_error, 1),
        "Min": Operation(np.minimum, _greater_error, 1),
        "Mul": Operation(np.multiply, _product_error),
        "Sub": Operation(np.subtract, _sum_error, -1),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Meeting(Function):
    """Two chains of functions of one argument, and the operation between their results.

    Attributes:
        operation: The operation.
        left: Functions of its first operand, in order.
        right: Functions of its second operand.
    """

    operation: Operation
    left: tuple[Function, ...]
    right: tuple[Function, ...]

    def __call__(self, x: Floats, channels: slice) -> Floats:
        """Return the operation on both chains of ``x``, in its precision."""
        left, right = chain(self.left, x, channels), chain(self.right, x, channels)
        return self.operation.apply(left, right)

    def follow(self, values: Rounded) -> Rounded:
        """Follow both chains, and round once more."""
        left = right = values
        for function in self.left:
            left = function.follow(left)
        for function in self.right:
            right = function.follow(right)
        with np.errstate(over="ignore", invalid="ignore"):
            exact = np.asarray(self.operation.apply(left.exact, right.exact), np.float64)
            single = np.asarray(self.operation.apply(left.single, right.single), np.float32)
            is_exact = (left.error == 0) & (right.error == 0) & (single == exact)
            error = self.operation.error(left, right) + ROUNDING * np.abs(exact)
        return Rounded(exact=exact, single=single, error=np.where(is_exact, 0.0, error))

    def chosen(self, member: NDArray[np.bool_]) -> Self:
        """Return the function of some of the channels."""
        return replace(
            super().chosen(member),
            left=tuple(function.chosen(member) for function in self.left),
            right=tuple(function.chosen(member) for function in self.right),
        )


def met(walk: Walk, node: Node) -> Island | None:
    """Return the result of a node on two branches of the same integers; None for other operands.

    Raises:
        UnsupportedOpError: It divides by 0 somewhere.
    """
    one, other = walk.value(node, 0), walk.value(node, 1)
    if not isinstance(one, Island) or not isinstance(other, Island):
        return None
    base = meet(walk, one, other)
    if base is None:
        return None
    common = len(base.functions)
    left, right = one.functions[common:], other.functions[common:]
    if node.op == "Div" and (base.then(*right).evaluate(base.members[:, None]) == 0).any():
        raise node.refuse("its divisor is 0 for some integer", "use a divisor that is not 0")
    operation = _OPERATIONS[node.op]
    factor = _factor(node.op, left, right)
    meeting = Meeting(
        label=node.label,
        apply=operation.apply,
        parameters=tuple(p for f in (*left, *right) for p in f.parameters),
        gain=np.ones(1),
        direction=_direction(operation, left, right),
        operation=operation,
        left=left,
        right=right,
    )
    if factor is not None:
        meeting = replace(meeting, kind=Kind.MULTIPLY, parameters=(factor,))
    return base.then(meeting)


def _factor(op: str, left: Sequence[Function], right: Sequence[Function]) -> F64 | None:
    """Return the factor of ``a x + b x``; None for other functions."""
    first, second = (affine(functions, np.ones(1), np.zeros(1)) for functions in (left, right))
    sign = {"Add": 1, "Sub": -1}.get(op, 0)
    if not sign or first is None or second is None or first[1].any() or second[1].any():
        return None
    return first[0] + sign * second[0]


def _direction(
    operation: Operation, left: Sequence[Function], right: Sequence[Function]
) -> Directions | None:
    """Return the direction of the result where both operands push it one way."""
    total = np.ones(1, np.int8)
    directions = []
    for functions in (left, right):
        for function in functions:
            if function.direction is None:
                return None
            total = total * function.direction
        directions.append(total)
        total = np.ones(1, np.int8)
    one, other = np.broadcast_arrays(directions[0], operation.keeps * directions[1])
    if not operation.keeps or (one * other < 0).any():
        return None
    return np.where(one == 0, other, one).astype(np.int8)
