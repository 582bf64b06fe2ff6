"""Integer points: what a layer with weights takes as data."""

from __future__ import annotations

import numpy as np

from .functions import F64
from .islands import Island
from .nodes import Node
from .streams import claim, settle
from .walk import Walk


def integer_point(
    walk: Walk, node: Node, island: Island, *, sums_channels: bool = True
) -> tuple[Island, F64]:
    """Return the data of a layer as quantized integers and their scale.

    Args:
        walk: Receives the stage of a max pool that is still to come.
        node: The layer.
        island: Its data.
        sums_channels: Whether it adds channels, which then need one scale.

    Returns:
        The data, and one scale, or one per channel.

    Raises:
        UnsupportedOpError: The data is not quantized, or its channels have different scales.
    """
    name = node.inputs[0]
    cure = "put a quantizer (e.g. BinaryAct or QuantIdentity) before this layer"
    island = claim(walk, island)
    if island.matvec:
        raise node.refuse(f"its data '{name}' is not quantized", cure)
    affine = island.affine()
    if affine is None or affine[1].any():
        after = f" after {island.functions[-1].label}" if island.functions else ", but for a term"
        raise node.refuse(f"its data '{name}' is no scaled integer{after}", cure)
    factor, _ = affine
    if (factor == 0).any():
        raise node.refuse(f"its data '{name}' is multiplied by 0", "remove the layer")
    is_uniform = bool((factor == factor[0]).all())
    if sums_channels and not is_uniform:
        raise node.refuse(
            f"the scale of its data '{name}' varies over the channels it sums",
            "quantize the activations with one scale per tensor",
        )
    scale = np.array(factor[:1] if is_uniform else factor)
    return settle(walk, island), scale
