"""Elementwise functions of an island: per-channel, evaluated in float64 and followed in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Directions = NDArray[np.int8]

ALL = slice(None)

# A float32 operation rounds by at most half a unit in the last place; the runtimes' own tanh,
# sigmoid and BatchNorm factor are off by a few more.
ROUNDING = 4 * 2.0**-24


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounded:
    """A tensor in float64 and in float32, and how far float32 may be off.

    Attributes:
        exact: In float64.
        single: In float32, operation by operation.
        error: Bound of the rounding error; 0 as long as float32 is exact.
    """

    exact: F64
    single: Floats
    error: F64


class Kind(Enum):
    """Whether a function is affine, and which part of an affine map it is."""

    MULTIPLY = "multiply"
    DIVIDE = "divide"
    ADD = "add"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, eq=False)
class Function:
    """A scalar function of each channel.

    Attributes:
        label: Node that it comes from, for messages.
        apply: Function of a float array ``(..., channels)`` and the parameters, in the precision of
            the array.
        parameters: Float64 parameters, each of shape ``(channels,)`` or ``(1,)``.
        gain: Bound of ``|dy / dx|``, shape ``(channels,)`` or ``(1,)``.
        direction: Per channel +1 (never falls), -1 (never rises), 0 (constant); None when it may do
            both.
        kind: Which part of an affine map it is.
    """

    label: str
    apply: Callable[..., Floats]
    parameters: tuple[F64, ...] = ()
    gain: F64
    direction: Directions | None
    kind: Kind = Kind.OTHER

    def __call__(self, x: Floats, channels: slice) -> Floats:
        """Return the function of ``x``, whose last axis holds ``channels``, in its precision."""
        parameters = (at(p, channels).astype(x.dtype) for p in self.parameters)
        return self.apply(x, *parameters)

    def follow(self, values: Rounded) -> Rounded:
        """Return the function of values that float32 has rounded: one rounding more."""
        with np.errstate(over="ignore", invalid="ignore"):
            exact = np.asarray(self(values.exact, ALL), np.float64)
            single = np.asarray(self(values.single, ALL), np.float32)
            is_exact = (values.error == 0) & (single == exact)
        error = np.where(is_exact, 0.0, self.gain * values.error + ROUNDING * np.abs(exact))
        return Rounded(exact=exact, single=single, error=error)

    def chosen(self, member: NDArray[np.bool_]) -> Self:
        """Return the function of some of the channels."""
        direction = self.direction
        is_each = direction is not None and direction.size > 1
        return replace(
            self,
            parameters=tuple(p if p.size == 1 else p[member] for p in self.parameters),
            gain=self.gain if self.gain.size == 1 else self.gain[member],
            direction=direction[member] if direction is not None and is_each else direction,
        )


def at(parameter: F64, channels: slice) -> F64:
    """Return the part of a parameter ``(channels,)`` or ``(1,)`` that belongs to ``channels``."""
    return parameter if parameter.shape[-1] == 1 else parameter[..., channels]


def multiply(label: str, factor: F64) -> Function:
    """Return ``x * factor``."""
    return Function(
        label=label,
        apply=np.multiply,
        parameters=(factor,),
        gain=np.abs(factor),
        direction=np.sign(factor).astype(np.int8),
        kind=Kind.MULTIPLY,
    )


def divide(label: str, divisor: F64) -> Function:
    """Return ``x / divisor``; no divisor is 0."""
    return Function(
        label=label,
        apply=np.divide,
        parameters=(divisor,),
        gain=np.abs(1 / divisor),
        direction=np.sign(divisor).astype(np.int8),
        kind=Kind.DIVIDE,
    )


def add(label: str, term: F64) -> Function:
    """Return ``x + term``."""
    return Function(
        label=label,
        apply=np.add,
        parameters=(term,),
        gain=np.ones(1),
        direction=np.ones(1, np.int8),
        kind=Kind.ADD,
    )


def curve(
    label: str,
    apply: Callable[..., Floats],
    parameters: tuple[F64, ...] = (),
    *,
    gain: F64 | float = 1.0,
    is_rising: bool = False,
) -> Function:
    """Return a function that is not affine.

    Args:
        label: Node that it comes from.
        apply: Function of an array and the parameters.
        parameters: Each ``(channels,)`` or ``(1,)``.
        gain: Bound of the slope's magnitude.
        is_rising: Whether it never falls.
    """
    return Function(
        label=label,
        apply=apply,
        parameters=parameters,
        gain=np.atleast_1d(np.asarray(gain, np.float64)),
        direction=np.ones(1, np.int8) if is_rising else None,
    )


def affine(functions: Sequence[Function], factor: F64, term: F64) -> tuple[F64, F64] | None:
    """Return factor and term of ``functions(factor * x + term)``, or None if one is not affine."""
    for function in functions:
        if function.kind is Kind.OTHER:
            return None
        (parameter,) = function.parameters
        if function.kind is Kind.ADD:
            term = term + parameter
        else:
            change = np.multiply if function.kind is Kind.MULTIPLY else np.divide
            factor, term = change(factor, parameter), change(term, parameter)
    return factor, term


def chain(functions: Sequence[Function], x: Floats, channels: slice) -> Floats:
    """Return ``x`` through functions, in its precision."""
    for function in functions:
        x = function(x, channels)
    return x
