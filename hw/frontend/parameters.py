"""What quantizers of QONNX say: scale, zero point, bits, rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .functions import F64
from .nodes import Node
from .quantizers import ROUNDINGS
from .walk import Walk


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
