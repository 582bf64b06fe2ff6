"""The additions that make the sums of a constant matrix.

Terms that several neurons need are added once, see ``subexpressions``. What is used once is added
three operands at a time, which AMD devices do in one LUT a bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import TypeAlias

import numpy as np

from ...dtypes import DataType, IntArray, smallest_for
from .adder_graph import NOTHING, AdderGraph, Operand, Operation
from .subexpressions import Subexpressions, share


def additions(dtype: DataType, weights: IntArray) -> AdderGraph:
    """Return the graph of a matrix, without registers.

    Args:
        dtype: Of the inputs.
        weights: Integers, shape ``(neurons, synapses)``.
    """
    return _Builder(dtype, share(weights)).graph()


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
            return Operand(NOTHING, 0, 1)
        tree = self._tree(terms)
        if isinstance(tree, Operand):
            if tree.sign > 0:
                return tree
            node = self._add((Operand(NOTHING, 0, 1), tree._replace(shift=0)))
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
            first = Operand(NOTHING, 0, 1)
            rest = operands
        else:
            rest = [operand for operand in operands if operand is not first]
        return Operand(self._add((first, *rest)), shift, sign)

    def _add(self, operands: tuple[Operand, ...]) -> int:
        """Return the node of a new operation."""
        total = np.zeros(self._shared.columns, np.int64)
        level = 0
        for node, shift, sign in operands:
            if node != NOTHING:
                total += sign * (self._coefficients[node] << shift)
                level = max(level, self._levels[node])
        ends = np.stack([total * self._dtype.min, total * self._dtype.max])
        low, high = int(ends.min(axis=0).sum()), int(ends.max(axis=0).sum())
        self._coefficients.append(total)
        self._levels.append(level + (len(operands) > 1))
        self._ranges.append((low, high))
        self._operations.append(Operation(operands, low, high))
        return len(self._ranges) - 1
