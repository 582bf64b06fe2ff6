"""Elementwise functions of an island: per-channel, evaluated in float64 and followed in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
Directions = NDArray[np.int8]


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
