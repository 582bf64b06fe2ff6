"""Layers whose weights are powers of two, so that products are shifts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Unpack

from brevitas.nn import QuantLinear
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..quant.power_of_two import OnGridWeightQuant, PowerOfTwoWeightQuant, PowerRounding
from ..quant.shift_sign import ShiftSignReparam
from ..quant.sign_sparse_shift import SignSparseShiftReparam
from .padded import Geometry, PaddedConv2d, Pair


class ShiftForm(Protocol):
    """How the weights of a layer become powers of two."""

    def options(self) -> dict[str, Any]:
        """Return the weight quantizer of Brevitas and its options."""

    def attach(self, layer: Any) -> None:
        """Give a new layer what the form keeps instead of latent weights, and first values."""


@dataclass(frozen=True, kw_only=True)
class PowerOfTwo:
    """DeepShift-Q: latent weights go to the nearest power of two.

    The first latent weights are uniform up to ``1 / sqrt(fan in)``, as torch's; with few bits up to
    four times the least power, without which they would all be that power.

    Attributes: as :class:`popshift.models.quant.PowerOfTwoQuant`.
    """

    bits: int = 5
    exp_max: int = 0
    exp_min: int | None = None
    allow_zero: bool = False
    rounding: PowerRounding = "log"

    def options(self) -> dict[str, Any]:
        """Return the quantizer."""
        return {
            "weight_quant": PowerOfTwoWeightQuant,
            "weight_bits": self.bits,
            "weight_exp_max": self.exp_max,
            "weight_exp_min": self.exp_min,
            "weight_allow_zero": self.allow_zero,
            "weight_rounding": self.rounding,
        }

    def attach(self, layer: Any) -> None:
        """Give the layer its first weights."""
        quantizer = layer.weight_quant.tensor_quant
        fan_in = layer.weight[0].numel()
        bound = min(2.0**self.exp_max, max(fan_in**-0.5, 2.0 ** (quantizer.exp_min + 2)))
        nn.init.uniform_(layer.weight, -bound, bound)


@dataclass(frozen=True, kw_only=True)
class ShiftSign:
    """DeepShift-PS: signs and exponents are trained themselves.

    Attributes:
        bits: 2 to 5.
        freeze_sign: Leave signs as they are first.
    """

    bits: int = 5
    freeze_sign: bool = False

    def options(self) -> dict[str, Any]:
        """Return the quantizer."""
        return _on_grid(ShiftSignReparam(self.bits))

    def attach(self, layer: Any) -> None:
        """Replace the weight by sign and exponent."""
        sign, _ = _reparametrize(layer, ShiftSignReparam(self.bits))
        sign.requires_grad_(not self.freeze_sign)


@dataclass(frozen=True, kw_only=True)
class SignSparseShift:
    """S3: a sign, a gate and shifts are trained.

    Attributes:
        shifts: Shift tensors, 0 to 6; two give three bits.
    """

    shifts: int = 2

    def options(self) -> dict[str, Any]:
        """Return the quantizer."""
        return _on_grid(SignSparseShiftReparam(self.shifts))

    def attach(self, layer: Any) -> None:
        """Replace the weight by the tensors."""
        _reparametrize(layer, SignSparseShiftReparam(self.shifts))


def _on_grid(reparam: ShiftSignReparam | SignSparseShiftReparam) -> dict[str, Any]:
    return {
        "weight_quant": OnGridWeightQuant,
        "weight_exp_min": reparam.exp_min,
        "weight_exp_max": reparam.exp_max,
    }


def _reparametrize(
    layer: Any, reparam: ShiftSignReparam | SignSparseShiftReparam
) -> tuple[nn.Parameter, ...]:
    """Return the tensors that take the place of the weight, with first values."""
    parametrize.register_parametrization(layer, "weight", reparam)
    originals = _originals(layer)
    reparam.draw_(*originals)
    return originals


def _originals(layer: Any) -> tuple[nn.Parameter, ...]:
    return tuple(layer.parametrizations.weight.parameters())


class _ShiftLayer:
    """What the layers ask of a training, by their parametrizations."""

    def undecayed_parameters(self) -> Iterable[Tensor]:
        """Return the parameters that weight decay would pull in a wrong direction."""
        return (p for reparam in self._with("undecayed") for p in reparam.undecayed(*self._parts()))

    def penalty(self) -> Tensor | float:
        """Return what is added to the loss, before the recipe's factor."""
        total: Tensor | float = sum(
            reparam.closed_gates(*self._parts()) for reparam in self._with("closed_gates")
        )
        return total

    def _parts(self) -> tuple[nn.Parameter, ...]:
        return _originals(self)

    def _with(self, wish: str) -> list[Any]:
        layer: Any = self
        if not parametrize.is_parametrized(layer, "weight"):
            return []
        return [reparam for reparam in layer.parametrizations.weight if hasattr(reparam, wish)]


class ShiftLinear(_ShiftLayer, QuantLinear):
    """``y = x @ w.T`` with weights that are powers of two or 0, and no bias.

    Where the form is a parametrization, the parameters are ``parametrizations.weight.original0``
    and so on, and assigning to ``weight`` converts float weights to the nearest ones.

    Args:
        in_features: Synapses per neuron.
        out_features: Neurons.
        form: How weights become powers of two.

    >>> layer = ShiftLinear(64, 10, form=ShiftSign(bits=3))
    >>> sorted(set(layer.quant_weight().value.abs().flatten().tolist()))
    [0.0, 0.25, 0.5, 1.0]
    """

    def __init__(self, in_features: int, out_features: int, *, form: ShiftForm) -> None:
        super().__init__(in_features, out_features, bias=False, **form.options())
        form.attach(self)


class ShiftConv2d(_ShiftLayer, PaddedConv2d):
    """A convolution with weights that are powers of two or 0: the twin of :class:`ShiftLinear`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the window.
        form: How weights become powers of two.
        geometry: See :class:`popshift.models.layers.padded.Geometry`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        form: ShiftForm,
        **geometry: Unpack[Geometry],
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, geometry=geometry, **form.options()
        )
        form.attach(self)
