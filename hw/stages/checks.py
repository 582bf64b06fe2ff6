"""Checks that stages share: their number of ends, and folds that divide."""

from __future__ import annotations

from ..errors import FoldingError, GraphError
from ..graph import Stage


def check_ends(stage: Stage) -> None:
    """Check that ``stage`` has one input and one output.

    Raises:
        GraphError: It has not.
    """
    if len(stage.inputs) != 1 or len(stage.outputs) != 1:
        article = "an" if stage.kind[0] in "aeiou" else "a"
        raise GraphError(f"{stage.name}: {article} {stage.kind} has one input and one output")


def check_fold(stage: Stage, fold: str, of: str, size: int) -> None:
    """Check that a fold of ``stage`` divides its dimension.

    Args:
        stage: Has the field ``fold``.
        fold: ``pe`` or ``simd``.
        of: What the dimension is called.
        size: What it is.

    Raises:
        FoldingError: It does not divide, or is below 1.
    """
    value = getattr(stage, fold)
    if value < 1 or size < 1 or size % value:
        raise FoldingError(f"{stage.name}: {fold}={value} must divide {of}={size}")
