"""Adder graph of a constant matrix: what an unrolled layer is instead of products by weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ... import cost
from ...cost import Cost
from ...dtypes import DataType, IntArray, smallest_for

# Modules of an unrolled layer besides ``lanes``.
GRAPH_SOURCES = ("adder_graph", "sum_of_three")

# Bits of the fields of an operation, as in ``adder_graph.sv``.
SHIFT_FIELD = WIDTH_FIELD = 6

NOTHING = -1  # node of an operand that is 0


class Operand(NamedTuple):
    """A node, shifted to the left, added or subtracted.

    Attributes:
        node: An input, or behind them an operation; ``NOTHING`` for 0.
        shift: Bits.
        sign: -1 or 1.
    """

    node: int
    shift: int
    sign: int


@dataclass(frozen=True)
class Operation:
    """The sum of up to three operands, of which the first is added.

    Attributes:
        operands: One to three; the first one may be 0.
        low: Least value.
        high: Greatest value.
        is_register: Whether the sum is there a cycle later.
    """

    operands: tuple[Operand, ...]
    low: int
    high: int
    is_register: bool = False

    @property
    def dtype(self) -> DataType:
        """Narrowest datatype of the sum."""
        return smallest_for(self.low, self.high)

    @property
    def chain_bits(self) -> int:
        """Bits that are added; those below all but the first operand are its own."""
        if len(self.operands) == 1:
            return 0
        return max(0, self.dtype.bits - min(operand.shift for operand in self.operands[1:]))


@dataclass(frozen=True, kw_only=True)
class AdderGraph:
    """Operations behind the inputs of a layer; the last ones are its neurons.

    Attributes:
        inputs: Synapses, the first nodes.
        input_range: Least and greatest input.
        neurons: How many of the operations are results.
        operations: In an order in which each one follows its operands.
        registers: Between inputs and results.
    """

    inputs: int
    input_range: tuple[int, int]
    neurons: int
    operations: tuple[Operation, ...]
    registers: int

    @property
    def node_bits(self) -> int:
        """Bits of the widest operation."""
        return max(operation.dtype.bits for operation in self.operations)

    @property
    def word(self) -> int:
        """Operations as the parameter ``GRAPH`` of ``adder_graph.sv``."""
        source = (self.inputs + len(self.operations)).bit_length()
        nothing = (1 << source) - 1
        bits = 3 * (source + SHIFT_FIELD + 1) + WIDTH_FIELD + 2
        words = []
        for operation in self.operations:
            operands = [*operation.operands, *(Operand(NOTHING, 0, 1),) * 3][:3]
            word, at = 0, 0
            for node, shift, sign in operands:
                field = nothing if node == NOTHING else node
                field |= shift << source | (sign < 0) << (source + SHIFT_FIELD)
                word |= field << at
                at += source + SHIFT_FIELD + 1
            word |= operation.dtype.bits << at
            word |= (operation.low < 0) << (at + WIDTH_FIELD)
            word |= operation.is_register << (at + WIDTH_FIELD + 1)
            words.append(word.to_bytes(-(-bits // 8), "little"))
        return _packed(words, bits)

    @property
    def word_bits(self) -> int:
        """Bits of ``word``."""
        source = (self.inputs + len(self.operations)).bit_length()
        return len(self.operations) * (3 * (source + SHIFT_FIELD + 1) + WIDTH_FIELD + 2)

    def parameters(self) -> dict[str, int | str]:
        """Return the parameters of ``dot.sv`` that hold the graph."""
        return {
            "OPERATIONS": len(self.operations),
            "NODE_BITS": self.node_bits,
            "GRAPH_BITS": self.word_bits,
            "GRAPH": self.word,
        }

    @property
    def cost(self) -> Cost:
        """An adder for each operand but the first one, registers.

        Sums of bipolar inputs are always odd or always even: their lowest bit is no logic.
        """
        known = int(self.input_range == (-1, 1))
        total = Cost()
        for operation in self.operations:
            added = max(0, operation.chain_bits - known)
            total += cost.adder(added).times(len(operation.operands) - 1)
            if operation.is_register:
                total += cost.register(operation.dtype.bits - known)
        return total

    @property
    def xilinx_luts(self) -> int:
        """LUTs of AMD 7-series: one for each bit that is added, of two operands or three."""
        return sum(operation.chain_bits for operation in self.operations)

    def execute(self, x: IntArray) -> IntArray:
        """Return the results ``(..., neurons)`` of inputs ``(..., inputs)``, without registers."""
        nodes = list(np.moveaxis(x, -1, 0))
        for operation in self.operations:
            terms = [
                sign * (nodes[node] << shift)
                for node, shift, sign in operation.operands
                if node != NOTHING
            ]
            nodes.append(sum(terms, np.zeros(x.shape[:-1], np.int64)))
        return np.stack(nodes[-self.neurons :], axis=-1)


def _packed(words: Iterable[bytes], bits: int) -> int:
    """Return words of ``bits`` bits each as one integer, the first in the low bits."""
    rows = np.frombuffer(b"".join(words), np.uint8).reshape(-1, -(-bits // 8))
    flat = np.unpackbits(rows, axis=1, count=bits, bitorder="little").reshape(-1)
    return int.from_bytes(np.packbits(flat, bitorder="little").tobytes(), "little")
