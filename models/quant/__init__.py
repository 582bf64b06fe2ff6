"""Binarizers and their gradient estimators."""

from __future__ import annotations

from .binary import BinaryActQuant, BinaryQuant, BinaryWeightQuant
from .latent import clip_latent_weights, latent_weights
from .sign import ClippedSignSTE, clipped_sign, sign

__all__ = [
    "BinaryActQuant",
    "BinaryQuant",
    "BinaryWeightQuant",
    "ClippedSignSTE",
    "clip_latent_weights",
    "clipped_sign",
    "latent_weights",
    "sign",
]
