"""The integers of a weight matrix, and the step that they count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dtypes import IntArray
from .functions import F64
from .islands import Constant
from .nodes import Node
from .steps import common_step

MAX_WEIGHT_BITS = 16
"""Of weights that are not all powers of two."""

_MAX_EXPONENT = 30


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """A matrix of weights ``scale * factor * integers``.

    Attributes:
        integers: Shape ``(outputs, inputs)``.
        factor: What all integers of the layer had in common.
        scale: One value or one per output.
    """

    integers: IntArray
    factor: int
    scale: F64


def weight_matrix(node: Node, constant: Constant, label: str) -> Weights:
    """Return the integers of a matrix of weights, without the factor that all have in common.

    Weights without a quantizer are taken if they are on a grid by themselves: -a, 0, +a in each
    output; powers of two; sums of planes whose scales are small integers or powers of two of one
    step. The grid is that of the layer, or one of each output.

    Args:
        node: Node that multiplies by them.
        constant: Matrix of shape ``(outputs, inputs)``.
        label: Tensor name for messages.

    Raises:
        UnsupportedOpError: They are on no grid, or too large; see ``check_size``.
    """
    weights = grid_of(node, constant, label)
    factor = max(1, int(np.gcd.reduce(np.abs(weights.integers), axis=None)))
    integers = weights.integers // factor
    check_size(node, integers, label)
    scale = weights.scale
    scale = scale[:1].copy() if (scale == scale[0]).all() else scale.copy()
    return Weights(integers=integers, factor=factor, scale=scale)


def check_size(node: Node, integers: IntArray, label: str) -> None:
    """Raise if a weight is larger than layers take.

    Raises:
        UnsupportedOpError: It is.
    """
    if not _is_small(integers):
        raise node.refuse(
            f"weights '{label}' hold the integer {int(integers.flat[np.abs(integers).argmax()])}",
            f"use at most {MAX_WEIGHT_BITS} bits for weights that are no powers of two",
        )


def is_power_of_two(integers: IntArray) -> bool:
    """Return whether all integers are 0 or powers of two, of either sign."""
    sizes = np.abs(integers)
    return not (sizes & (sizes - 1)).any()


def _is_small(integers: IntArray) -> bool:
    """Return whether integers have few bits, or one bit each."""
    if is_power_of_two(integers):
        return int(np.abs(integers).max()) <= 1 << _MAX_EXPONENT
    bound = 1 << (MAX_WEIGHT_BITS - 1)
    return -bound <= int(integers.min()) and int(integers.max()) < bound


def grid_of(node: Node, constant: Constant, label: str) -> Weights:
    """Return the integers of a matrix of weights and one scale per output; see above.

    Raises:
        UnsupportedOpError: They are on no grid.
    """
    if constant.integers is None or constant.scale is None:
        return _found(node, constant.values.astype(np.float64), label)
    scale = constant.scale
    if (scale == scale[:, :1]).all():
        return Weights(integers=constant.integers, factor=1, scale=scale[:, 0])
    return _found(node, constant.integers * scale, label)


def _found(node: Node, floats: NDArray[np.float64], label: str) -> Weights:
    """Return the grid of weights that no quantizer states, or whose scale varies over inputs."""
    if not np.isfinite(floats).all():
        raise node.refuse(f"weights '{label}' are not finite", "train or export the model again")
    signs = np.sign(floats).astype(np.int64)
    sizes = np.abs(floats).max(axis=1)
    nonzero = np.unique(sizes[sizes > 0])
    # The same scale everywhere, where rows of zeros would leave a choice.
    sizes = np.where(sizes == 0, nonzero[0] if nonzero.size == 1 else 1.0, sizes)
    if (signs * sizes[:, None] == floats).all():
        return Weights(integers=signs, factor=1, scale=sizes)
    whole = common_step(floats)
    if whole is not None and (np.abs(floats) < whole * (1 << _MAX_EXPONENT)).all():
        integers = np.rint(floats / whole).astype(np.int64)
        if _is_small(integers):
            return Weights(integers=integers, factor=1, scale=np.full(len(floats), whole))
    steps = np.array([_step_of_output(node, row, i, label) for i, row in enumerate(floats)])
    return Weights(
        integers=np.rint(floats / steps[:, None]).astype(np.int64), factor=1, scale=steps
    )


def _step_of_output(node: Node, row: NDArray[np.float64], index: int, label: str) -> float:
    """Return the step of the weights of one output.

    Raises:
        UnsupportedOpError: They are too many steps.
    """
    step = common_step(row)
    is_near = step is not None and bool((np.abs(row) < step * (1 << _MAX_EXPONENT)).all())
    if step is not None and is_near and _is_small(np.rint(row / step).astype(np.int64)):
        return step
    sizes = np.unique(np.abs(row[row != 0]))
    shown = ", ".join(f"{size:.6g}" for size in sizes[:4]) + (", ..." if sizes.size > 4 else "")
    raise node.refuse(
        f"weights '{label}' are not on a grid: those of output {index} have {sizes.size} sizes "
        f"({shown}), which are no small multiples of one step",
        "quantize them (BipolarQuant or Quant); of planes, make the scales of an output powers of "
        "two or small integers of one step",
    )
