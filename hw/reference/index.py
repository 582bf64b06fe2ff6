"""Indices in kernel text: a constant plus multiples of variables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Index:
    """A place in memory or the turn of a loop, written with as few operations as it takes.

    >>> i = Index.of("i")
    >>> str((i * 12 + 3) * 2 + i + Index.of("x"))
    'i * 25 + x + 6'

    Attributes:
        constant: What is known.
        terms: Each variable and its factor, which is not 0.
    """

    constant: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, name: str) -> Index:
        """Return the value of a variable."""
        return cls(0, ((name, 1),))

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.constant + other, self.terms)
        factors = dict(self.terms)
        for name, factor in other.terms:
            factors[name] = factors.get(name, 0) + factor
        terms = tuple((name, factor) for name, factor in factors.items() if factor)
        return Index(self.constant + other.constant, terms)

    def __mul__(self, factor: int) -> Index:
        terms = tuple((name, before * factor) for name, before in self.terms if factor)
        return Index(self.constant * factor, terms)

    def __str__(self) -> str:
        texts = [name if factor == 1 else f"{name} * {factor}" for name, factor in self.terms]
        if self.constant or not texts:
            texts.append(str(self.constant))
        return " + ".join(texts)
