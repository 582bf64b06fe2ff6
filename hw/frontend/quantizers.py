"""Quantizers: from a float to the number of steps it reaches, with the rounding of QONNX."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import BIPOLAR, DataType, IntArray
from .functions import F64, Floats, Function, at

Bools = NDArray[np.bool_]
Rounding = Callable[[Floats], NDArray[Any]]

# How QONNX names its roundings; ROUND is half to even.
ROUNDINGS = MappingProxyType[str, Rounding](
    {
        "ROUND": np.round,
        "HALF_EVEN": np.round,
        "FLOOR": np.floor,
        "CEIL": np.ceil,
        "DOWN": np.trunc,
        "UP": lambda y: np.sign(y) * np.ceil(np.abs(y)),
        "HALF_UP": lambda y: np.sign(y) * np.floor(np.abs(y) + 0.5),
        "HALF_DOWN": lambda y: np.sign(y) * np.ceil(np.abs(y) - 0.5),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantizer(ABC):
    """A rising staircase over the floats, and the integers it stands for.

    The result is ``base + steps reached``, or -1, +1 for BIPOLAR; the tensor is ``scale * result``.

    Attributes:
        dtype: Datatype of the result.
        base: Least result; 0 for BIPOLAR.
        steps: Steps of the staircase.
        scale: One value or one per channel.
        before: Functions that the staircase expects to be applied first.
    """

    dtype: DataType
    base: int
    steps: int
    scale: F64
    before: tuple[Function, ...] = ()

    @abstractmethod
    def count(self, y: Floats, channels: slice) -> IntArray:
        """Return the steps reached by each of ``(n, channels)`` floats, 0 to ``steps``."""

    @abstractmethod
    def reaches(self, y: F64) -> Bools:
        """Return whether row j of floats ``(steps, channels)`` reaches more than j steps."""

    @abstractmethod
    def distance(self, y: F64) -> F64:
        """Return the distance of floats ``(n, channels)`` to the nearest switching point."""

    def result(self, count: IntArray) -> IntArray:
        """Return the integers for numbers of steps."""
        return 2 * count - 1 if self.dtype == BIPOLAR else self.base + count


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounder(Quantizer):
    """``Quant``: clamp, then round; the division by the scale comes in ``before``.

    Attributes:
        low: Least integer before the zero point is taken away.
        rounding: Key of ``ROUNDINGS``.
    """

    low: int
    rounding: str

    def count(self, y: Floats, channels: slice) -> IntArray:
        """Return the rounded integer above ``low``."""
        clamped = np.clip(y, self.low, self.low + self.steps)
        return ROUNDINGS[self.rounding](clamped).astype(np.int64) - self.low

    def reaches(self, y: F64) -> Bools:
        """Compare counts."""
        above: Bools = self.count(y, slice(None)) > np.arange(self.steps)[:, None]
        return above

    def distance(self, y: F64) -> F64:
        """Halves for the roundings to the nearest, integers for the others."""
        is_nearest = self.rounding == "ROUND" or self.rounding.startswith("HALF")
        if is_nearest:
            points = np.clip(np.floor(y), self.low, self.low + self.steps - 1) + 0.5
        else:
            points = np.clip(np.round(y), self.low, self.low + self.steps)
        return np.asarray(np.abs(y - points), np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Counter(Quantizer):
    """``MultiThreshold`` and ``BipolarQuant``: the number of thresholds that ``y`` is not below.

    Attributes:
        thresholds: Ascending along the last axis, shape ``(channels, steps)`` or ``(1, steps)``.
    """

    thresholds: F64

    def count(self, y: Floats, channels: slice) -> IntArray:
        """Compare with each threshold."""
        total = np.zeros(y.shape, np.int64)
        for threshold in self.thresholds.T:
            total += y >= at(threshold, channels).astype(y.dtype)
        return total

    def reaches(self, y: F64) -> Bools:
        """Compare row j with threshold j."""
        return np.asarray(y >= self.thresholds.T, np.bool_)

    def distance(self, y: F64) -> F64:
        """Return the least distance to a threshold."""
        nearest = np.full(y.shape, np.inf)
        for threshold in self.thresholds.T:
            nearest = np.minimum(nearest, np.abs(y - threshold))
        return nearest
