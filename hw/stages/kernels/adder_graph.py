"""Adder graph of a constant matrix: what an unrolled layer is instead of products by weights.

Terms that several neurons need are added once, see ``subexpressions``. What is used once is added
three operands at a time, which AMD devices do in one LUT a bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import NamedTuple, TypeAlias

import numpy as np

from ... import cost
from ...cost import Cost
from ...dtypes import DataType, IntArray, smallest_for
from .subexpressions import Subexpressions, share

# Modules of an unrolled layer besides ``lanes``.
GRAPH_SOURCES = ("adder_graph", "sum_of_three")

# Operations in a row without a register between: four additions of two operands.
OPERATIONS_AT_ONCE = 2
# Registers between a beat and the sums, as ``dot.sv`` has with any kernel.
LEAST_REGISTERS = 2

# Pairs of digits of the same neuron, over all neurons: more take many seconds to search.
MOST_PAIRS = 400_000
# Bits of the parameter GRAPH: Verilator takes no wider numbers.
MOST_BITS = 1 << 17
MOST_NODE_BITS = 63

# Bits of the fields of an operation, as in ``adder_graph.sv``.
SHIFT_FIELD = WIDTH_FIELD = 6

_NOTHING = -1


class Operand(NamedTuple):
    """A node, shifted to the left, added or subtracted.

    Attributes:
        node: An input, or behind them an operation; ``_NOTHING`` for 0.
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
            operands = [*operation.operands, *(Operand(_NOTHING, 0, 1),) * 3][:3]
            word, at = 0, 0
            for node, shift, sign in operands:
                field = nothing if node == _NOTHING else node
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
                if node != _NOTHING
            ]
            nodes.append(sum(terms, np.zeros(x.shape[:-1], np.int64)))
        return np.stack(nodes[-self.neurons :], axis=-1)


