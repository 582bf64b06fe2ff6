"""The tree of ``bit_heap.sv``: which cells sum a heap of bits, in which levels, at what cost.

A level counts seven or six bits of a column by a 7:3 counter; where no column has six bits, a full
adder takes three of a column of more than three. At most three rows are left for one adder. The
counters are those of Preusser's generic matrix summation (arXiv:1806.08095).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import cost
from .cost import Cost

# Modules of a heap, and of a popcount.
HEAP_SOURCES = ("bit_heap", "counter_7_3", "delay", "full_adder", "ternary_adder")
# Those of its twin among them, which adds in carry chains.
POPCOUNT_SOURCES = (*HEAP_SOURCES, "popcount", "carried_sum")

_ROWS = 3  # that the last adder takes


@dataclass(frozen=True, kw_only=True)
class Heap:
    """Cells that sum a heap.

    Attributes:
        counters: 7:3 counters of seven bits.
        small_counters: 7:3 counters of six bits.
        adders: Full adders.
        level_bits: Bits behind each level of these cells.
        rows: Bits of each column of the last adder, 0 to 3.
    """

    counters: int
    small_counters: int
    adders: int
    level_bits: tuple[int, ...]
    rows: tuple[int, ...]

    @property
    def levels(self) -> int:
        """Levels of counters and adders in front of the last adder."""
        return len(self.level_bits)

    def pipelined_cost(self, registers: int) -> Cost:
        """Return the cost with a register behind each level, the surplus behind the sum."""
        surplus = registers - self.levels
        return self.cost + cost.register(sum(self.level_bits) + surplus * len(self.rows))

    @property
    def cost(self) -> Cost:
        """LUTs of ECP5, where a full adder takes two."""
        full_adders = 4 * self.counters + 3 * self.small_counters + self.adders
        full_adders += self.rows.count(_ROWS)
        luts = Cost(lut=2 * full_adders + self.small_counters)
        first = next((c for c, bits in enumerate(self.rows) if bits > 1), len(self.rows))
        width = len(self.rows) - first
        return luts + cost.adder(width) if width else luts

    @property
    def xilinx_luts(self) -> int:
        """LUTs of AMD 7-series: two for a counter, one for a full adder or column of the adder."""
        luts = 2 * (self.counters + self.small_counters) + self.adders
        carry = False
        for bits in self.rows:
            luts += bits + carry > 1
            carry = bits + carry > 2
        return luts


def heap(heights: Sequence[int]) -> Heap:
    """Return the cells that sum a heap modulo ``2 ** len(heights)``.

    Args:
        heights: Bits of each column, column 0 first.
    """
    columns = list(heights)
    counters = small = adders = 0
    level_bits: list[int] = []
    while max(columns) > _ROWS:
        is_low = max(columns) < 6
        behind = [0] * (len(columns) + 2)
        for column, bits in enumerate(columns):
            counted = (bits + 1) // 7
            added = int(is_low and bits > _ROWS)
            behind[column] += counted + added + max(0, bits - 7 * counted - 3 * added)
            behind[column + 1] += counted + added
            behind[column + 2] += counted
            counters += counted - (bits % 7 == 6)
            small += bits % 7 == 6
            adders += added
        columns = behind[: len(columns)]
        level_bits.append(sum(columns))
    return Heap(
        counters=counters,
        small_counters=small,
        adders=adders,
        level_bits=tuple(level_bits),
        rows=tuple(columns),
    )


def popcount(bits: int) -> Heap:
    """Return the cells of ``popcount.sv``."""
    return heap((bits, *(0 for _ in range(bits.bit_length() - 1))))
