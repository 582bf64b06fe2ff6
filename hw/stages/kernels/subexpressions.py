"""Sums that rows of a constant matrix have in common, two terms at a time.

Hartley's elimination (Subexpression sharing in filters using canonic signed digit multipliers, IEEE
TCAS-II 43, 1996) over all rows at once: the pair of terms that occurs most often, at any common
shift and sign, becomes a term of its own, until none occurs twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TypeAlias

import numpy as np

from ...dtypes import IntArray

# A node and a shift to the left. Nodes are the columns of the matrix, then pairs.
Term: TypeAlias = tuple[int, int]
# Terms of a row, to the sign -1 or 1.
Row: TypeAlias = dict[Term, int]
# A pair: first node, second node, shift of the second, its sign to that of the first.
Pair: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Subexpressions:
    """A constant matrix as sums of terms ``sign * (node << shift)``.

    Attributes:
        columns: Of the matrix, the first nodes.
        pairs: Of the nodes behind them: node ``columns + i`` is ``pairs[i]``, which stands for
            ``first + sign * (second << shift)``.
        rows: The terms of each row.
    """

    columns: int
    pairs: tuple[Pair, ...]
    rows: tuple[Row, ...]


def signed_digits(value: int) -> Iterator[tuple[int, int]]:
    """Yield shifts and signs of an integer's canonical signed digits, no two of them adjacent.

    They are the fewest powers of two, added and subtracted, that make the integer
    (Reitwiesner, 1960).

    >>> list(signed_digits(7))
    [(0, -1), (3, 1)]
    """
    shift = 0
    while value:
        if value & 1:
            sign = 2 - (value & 3)
            yield shift, sign
            value -= sign
        value >>= 1
        shift += 1


def digit_rows(weights: IntArray) -> list[Row]:
    """Return the signed digits of each row of weights, shape ``(rows, columns)``."""
    digits = {int(value): tuple(signed_digits(int(value))) for value in np.unique(weights)}
    return [
        {(column, shift): sign for column, value in enumerate(row) for shift, sign in digits[value]}
        for row in weights.tolist()
    ]


def share(weights: IntArray) -> Subexpressions:
    """Return the rows of weights, shape ``(rows, columns)``, with what they share."""
    search = _Search(digit_rows(weights), weights.shape[1])
    pairs = tuple(search.run())
    return Subexpressions(columns=weights.shape[1], pairs=pairs, rows=tuple(search.rows))


class _Search:
    """Rows, how often each pair occurs in them, and which are the most frequent."""

    def __init__(self, rows: list[Row], columns: int) -> None:
        self.rows = rows
        self._nodes = columns
        self._counts: dict[Pair, int] = {}
        for row in rows:
            terms = list(row.items())
            for at, (term, sign) in enumerate(terms):
                self._count(term, sign, terms[:at], 1)
        self._heap: list[tuple[int, int, Pair]] = []
        self._push(self._counts)

    def run(self) -> Iterator[Pair]:
        """Replace pairs in the rows and yield them, until none occurs twice."""
        while self._heap:
            count, _, pair = heappop(self._heap)
            if -count != self._counts.get(pair, 0):
                self._push((pair,))
                continue
            places = [self._places(row, pair) for row in self.rows]
            if sum(map(len, places)) < 2:
                continue
            node = self._nodes
            self._nodes += 1
            changed: set[Pair] = set()
            for row, found in zip(self.rows, places, strict=True):
                for shift in found:
                    changed |= self._replace(row, pair, shift, node)
            self._counts.pop(pair, None)
            changed.discard(pair)
            self._push(changed)
            yield pair

    def _push(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            count = self._counts.get(pair, 0)
            if count > 1:
                heappush(self._heap, (-count, max(pair[:2]), pair))

    def _count(
        self, term: Term, sign: int, others: Iterable[tuple[Term, int]], by: int
    ) -> set[Pair]:
        counts = self._counts
        touched = set()
        node, shift = term
        for (other, at), other_sign in others:
            if (at, other) < (shift, node):
                pair = (other, node, shift - at, sign * other_sign)
            else:
                pair = (node, other, at - shift, sign * other_sign)
            counts[pair] = counts.get(pair, 0) + by
            touched.add(pair)
        return touched

    @staticmethod
    def _places(row: Row, pair: Pair) -> list[int]:
        """Return the shifts at which a pair occurs in a row, none of its terms in two of them."""
        first, second, distance, sign = pair
        found: list[int] = []
        used: set[Term] = set()
        for (node, shift), own in row.items():
            if node != first or row.get((second, shift + distance)) != sign * own:
                continue
            terms = {(first, shift), (second, shift + distance)}
            if not used & terms:
                used |= terms
                found.append(shift)
        return found

    def _replace(self, row: Row, pair: Pair, shift: int, node: int) -> set[Pair]:
        first, second, distance, _ = pair
        own = row[first, shift]
        for term in ((first, shift), (second, shift + distance)):
            sign = row.pop(term)
            self._count(term, sign, row.items(), -1)
        touched = self._count((node, shift), own, row.items(), 1)
        row[node, shift] = own
        return touched
