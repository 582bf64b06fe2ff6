"""Brevitas quantizers of one bit: layers stay Brevitas layers and export as BipolarQuant."""

from __future__ import annotations

import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.core.utils import StatelessBuffer
from brevitas.inject import ExtendedInjector
from brevitas.proxy import ActQuantProxyFromInjector, WeightQuantProxyFromInjector
from torch import Tensor, nn

from .sign import clipped_sign


class BinaryQuant(nn.Module):
    """Sign with scale 1 and a gradient that no scale multiplies.

    Forward value in {-1, +1}; gradient ``g * 1[|x| <= clip]``. Brevitas' own ``ClampedBinaryQuant``
    multiplies both by its scale, 0.1 for weights.

    Args:
        clip: Largest ``|x|`` that still gets a gradient.

    Raises:
        ValueError: ``clip`` is not positive.
    """

    def __init__(self, clip: float = 1.0) -> None:
        super().__init__()
        if not clip > 0:
            raise ValueError(f"binary quantizer: clip must be > 0, got {clip}")
        self.clip = clip
        self.latent_range = (-1.0, 1.0)
        self.bit_width = BitWidthConst(1)
        self.scale = StatelessBuffer(torch.tensor(1.0))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return value, scale, zero point and bit width, as Brevitas' proxies want them."""
        return clipped_sign(x, self.clip), self.scale(), self.zero_point(), self.bit_width()


class _Binary(ExtendedInjector):
    tensor_quant = BinaryQuant
    clip = 1.0
    signed = True
    narrow_range = True


class BinaryWeightQuant(_Binary):
    """Weight quantizer: ``QuantLinear(..., weight_quant=BinaryWeightQuant, weight_clip=1.0)``."""

    proxy_class = WeightQuantProxyFromInjector


class BinaryActQuant(_Binary):
    """Activation quantizer: ``QuantIdentity(act_quant=BinaryActQuant, clip=1.0)``."""

    proxy_class = ActQuantProxyFromInjector
