"""Quantizers of weights and activations of few bits, and their gradient estimators."""

from __future__ import annotations

from .binary import BinaryActQuant, BinaryQuant, BinaryWeightQuant
from .fixed_point import FixedPointActQuant, FixedPointQuant, FloorSTE
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
from .power_of_two import (
    OnGridQuant,
    OnGridWeightQuant,
    PowerOfTwoQuant,
    PowerOfTwoSTE,
    PowerOfTwoWeightQuant,
)
from .shift_sign import ShiftSignFunction, ShiftSignReparam
from .sign import ClippedSignSTE, clipped_sign, sign
from .sign_sparse_shift import SignSparseShiftReparam

__all__ = [
    "BinaryActQuant",
    "BinaryQuant",
    "BinaryWeightQuant",
    "ClippedRoundSTE",
    "ClippedSignSTE",
    "FixedPointActQuant",
    "FixedPointQuant",
    "FloorSTE",
    "IntegerActQuant",
    "IntegerQuant",
    "IntegerWeightQuant",
    "LatentWeight",
    "OnGridQuant",
    "OnGridWeightQuant",
    "PowerOfTwoQuant",
    "PowerOfTwoSTE",
    "PowerOfTwoWeightQuant",
    "ShiftSignFunction",
    "ShiftSignReparam",
    "SignSparseShiftReparam",
    "UniformActQuant",
    "UniformQuant",
    "UniformWeightQuant",
    "clip_latent_weights",
    "clipped_sign",
    "latent_weights",
    "sign",
]
