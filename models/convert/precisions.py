"""One precision out of a network that was trained for several."""

from __future__ import annotations

import copy

from torch import nn

from ..layers import SwitchableBatchNorm, set_precision
from .layers import replaced


def fixed_precision(net: nn.Module, bits: int) -> nn.Module:
    """Return a copy of a nested network with the first ``bits`` bits of its weights only.

    Nothing is trained or rounded: bits are dropped, and the BatchNorm of the precision stays. The
    copy exports as any network; the files of all precisions share the stored integers, those of
    fewer bits being prefixes of those of more.

    Args:
        net: Network with nested layers; it is not changed.
        bits: One of its precisions.

    Raises:
        ValueError: A layer has no such precision.
    """
    net = copy.deepcopy(net)
    set_precision(net, bits)
    norms = {
        name: module.norms[str(bits)]
        for name, module in net.named_modules()
        if isinstance(module, SwitchableBatchNorm)
    }
    return replaced(net, norms)
