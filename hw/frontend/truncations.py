"""Handler of Trunc: the last bits of an integer are dropped, by a staircase."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from ..dtypes import smallest_for
from .functions import F64, add, curve, divide
from .islands import Constant, Island
from .nodes import Node
from .parameters import quant_scale
from .quantize import quantize
from .quantizers import ROUNDINGS, Rounder
from .walk import Handlers, Value, Walk

MAX_STEPS = 255

_BOUNDED_INPUTS = 6  # of the second version, which says its output's scale and clamps


def _trunc(walk: Walk, node: Node) -> Value:
    """``round(x / scale + zero point)``, divided by a power of two, rounded once more.

    The first version of the operator keeps the scale and clamps nothing; the second one clamps to
    its bits and says the scale behind.
    """
    if isinstance(walk.value(node, 0), Constant):
        raise node.refuse("it truncates constants", "export them truncated, through a Quant")
    island = walk.island(node)
    scale = walk.per_channel(node, quant_scale(walk, node), island.layout, "scale")
    rounding = str(node.attributes.get("rounding_mode", "FLOOR")).upper()
    if rounding not in ROUNDINGS:
        raise node.refuse(f"rounding {rounding!r} is unknown", f"use one of {sorted(ROUNDINGS)}")
    zero_point = _whole(walk, node, 2, "zero point")
    is_bounded = len(node.inputs) == _BOUNDED_INPUTS
    bits = _whole(walk, node, 5 if is_bounded else 4, "output bit width")
    if is_bounded:
        behind = walk.per_channel(
            node, walk.floats(node, 4, "output scale"), island.layout, "scale"
        )
        drop = _drop(node, behind / scale)
        low, high = _bounds(node, bits)
    else:
        behind, drop = scale, 1 << max(0, _whole(walk, node, 3, "input bit width") - bits)
        low, high = 0, 0
    if zero_point % drop and is_bounded:
        raise node.refuse(
            f"its zero point {zero_point} is no multiple of {drop}", "use a zero point of 0"
        )
    label = node.label
    before = (
        divide(label, scale),
        add(label, np.array([float(zero_point)])),
        curve(label, np.round, is_rising=True, gain=1.0),
        divide(label, np.array([float(drop)])),
    )
    if not is_bounded:
        low, high = _reached(island.then(*before), rounding)
    if high - low > MAX_STEPS:
        raise node.refuse(
            f"its result reaches from {low} to {high}", f"drop more bits, for {MAX_STEPS} steps"
        )
    moved = zero_point // drop if is_bounded else zero_point
    quantizer = Rounder(
        dtype=smallest_for(low - moved, high - moved),
        base=low - moved,
        steps=max(1, high - low),
        scale=behind,
        before=before,
        low=low,
        rounding=rounding,
    )
    return quantize(walk, node, quantizer)


def _whole(walk: Walk, node: Node, index: int, role: str) -> int:
    """Return a parameter that is one integer."""
    values = walk.floats(node, index, role)
    if values.size != 1 or values.item() != round(values.item()):
        raise node.refuse(f"its {role} is {values.tolist()}", f"use one integer {role}")
    return int(values.item())


def _drop(node: Node, ratio: F64) -> int:
    """Return the power of two by which the second version divides."""
    powers = 2.0 ** np.round(np.log2(ratio)) if (ratio > 0).all() else np.zeros(1)
    if (powers != powers[0]).any() or powers[0] < 1:
        raise node.refuse(
            "its output scale is not its scale times a power of two, 1 or more",
            "use one such factor for all channels",
        )
    return int(powers[0])


def _bounds(node: Node, bits: int) -> tuple[int, int]:
    """Return the least and the greatest integer of the second version."""
    is_narrow = bool(node.number("narrow", 0))
    if node.number("signed", 1):
        return -(1 << (bits - 1)) + is_narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - is_narrow


def _reached(island: Island, rounding: str) -> tuple[int, int]:
    """Return the least and the greatest result of a function of an island."""
    members = island.members
    if island.direction is not None:
        members = members[[0, -1]]
    rounded = ROUNDINGS[rounding](island.evaluate(members[:, None]))
    return int(rounded.min()), int(rounded.max())


HANDLERS: Handlers = MappingProxyType({"Trunc": _trunc})
