"""Costs of the trees of adders that the dot products share."""

from __future__ import annotations

from functools import cache

from ... import cost
from ...cost import Cost


@cache
def adder_tree(terms: int, width_bits: int, cut: int = -1) -> Cost:
    """Return the cost of ``adder_tree.sv``: chains of one bit more than their sums.

    Args:
        terms: How many are added.
        width_bits: Of a term.
        cut: Additions behind a register, -1 for none.
    """
    bits = width_bits + (terms - 1).bit_length()
    held = cost.register(bits + 1) if cut == 0 else Cost()
    if terms == 1:
        return held
    low, below = (terms + 1) // 2, max(cut - 1, -1)
    total = adder_tree(low, width_bits, below) + adder_tree(terms - low, width_bits, below)
    return total + cost.adder(bits + 1) + held


@cache
def weighted_sum(planes: int, width_bits: int) -> Cost:
    """Return the cost of ``weighted_sum.sv``: the low bits of a sum need no addition."""
    if planes == 1:
        return Cost()
    low = planes // 2
    total = weighted_sum(low, width_bits) + weighted_sum(planes - low, width_bits)
    return total + cost.adder(width_bits + planes - low + 1)
