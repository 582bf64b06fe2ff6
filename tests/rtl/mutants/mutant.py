"""What a fault of a module is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A fault: ``before`` becomes ``after`` in ``module``, seen by stages of ``kind``.

    Attributes:
        kernel: The one of the stages, or "" for any.
    """

    fault: str
    kind: str
    module: str
    before: str
    after: str
    kernel: str = ""
