"""Constants: folding, quantizing, and the integers of a weight matrix."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..dtypes import IntArray
from .functions import F64
from .islands import Constant
from .nodes import Node
from .quantizers import ROUNDINGS
from .walk import Handlers, Value, Walk

# They move elements and change none, so integers and scales can go the same way.
_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True, kw_only=True)
class QuantParameters:
    """Parameters of a ``Quant`` node.

    Attributes:
        scale: As stored, broadcastable to the input.
        zero_point: An integer.
        bits: Bits of the result.
        low: Least integer before the zero point is taken away.
        high: Greatest.
        is_bipolar: Whether the integers are -1, +1.
        rounding: Key of ``ROUNDINGS``.
    """

    scale: F64
    zero_point: int
    bits: int
    low: int
    high: int
    is_bipolar: bool
    rounding: str


def quant_parameters(walk: Walk, node: Node) -> QuantParameters:
    """Return what a ``Quant`` node says.

    Raises:
        UnsupportedOpError: A parameter depends on the data or has no integer form.
    """
    scale = quant_scale(walk, node)
    zero_points, widths = walk.floats(node, 2, "zero point"), walk.floats(node, 3, "bit width")
    if widths.size != 1 or widths.item() != round(widths.item()) or widths.item() < 1:
        raise node.refuse(f"its bit width is {widths.tolist()}", "use one integer bit width")
    if len(set(zero_points.ravel())) != 1 or (zero_points != np.round(zero_points)).any():
        raise node.refuse("its zero point is not one integer", "use one integer zero point")
    bits, zero_point = int(widths.item()), int(zero_points.flat[0])
    is_signed = bool(node.number("signed", 1))
    is_narrow = bool(node.number("narrow", 0))
    rounding = str(node.attributes.get("rounding_mode", "ROUND")).upper()
    if rounding not in ROUNDINGS:
        raise node.refuse(f"rounding {rounding!r} is unknown", f"use one of {sorted(ROUNDINGS)}")
    is_bipolar = is_signed and bits == 1
    if is_bipolar and zero_point:
        raise node.refuse("a 1-bit signed Quant has a zero point", "use zero point 0")
    low = -(1 << (bits - 1)) + is_narrow if is_signed else 0
    high = (1 << (bits - 1)) - 1 if is_signed else (1 << bits) - 1 - is_narrow
    if low >= high and not is_bipolar:
        raise node.refuse("it has a single level", "use more bits or narrow=0")
    return QuantParameters(
        scale=scale,
        zero_point=zero_point,
        bits=bits,
        low=low,
        high=high,
        is_bipolar=is_bipolar,
        rounding=rounding,
    )


def quant_scale(walk: Walk, node: Node) -> F64:
    """Return the scale of a ``Quant`` or ``BipolarQuant`` node, as stored.

    Raises:
        UnsupportedOpError: It depends on the data, is not finite or 0.
    """
    scale = walk.floats(node, 1, "scale")
    if not scale.size or (scale == 0).any():
        raise node.refuse("its scale is 0", "train or export the model again")
    return scale


def quantized_constant(walk: Walk, node: Node) -> Constant:
    """Return a constant through ``Quant`` or ``BipolarQuant``, in float32 as every runtime does.

    Raises:
        UnsupportedOpError: Parameters have no integer form, or the zero point is not 0.
    """
    values = walk.floats(node, 0, "data").astype(np.float32)
    if node.op == "BipolarQuant":
        scale = quant_scale(walk, node).astype(np.float32)
        integers = np.where(values >= 0, 1, -1)
    else:
        quant = quant_parameters(walk, node)
        scale = quant.scale.astype(np.float32)
        if quant.zero_point:
            raise node.refuse(
                f"weights have zero point {quant.zero_point}", "quantize weights symmetrically"
            )
        if quant.is_bipolar:
            integers = np.where(values / scale >= 0, 1, -1)
        else:
            clamped = np.clip(values / scale, quant.low, quant.high)
            integers = ROUNDINGS[quant.rounding](clamped)
    integers = np.asarray(integers, np.int64)
    spread = np.broadcast_to(scale, integers.shape)
    return Constant(
        values=(integers * spread).astype(np.float32),
        integers=integers,
        scale=spread.astype(np.float64),
    )


def fold_constant(node: Node, inputs: list[Constant]) -> list[Constant]:
    """Return the constants that a node makes of constants, one for each output.

    Raises:
        UnsupportedOpError: It cannot be evaluated.
    """
    values = node.run_all(*(constant.values for constant in inputs))
    data = inputs[0] if inputs else None
    if node.op not in _MOVES or data is None or data.integers is None or data.scale is None:
        return [Constant(values=array) for array in values]
    others = [constant.values for constant in inputs[1:]]
    integers = node.run_all(data.integers, *others)
    scales = node.run_all(data.scale, *others)
    return [
        Constant(values=array, integers=n.astype(np.int64), scale=scale.astype(np.float64))
        for array, n, scale in zip(values, integers, scales, strict=True)
    ]


def weight_matrix(node: Node, constant: Constant, label: str) -> tuple[IntArray, F64]:
    """Return integers ``(outputs, inputs)`` and the scale, one or one per output.

    Weights without a quantizer are taken if each output has only the values -a, 0, +a.

    Args:
        node: Node that multiplies by them.
        constant: Matrix of shape ``(outputs, inputs)``.
        label: Tensor name for messages.

    Raises:
        UnsupportedOpError: They are on no grid, or the integers are not in -1, 0, +1.
    """
    if constant.integers is None or constant.scale is None:
        integers, scale = _grid(node, constant.values, label)
    else:
        integers, scale = constant.integers, constant.scale
        if (scale != scale[:, :1]).any():
            raise node.refuse(
                f"the scale of weights '{label}' varies over the inputs of a neuron",
                "use one scale per layer or per output channel",
            )
        scale = scale[:, 0]
    if np.abs(integers).max() > 1:
        raise node.refuse(
            f"weights '{label}' hold the integer {int(integers.flat[np.abs(integers).argmax()])}",
            "use binary or ternary weights (-1, 0, +1)",
        )
    return integers, scale[:1].copy() if (scale == scale[0]).all() else scale.copy()


def _grid(node: Node, values: NDArray[np.generic], label: str) -> tuple[IntArray, F64]:
    """Return integers in -1, 0, +1 and the scale of each row of plain weights."""
    floats = values.astype(np.float64)
    if not np.isfinite(floats).all():
        raise node.refuse(f"weights '{label}' are not finite", "train or export the model again")
    size = np.abs(floats).max(axis=1)
    scale = np.where(size == 0, 1.0, size)
    # The same scale everywhere, where rows of zeros would leave a choice.
    nonzero = size[size > 0]
    if nonzero.size and (nonzero == nonzero[0]).all():
        scale = np.full_like(size, nonzero[0])
    integers = np.sign(floats).astype(np.int64)
    wrong = integers * scale[:, None] != floats
    if wrong.any():
        row = int(np.argwhere(wrong)[0, 0])
        raise node.refuse(
            f"weights '{label}' are not on a grid: output {row} holds other values than -a, 0, +a",
            "quantize them (BipolarQuant, or Quant with 2 bits)",
        )
    return integers, scale


def _constant(walk: Walk, node: Node) -> Value:
    if "value_string" in node.attributes or "value_strings" in node.attributes:
        raise node.refuse("it is text", "remove it")
    return Constant(values=node.run())


HANDLERS: Handlers = MappingProxyType({"Constant": _constant})
