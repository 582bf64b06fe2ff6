"""Quantizers of weights and activations of few bits, and their gradient estimators."""

from __future__ import annotations

from .binary import BinaryActQuant, BinaryQuant, BinaryWeightQuant
from .binary_coding import BinaryCode, binary_code
from .codebook import CodebookActQuant, LogActQuant, ShiftedSignsActQuant, Staircase
from .fixed_interval import FixedIntervalActQuant, FixedIntervalQuant, FixedIntervalWeightQuant, ap2
from .fixed_point import FixedPointActQuant, FixedPointQuant, FloorSTE
from .importance import AttentionImportance, attention_importance, l1_importance, memory_ratio
from .integer import (
    ClippedRoundSTE,
    IntegerActQuant,
    IntegerQuant,
    IntegerWeightQuant,
    UniformActQuant,
    UniformQuant,
    UniformWeightQuant,
)
from .latent import LatentWeight, clip_latent_weights, latent_weights
from .learned_interval import LearnedIntervalQuant, LearnedIntervalWeightQuant, UnitInterval
from .nested import NestedQuant, NestedWeightQuant, drop_bits, enhance_layer
from .planes import BinaryCodingQuant, BinaryCodingWeightQuant
from .power_of_two import (
    OnGridQuant,
    OnGridWeightQuant,
    PowerOfTwoQuant,
    PowerOfTwoSTE,
    PowerOfTwoWeightQuant,
)
from .pruning import PruneAndReset, equal_magnitudes, smallest_share
from .shift_sign import ShiftSignFunction, ShiftSignReparam
from .sign import ClippedSignSTE, clipped_sign, sign
from .sign_sparse_shift import SignSparseShiftReparam
from .straight_through import straight_through
from .ternary import TernaryQuant, TernaryWeightQuant, cosine_threshold, twn_threshold

__all__ = [
    "AttentionImportance",
    "BinaryActQuant",
    "BinaryCode",
    "BinaryCodingQuant",
    "BinaryCodingWeightQuant",
    "BinaryQuant",
    "BinaryWeightQuant",
    "ClippedRoundSTE",
    "ClippedSignSTE",
    "CodebookActQuant",
    "FixedIntervalActQuant",
    "FixedIntervalQuant",
    "FixedIntervalWeightQuant",
    "FixedPointActQuant",
    "FixedPointQuant",
    "FloorSTE",
    "IntegerActQuant",
    "IntegerQuant",
    "IntegerWeightQuant",
    "LatentWeight",
    "LearnedIntervalQuant",
    "LearnedIntervalWeightQuant",
    "LogActQuant",
    "NestedQuant",
    "NestedWeightQuant",
    "OnGridQuant",
    "OnGridWeightQuant",
    "PowerOfTwoQuant",
    "PowerOfTwoSTE",
    "PowerOfTwoWeightQuant",
    "PruneAndReset",
    "ShiftSignFunction",
    "ShiftSignReparam",
    "ShiftedSignsActQuant",
    "SignSparseShiftReparam",
    "Staircase",
    "TernaryQuant",
    "TernaryWeightQuant",
    "UniformActQuant",
    "UniformQuant",
    "UniformWeightQuant",
    "UnitInterval",
    "ap2",
    "attention_importance",
    "binary_code",
    "clip_latent_weights",
    "clipped_sign",
    "cosine_threshold",
    "drop_bits",
    "enhance_layer",
    "equal_magnitudes",
    "l1_importance",
    "latent_weights",
    "memory_ratio",
    "sign",
    "smallest_share",
    "straight_through",
    "twn_threshold",
]
