"""Which kernel computes a layer: the cheapest of those that compute the very same integers."""

from __future__ import annotations

from typing import TypeAlias

from ..dtypes import DataType, IntArray
from ..errors import DatatypeError, FoldingError
from ..graph import Stage
from ..stages import Layer, MatVec
from ..stages.kernels import KERNELS

# LUTs, block RAMs, flip-flops.
Price: TypeAlias = tuple[int, int, int]


def price_of(stage: Stage) -> Price:
    """Return what choices minimise: LUTs, then block RAMs, then flip-flops."""
    cost = stage.cost()
    return cost.lut, cost.bram, cost.ff


def choose_kernel(input_dtype: DataType, weights: IntArray, simd: int, pe: int) -> str:
    """Return the kernel that computes the dot products of a folded layer in the fewest LUTs.

    >>> from popshift.hw.dtypes import unsigned
    >>> choose_kernel(unsigned(8), np.array([[1, -4, 16, 64]]), simd=2, pe=1)
    'shift'

    Args:
        input_dtype: Datatype of a synapse.
        weights: Integers, shape ``(MH, MW)``.
        simd: Synapses per cycle; divides MW.
        pe: Neurons per cycle; divides MH.

    Raises:
        FoldingError: A fold does not divide its dimension.
        DatatypeError: The weights take more bits than any kernel has.
    """
    layer = MatVec(
        name="layer",
        inputs=("x",),
        outputs=("y",),
        weights=weights,
        input_dtype=input_dtype,
        kernel="signed",
        simd=simd,
        pe=pe,
    )
    return min(with_exact_kernels(layer), key=price_of).kernel


def with_exact_kernels(layer: Layer) -> tuple[Layer, ...]:
    """Return the layer with each kernel that computes its accumulators, its own kernel first."""
    own = layer.arithmetic
    found = [layer]
    for name, kernel in KERNELS.items():
        if name == layer.kernel or kernel.computes is not own.computes:
            continue
        try:
            found.append(layer.with_(kernel=name))
        except DatatypeError:
            continue
    return tuple(found)


def with_kernel(layer: Layer, name: str) -> Layer:
    """Return the layer with the kernel of that name.

    Raises:
        FoldingError: There is no such kernel, or it does not compute the layer's accumulators.
    """
    kernel = KERNELS.get(name)
    if kernel is None:
        raise FoldingError(f"{layer.name}: kernel {name!r} is none of {sorted(KERNELS)}")
    exact = [other.kernel for other in with_exact_kernels(layer)]
    if kernel.computes is not layer.arithmetic.computes:
        raise FoldingError(
            f"{layer.name}: kernel {name} computes {kernel.computes.value}, but the layer computes "
            f"{layer.arithmetic.computes.value}; the kernels that do are {sorted(exact)}"
        )
    try:
        return layer.with_(kernel=name)
    except DatatypeError as error:
        raise FoldingError(
            f"{layer.name}: {error}; the kernels that are exact here are {sorted(exact)}"
        ) from error