def _packed(words: Iterable[bytes], bits: int) -> int:
    """Return words of ``bits`` bits each as one integer, the first in the low bits."""
    rows = np.frombuffer(b"".join(words), np.uint8).reshape(-1, -(-bits // 8))
    flat = np.unpackbits(rows, axis=1, count=bits, bitorder="little").reshape(-1)
    return int.from_bytes(np.packbits(flat, bitorder="little").tobytes(), "little")


def adder_graph(dtype: DataType, weights: IntArray) -> AdderGraph | None:
    """Return the graph of a matrix of inputs of ``dtype``, or None where it would be too large.

    Args:
        dtype: Of the inputs.
        weights: Integers, shape ``(neurons, synapses)``.
    """
    if _pairs(weights) > MOST_PAIRS:
        return None
    return _cached(dtype, weights.shape, weights.astype(np.int64).tobytes(), OPERATIONS_AT_ONCE)


@lru_cache(maxsize=64)
def _cached(
    dtype: DataType, shape: tuple[int, int], content: bytes, at_once: int
) -> AdderGraph | None:
    weights = np.frombuffer(content, np.int64).reshape(shape)
    graph = pipelined(additions(dtype, weights), at_once)
    if graph.word_bits > MOST_BITS or graph.node_bits > MOST_NODE_BITS:
        return None
    return graph


def additions(dtype: DataType, weights: IntArray) -> AdderGraph:
    """Return the graph of a matrix of any size, without registers; see :func:`adder_graph`."""
    return _Builder(dtype, share(weights)).graph()


def _pairs(weights: IntArray) -> int:
    """Return the pairs of signed digits of the rows: those of w are where 3 w and w differ."""
    magnitudes = np.abs(weights)
    digits = np.bitwise_count(3 * magnitudes ^ magnitudes).astype(np.int64).sum(axis=1)
    return int((digits * digits).sum()) // 2


# A term, or the sum of two or three of them.
_Tree: TypeAlias = "Operand | tuple[_Tree, ...]"


class _Builder:
    """Operations of the sums of a matrix, in an order in which each follows its operands."""

    def __init__(self, dtype: DataType, shared: Subexpressions) -> None:
        self._dtype = dtype
        self._shared = shared
        self._operations: list[Operation] = []
        # Coefficients of each node, for the range of its sums; operations from inputs to it.
        self._coefficients = list(np.eye(shared.columns, dtype=np.int64))
        self._levels = [0] * shared.columns
        self._ranges = [(dtype.min, dtype.max)] * shared.columns
        uses = Counter(node for pair in shared.pairs for node in pair[:2])
        uses.update(node for row in shared.rows for node, _ in row)
        self._uses = uses

    def graph(self) -> AdderGraph:
        """Return the graph, with no registers."""
        columns = self._shared.columns
        # What stands for each node of the matrix: a node of the graph, or terms to be added.
        found: list[Operand | None] = [Operand(node, 0, 1) for node in range(columns)]
        terms: list[list[Operand]] = [[] for _ in range(columns)]

        def expanded(node: int, shift: int, sign: int) -> list[Operand]:
            own = found[node]
            parts = terms[node] if own is None else [own]
            return [Operand(n, s + shift, g * sign) for n, s, g in parts]

        for at, (first, second, shift, sign) in enumerate(self._shared.pairs, columns):
            parts = [*expanded(first, 0, 1), *expanded(second, shift, sign)]
            is_shared = self._uses[at] > 1
            found.append(self._sum(parts) if is_shared else None)
            terms.append([] if is_shared else parts)
        results = []
        for row in self._shared.rows:
            parts = [
                part for (node, shift), sign in row.items() for part in expanded(node, shift, sign)
            ]
            results.append(self._positive(parts))
        for result in results:
            self._add((result,))
        return AdderGraph(
            inputs=columns,
            input_range=(self._dtype.min, self._dtype.max),
            neurons=len(results),
            operations=tuple(self._operations),
            registers=0,
        )

    def _sum(self, terms: Sequence[Operand]) -> Operand:
        """Return the sum of terms, of either sign."""
        tree = self._tree(terms)
        return tree if isinstance(tree, Operand) else self._emitted(tree, is_positive=False)

    def _positive(self, terms: Sequence[Operand]) -> Operand:
        """Return the sum of terms as an operand that is added."""
        if not terms:
            return Operand(_NOTHING, 0, 1)
        tree = self._tree(terms)
        if isinstance(tree, Operand):
            if tree.sign > 0:
                return tree
            node = self._add((Operand(_NOTHING, 0, 1), tree._replace(shift=0)))
            return Operand(node, tree.shift, 1)
        return self._emitted(tree, is_positive=True)

    def _tree(self, terms: Sequence[Operand]) -> _Tree:
        """Return how terms are added: three at a time, those that are there first and narrow."""
        heap: list[tuple[int, int, int, int, _Tree]] = [
            (*self._key(term), at, term) for at, term in enumerate(terms)
        ]
        heapify(heap)
        made = len(heap)
        while len(heap) > 1:
            taken = [heappop(heap) for _ in range(2 if len(heap) % 2 == 0 else 3)]
            level = max(entry[0] for entry in taken) + 1
            shift = min(entry[1] for entry in taken)
            width = max(entry[2] for entry in taken) + 1
            heappush(heap, (level, shift, width, made, tuple(entry[-1] for entry in taken)))
            made += 1
        return heap[0][-1]

    def _key(self, term: Operand) -> tuple[int, int, int]:
        low, high = self._ranges[term.node]
        return self._levels[term.node], term.shift, smallest_for(low, high).bits + term.shift

    def _emitted(self, tree: tuple[_Tree, ...], *, is_positive: bool) -> Operand:
        """Return the sum of a tree, to be added if ``is_positive``."""
        leaves = [part for part in tree if isinstance(part, Operand)]
        has_positive = any(leaf.sign > 0 for leaf in leaves)
        operands = []
        for part in tree:
            if isinstance(part, Operand):
                operands.append(part)
                continue
            operands.append(self._emitted(part, is_positive=is_positive and not has_positive))
            has_positive = has_positive or operands[-1].sign > 0
        shift = min(operand.shift for operand in operands)
        operands = sorted(
            (Operand(n, s - shift, g) for n, s, g in operands), key=lambda o: (o.shift, -o.sign)
        )
        sign = 1
        if not is_positive and operands[0].sign < 0:
            sign = -1
            operands = [Operand(n, s, -g) for n, s, g in operands]
        first = next((operand for operand in operands if operand.sign > 0), None)
        if first is None:
            if len(operands) == 3:
                node = self._add((operands[0]._replace(sign=1), operands[1]._replace(sign=1)))
                operands = [Operand(node, 0, -1), operands[2]]
            first = Operand(_NOTHING, 0, 1)
            rest = operands
        else:
            rest = [operand for operand in operands if operand is not first]
        return Operand(self._add((first, *rest)), shift, sign)

    def _add(self, operands: tuple[Operand, ...]) -> int:
        """Return the node of a new operation."""
        total = np.zeros(self._shared.columns, np.int64)
        level = 0
        for node, shift, sign in operands:
            if node != _NOTHING:
                total += sign * (self._coefficients[node] << shift)
                level = max(level, self._levels[node])
        ends = np.stack([total * self._dtype.min, total * self._dtype.max])
        low, high = int(ends.min(axis=0).sum()), int(ends.max(axis=0).sum())
        self._coefficients.append(total)
        self._levels.append(level + (len(operands) > 1))
        self._ranges.append((low, high))
        self._operations.append(Operation(operands, low, high))
        return len(self._ranges) - 1


def pipelined(graph: AdderGraph, at_once: int) -> AdderGraph:
    """Return a graph without registers as one with some, two between inputs and results at least.

    Args:
        graph: Without registers.
        at_once: Operations in a row without a register between.
    """
    levels = _levels(graph)
    # Registers that are there anyway are made use of.
    at_once = min(at_once, max(1, -(-max(levels) // (LEAST_REGISTERS + 1))))
    parts = [max(0, level - 1) // at_once for level in levels]
    registers = max(LEAST_REGISTERS, *parts)
    sums = graph.operations[: -graph.neurons]
    results = graph.operations[-graph.neurons :]
    # In which parts between registers a node is needed.
    needed: list[set[int]] = [set() for _ in levels]
    for part, operation in zip(parts[graph.inputs :], sums, strict=False):
        for operand in operation.operands:
            if operand.node != _NOTHING:
                needed[operand.node].add(part)
    for (operand,) in (result.operands for result in results):
        if operand.node != _NOTHING:
            needed[operand.node].add(registers)

    operations: list[Operation] = []
    places: dict[tuple[int, int], int] = {}  # of a node in a part

    def add(operation: Operation) -> int:
        operations.append(operation)
        return graph.inputs + len(operations) - 1

    def moved(operand: Operand, part: int) -> Operand:
        if operand.node == _NOTHING:
            return operand
        return operand._replace(node=places[operand.node, part])

    def keep(node: int, place: int, part: int, ends: tuple[int, int]) -> None:
        """Let a node wait until the last part that needs it."""
        places[node, part] = place
        for later in range(part + 1, max(needed[node], default=0) + 1):
            place = add(Operation((Operand(place, 0, 1),), *ends, is_register=True))
            places[node, later] = place

    for node in range(graph.inputs):
        keep(node, node, 0, graph.input_range)
    for node, operation in enumerate(sums, graph.inputs):
        part = parts[node]
        operands = tuple(moved(operand, part) for operand in operation.operands)
        is_register = min(needed[node]) > part
        place = add(replace(operation, operands=operands, is_register=is_register))
        keep(node, place, part + is_register, (operation.low, operation.high))
    for result in results:
        add(replace(result, operands=(moved(result.operands[0], registers),)))
    return replace(graph, operations=tuple(operations), registers=registers)


def _levels(graph: AdderGraph) -> list[int]:
    """Return for each node the most operations in a row that end there."""
    levels = [0] * graph.inputs
    for operation in graph.operations:
        below = (levels[o.node] for o in operation.operands if o.node != _NOTHING)
        levels.append(max(below, default=0) + (len(operation.operands) > 1))
    return levels
