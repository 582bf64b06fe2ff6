"""Activations whose levels are at any distances."""

from __future__ import annotations

import torch
from brevitas.nn import QuantIdentity
from torch import Tensor

from ..ops import QONNX, Attributes, emit
from ..quant.codebook import (
    CodebookActQuant,
    LogActQuant,
    ShiftedSignsActQuant,
    Staircase,
    StaircaseQuant,
)


class StaircaseAct(QuantIdentity):
    """Base of activations that are a :class:`popshift.models.quant.Staircase`.

    It leaves as one ``MultiThreshold``, each of whose thresholds is repeated as often as the level
    rises there, so that count, scale and bias give the very values.
    """

    _node: tuple[Tensor, Attributes] | None = None

    def bake(self) -> None:
        """Make the node of the function as it is now, whose making an exporter would trace."""
        stairs = self.staircase()
        thresholds, unit, base = stairs.repeated_thresholds()
        attributes: Attributes = {
            "out_dtype": f"{'U' if base >= 0 else ''}INT{stairs.bits}",
            "out_scale": stairs.step * unit,
            "out_bias": stairs.step * base,
        }
        self._node = thresholds[None], attributes

    def forward(self, x: Tensor) -> Tensor:
        """Return the values, same shape."""
        if self._node is None or not torch.onnx.is_in_onnx_export():
            result: Tensor = super().forward(x)
            return result
        thresholds, attributes = self._node
        return emit(
            "MultiThreshold",
            (x, thresholds),
            attributes,
            like=lambda x, thresholds: x,
            domain=QONNX,
        )

    def staircase(self) -> Staircase:
        """Return the function as it is now."""
        quantizer: StaircaseQuant = self.act_quant.fused_activation_quant_proxy.tensor_quant
        return quantizer.staircase()


class CodebookAct(StaircaseAct):
    """``y`` = nearest of ``step * sum_i +-beta_i``: an activation of sign planes.

    Args:
        beta: Plane scales, integers >= 1; ``(2, 1)`` by default: the four odd levels.
        step: Value of a plane scale of 1, a power of two.
    """

    def __init__(self, beta: tuple[int, ...] = (2, 1), *, step: float = 0.5) -> None:
        super().__init__(act_quant=CodebookActQuant, beta=beta, step=step)


class LogAct(StaircaseAct):
    """``y`` = the power of two nearest in the logarithm, or 0.

    Args:
        bits: 2 to 4.
        step: The least power of two.
        signed: Levels on both sides of 0.
    """

    def __init__(self, bits: int, *, step: float, signed: bool = False) -> None:
        super().__init__(act_quant=LogActQuant, bits=bits, step=step, signed=signed)


class ShiftedSignsAct(StaircaseAct):
    """``y = sum_n beta_n sign(x + v_n - 1/2)`` with trained v and beta (ABC-Net).

    Args:
        planes: Signs, 1 to 8.
    """

    def __init__(self, planes: int) -> None:
        super().__init__(act_quant=ShiftedSignsActQuant, planes=planes)
