"""Gaps of sources and calendars of sinks as flat arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError

Array = NDArray[np.int64]
Pattern = Sequence[int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Patterns:
    """Repeating patterns, one a stream.

    Attributes:
        begin: Where each pattern begins in ``values``, and the total.
        values: All patterns, one after the other.
    """

    begin: Array
    values: Array

    def of(self, stream: int) -> Array:
        """Return the pattern of one stream."""
        return self.values[self.begin[stream] : self.begin[stream + 1]]


def gap_patterns(name: str, inputs: Sequence[str], given: Mapping[str, Pattern] | None) -> Patterns:
    """Return the idle cycles before each beat of each input; none where none are given.

    Raises:
        SimulationError: A pattern names no input, is empty, or holds a negative number.
    """
    for stream, pattern in _checked(name, "gaps", inputs, given).items():
        if len(pattern) == 0 or min(pattern) < 0:
            raise _illegal(name, "gaps", stream, pattern, "integers >= 0")
    return _flat([(given or {}).get(stream, (0,)) for stream in inputs])


def ready_patterns(
    name: str, outputs: Sequence[str], given: Mapping[str, Pattern] | None
) -> Patterns:
    """Return the calendar of each output; always ready where none is given.

    Raises:
        SimulationError: A pattern names no output, is empty, or holds anything but 0 and some 1.
    """
    for stream, pattern in _checked(name, "ready", outputs, given).items():
        if len(pattern) == 0 or min(pattern) < 0 or max(pattern) != 1:
            raise _illegal(name, "ready", stream, pattern, "0 and 1, at least one 1")
    return _flat([(given or {}).get(stream, (1,)) for stream in outputs])


def _checked(
    name: str, what: str, streams: Sequence[str], given: Mapping[str, Pattern] | None
) -> Mapping[str, Pattern]:
    for stream in given or {}:
        if stream not in streams:
            raise SimulationError(f"{name}: {what}: {stream!r} is none of {list(streams)}")
    return given or {}


def _illegal(name: str, what: str, stream: str, pattern: Pattern, rule: str) -> SimulationError:
    shown = list(pattern)[:8]
    return SimulationError(f"{name}: {what}[{stream!r}] must hold {rule}, got {shown}")


def _flat(patterns: list[Pattern]) -> Patterns:
    begin = np.cumsum([0, *(len(pattern) for pattern in patterns)]).astype(np.int64)
    values = [np.asarray(pattern, np.int64) for pattern in patterns]
    return Patterns(begin=begin, values=np.concatenate([*values, np.zeros(0, np.int64)]))
