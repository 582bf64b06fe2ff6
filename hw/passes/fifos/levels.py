"""The FIFOs to choose from in each slot, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...cost import LUTS_PER_BRAM, Cost
from ...graph import StreamType
from ...stages import Fifo

Measure = Literal["luts", "bits"]
"""What is minimised: LUTs, with flip-flops and block RAMs counted as LUTs, or bits of storage."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """A FIFO that may stand in a slot.

    Attributes:
        depth: Beats; 0 for none.
        latency: Cycles that it adds; 0 for none.
        bits: Bits that it stores.
        cost: Estimated resources.
        price: What is minimised, in half LUTs or in bits.
    """

    depth: int
    latency: int
    bits: int
    cost: Cost
    price: int


def lut_price(cost: Cost) -> int:
    """Return what some resources count, in half LUTs.

    A flip-flop counts half a LUT: there are as many of them, but designs run out of LUTs first. A
    block RAM counts as many LUTs as make a read-only memory move into one.
    """
    return 2 * (cost.lut + LUTS_PER_BRAM * cost.bram) + cost.ff


def level(kind: StreamType, depth: int, measure: Measure) -> Level:
    """Return the FIFO of ``depth`` beats for a stream."""
    latency, cost = 0, Cost()
    if depth:
        fifo = Fifo(name="fifo", inputs=("x",), outputs=("y",), type=kind, depth=depth)
        latency, cost = fifo.schedule().pipes["m_axis"].latency, fifo.cost()
    bits = depth * kind.width_bits
    price = bits if measure == "bits" else lut_price(cost)
    return Level(depth=depth, latency=latency, bits=bits, cost=cost, price=price)


def grid(kind: StreamType, measure: Measure) -> list[Level]:
    """Return no FIFO, and those of 1, 2, 4, 8, ... beats up to two images or more."""
    depths = [0, 1]
    while depths[-1] < max(2 * kind.beats, 64):
        depths.append(2 * depths[-1])
    return [level(kind, depth, measure) for depth in depths]
