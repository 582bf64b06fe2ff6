"""Padding of maps: the handler of Pad, and what a layer behind it makes of it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..dtypes import BIPOLAR
from .functions import F64
from .islands import Island, Padding
from .maps import Geometry
from .nodes import Node
from .streams import as_map
from .walk import Handlers, Value, Walk


def padded(node: Node, point: Island, scale: F64, moves: Geometry) -> tuple[Geometry, int]:
    """Return the geometry with the padding of a Pad node before, and the integer in the padding.

    Raises:
        UnsupportedOpError: The padding is no integer of the stream and not 0, or two paddings
            differ.
    """
    given = [Padding(node=node.label, sides=moves.padding, value=0.0)]
    if point.padding is not None:
        given.append(point.padding)
    given = [padding for padding in given if any(padding.sides)]
    if not given:
        return moves, 0
    if len({padding.value for padding in given}) > 1:
        raise node.refuse(
            f"it pads with 0 what {given[1].node} padded with {given[1].value:g}",
            "pad once, with one value",
        )
    values = {float(v) for v in given[0].value / scale}
    value = values.pop()
    # Bits have no 0, but the thresholds of the layer can make up for it.
    is_member = value in (-1, 0, 1) if point.dtype == BIPOLAR else value == round(value)
    if values or not is_member or not point.dtype.min <= value <= point.dtype.max:
        raise node.refuse(
            f"its padding of {given[0].value:g} is no integer of its data ({point.dtype.name})",
            "pad with a value that the quantizer before can yield",
        )
    sides = np.sum([padding.sides for padding in given], axis=0)
    top, left, bottom, right = (int(side) for side in sides)
    return replace(moves, padding=(top, left, bottom, right)), int(value)


def _pad(walk: Walk, node: Node) -> Value:
    """A constant around the map, which the Conv behind takes in."""
    island = walk.island(node)
    if str(node.attributes.get("mode", "constant")) != "constant":
        raise node.refuse(f"its mode is {node.attributes['mode']!r}", "pad with a constant")
    if len(node.inputs) > 3:
        raise node.refuse("it names its axes", "give pads for all axes")
    if len(node.inputs) > 1:
        pads = [int(p) for p in walk.floats(node, 1, "pads").reshape(-1)]
    else:
        pads = [int(p) for p in node.attributes.get("pads", ())]
    value = float(node.attributes.get("value", 0.0))
    if len(node.inputs) > 2 and node.inputs[2]:
        value = float(walk.floats(node, 2, "value").reshape(-1)[0])
    if not any(pads):
        return island
    if len(island.shape) != 4 or len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)):
        raise node.refuse(
            f"its pads {pads} of {island.shape} are not around height and width",
            "pad maps (N, channels, height, width) in their last two dimensions",
        )
    if min(pads) < 0:
        raise node.refuse(f"its pads {pads} crop the map", "use pads >= 0")
    top, left, bottom, right = pads[2], pads[3], pads[6], pads[7]
    padding = Padding(node=node.label, sides=(top, left, bottom, right), value=value)
    return replace(as_map(walk, node, island), padding=padding)


HANDLERS: Handlers = MappingProxyType({"Pad": _pad})
