"""Networks of few bits from trained ones, without data or with a few images.

A converted network can be used as it is ("convert only") or trained on ("convert and train").
"""

from __future__ import annotations

from .data_free import Synthesis, quantize_without_data, reestimate_batchnorm
from .layers import convert_layers, convert_network, copy_weights, quantize_adder
from .planes import convert_to_planes
from .precisions import fixed_precision
from .pruning import prune_by_spread, prune_share, share_weights

__all__ = [
    "Synthesis",
    "convert_layers",
    "convert_network",
    "convert_to_planes",
    "copy_weights",
    "fixed_precision",
    "prune_by_spread",
    "prune_share",
    "quantize_adder",
    "quantize_without_data",
    "reestimate_batchnorm",
    "share_weights",
]
