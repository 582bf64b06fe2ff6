"""What a layer does with its data: products with weights, or distances to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..dtypes import BIPOLAR, DataType, IntArray, smallest_for
from .functions import F64
from .islands import Constant
from .nodes import Node
from .weights import MAX_WEIGHT_BITS, grid_of, weight_matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """Integers of a layer, and what its accumulators stand for.

    The tensor is ``scale * factor * sum``, of products ``x * w`` or of ``-|x - w|``.

    Attributes:
        kernel: Arithmetic of the stage.
        integers: Weights, shape ``(outputs, inputs)``.
        factor: Integer that all products have in common.
        scale: One value or one per output.
    """

    kernel: str
    integers: IntArray
    factor: int
    scale: F64


Operate = Callable[[Node, Constant, str, DataType, F64], Operation]


def products(node: Node, constant: Constant, label: str, dtype: DataType, scale: F64) -> Operation:
    """Return the products of data with weights.

    Args:
        node: The layer.
        constant: Weights, shape ``(outputs, inputs)``.
        label: Tensor name of the weights for messages.
        dtype: Datatype of the data.
        scale: Of the data, one value or one per output.

    Raises:
        UnsupportedOpError: The weights are on no grid, or too large.
    """
    weights = weight_matrix(node, constant, label)
    return Operation(
        kernel=_kernel(dtype, weights.integers),
        integers=weights.integers,
        factor=weights.factor,
        scale=scale * weights.scale,
    )


def _kernel(dtype: DataType, integers: IntArray) -> str:
    """Return a kernel that takes the integers; folding chooses the cheapest."""
    if dtype == BIPOLAR and (np.abs(integers) == 1).all():
        return "xnor"
    return "signed" if _bits(integers) <= MAX_WEIGHT_BITS else "shift"


def _bits(integers: IntArray) -> int:
    return smallest_for(int(integers.min()), int(integers.max())).bits


def distances(node: Node, constant: Constant, label: str, dtype: DataType, scale: F64) -> Operation:
    """Return minus the distances of data and weights; the arguments are those of ``products``.

    ``|s x - t w| = s |x - (t / s) w|`` needs a whole number ``t / s``, which goes into the weights.

    References:
        Chen et al., "AdderNet", CVPR 2020, arXiv:1912.13200, equation 2.

    Raises:
        UnsupportedOpError: The weights are on no grid, too large, or no whole steps of the data.
    """
    weights = grid_of(node, constant, label)
    steps = np.broadcast_to(np.abs(scale), weights.scale.shape)
    if (scale < 0).any():
        raise node.refuse("the scale of its data is negative", "use a positive scale")
    ratios = weights.scale / steps
    integers = np.rint(ratios[:, None] * weights.integers).astype(np.int64)
    # Steps are stored as float32: what rounds to the same float32 is the same step.
    is_whole = _is_same(integers * steps[:, None], weights.integers * weights.scale[:, None])
    if not is_whole.all():
        output = int(np.argwhere(~is_whole)[0, 0])
        raise node.refuse(
            f"weights '{label}' of output {output} come in steps of {weights.scale[output]:g} and "
            f"its data in steps of {steps[output]:g}, so that their distance is no integer",
            "give both one step, or weights a whole multiple of that of the data",
        )
    if _bits(integers) > MAX_WEIGHT_BITS:
        raise node.refuse(
            f"weights '{label}' reach {int(np.abs(integers).max())} steps of its data",
            f"use at most {MAX_WEIGHT_BITS} bits for weights",
        )
    return Operation(kernel="adder", integers=integers, factor=1, scale=np.array(scale))


def _is_same(one: F64, other: F64) -> np.ndarray:
    return np.asarray(one.astype(np.float32) == other.astype(np.float32))
