"""Quantizers of one to eight bits and their gradient estimators."""

from __future__ import annotations

from .binary import BinaryActQuant, BinaryQuant, BinaryWeightQuant
from .integer import ClippedRoundSTE, IntegerActQuant, IntegerQuant, IntegerWeightQuant
from .latent import LatentWeight, clip_latent_weights, latent_weights
from .sign import ClippedSignSTE, clipped_sign, sign

__all__ = [
    "BinaryActQuant",
    "BinaryQuant",
    "BinaryWeightQuant",
    "ClippedRoundSTE",
    "ClippedSignSTE",
    "IntegerActQuant",
    "IntegerQuant",
    "IntegerWeightQuant",
    "LatentWeight",
    "clip_latent_weights",
    "clipped_sign",
    "latent_weights",
    "sign",
]
