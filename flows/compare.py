"""Compares integers and cycles of streams, and says where they first differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..hw.dtypes import IntArray
from ..hw.graph import Dataflow


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Result of comparing one thing on several streams.

    Attributes:
        elements: Integers or beats compared.
        mismatches: How many differ or are missing.
        first: One line per differing stream, in stream order: where it first differs.
    """

    elements: int
    mismatches: int
    first: tuple[str, ...]

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            elements=self.elements + other.elements,
            mismatches=self.mismatches + other.mismatches,
            first=self.first + other.first,
        )


NOTHING = Comparison(elements=0, mismatches=0, first=())


def compare_values(
    dataflow: Dataflow, expected: Mapping[str, IntArray], actual: Mapping[str, IntArray]
) -> Comparison:
    """Compare the integers ``(images, *shape)`` of every stream in ``expected``."""
    total = NOTHING
    for stream, want in expected.items():
        total += compare_arrays(layer_of(dataflow, stream), want, actual[stream])
    return total


def compare_arrays(where: str, want: IntArray, have: IntArray) -> Comparison:
    """Compare integers ``(images, ..., channels)``; missing or surplus images count in full."""
    images = min(len(want), len(have))
    per_image = int(np.prod(want.shape[1:]))
    wrong = np.argwhere(want[:images] != have[:images])
    mismatches = len(wrong) + abs(len(want) - len(have)) * per_image
    first: tuple[str, ...] = ()
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        element = int(np.ravel_multi_index(at[1:], want.shape[1:]))
        first = (
            f"{where}: image {at[0]}, channel {at[-1]}, element {element}: "
            f"expected {want[at]}, got {have[at]} ({len(wrong)} of {want[:images].size} differ)",
        )
    elif mismatches:
        first = (f"{where}: expected {len(want)} images, got {len(have)}",)
    return Comparison(elements=want.size, mismatches=mismatches, first=first)


def compare_cycles(
    dataflow: Dataflow,
    expected: Mapping[str, NDArray[np.int64]],
    actual: Mapping[str, NDArray[np.int64]],
) -> Comparison:
    """Compare the cycle of every beat on every stream in ``expected``."""
    total = NOTHING
    for stream, want in expected.items():
        have = actual[stream]
        beats = min(len(want), len(have))
        wrong = np.flatnonzero(want[:beats] != have[:beats])
        mismatches = len(wrong) + abs(len(want) - len(have))
        where = layer_of(dataflow, stream)
        per_image = dataflow.streams[stream].beats
        first: tuple[str, ...] = ()
        if len(wrong):
            beat = int(wrong[0])
            first = (
                f"{where}: image {beat // per_image}, beat {beat % per_image}: first differing "
                f"cycle: expected {want[beat]}, got {have[beat]} ({len(wrong)} of {beats} differ)",
            )
        elif mismatches:
            first = (f"{where}: expected {len(want)} beats, got {len(have)}",)
        total += Comparison(elements=len(want), mismatches=mismatches, first=first)
    return total


def layer_of(dataflow: Dataflow, stream: str) -> str:
    """Return how a stream is named in messages: its layer, and itself where that differs."""
    stage = dataflow.producer(stream)
    return f"input {stream}" if stage is None else f"layer {stage.name}, stream {stream}"
