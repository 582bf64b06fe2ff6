"""Handlers of quantizers: islands end here in integer thresholds."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..dtypes import BIPOLAR, DataType, signed, smallest_for, unsigned
from ..errors import DatatypeError
from .constants import quantized_constant
from .functions import F64, add, divide
from .islands import Constant, Undeclared
from .layout import Layout
from .nodes import Node
from .parameters import QuantParameters, quant_parameters, quant_scale
from .quantize import quantize
from .quantizers import Counter, Rounder
from .walk import Handlers, Value, Walk

MAX_ACTIVATION_BITS = 8


def _bipolar_quant(walk: Walk, node: Node) -> Value:
    """``scale * (+1 if x >= 0 else -1)``."""
    if isinstance(walk.value(node, 0), Constant):
        return quantized_constant(walk, node)
    scale = walk.per_channel(node, quant_scale(walk, node), _layout(walk, node), "scale")
    return quantize(walk, node, _sign(scale))


def _quant(walk: Walk, node: Node) -> Value:
    """``scale * (round(clamp(x / scale + zero_point)) - zero_point)``."""
    if isinstance(walk.value(node, 0), Constant):
        return quantized_constant(walk, node)
    quant = quant_parameters(walk, node)
    if quant.bits > MAX_ACTIVATION_BITS:
        raise node.refuse(
            f"it has {quant.bits} bits", f"use at most {MAX_ACTIVATION_BITS} bits for activations"
        )
    scale = walk.per_channel(node, quant.scale, _layout(walk, node), "scale")
    before = [divide(node.label, scale)]
    if quant.is_bipolar:
        return quantize(walk, node, replace(_sign(scale), before=tuple(before)))
    if quant.zero_point:
        before.append(add(node.label, np.array([float(quant.zero_point)])))
    quantizer = Rounder(
        dtype=_quant_dtype(quant, bool(node.number("signed", 1))),
        base=quant.low - quant.zero_point,
        steps=quant.high - quant.low,
        scale=scale,
        before=tuple(before),
        low=quant.low,
        rounding=quant.rounding,
    )
    return quantize(walk, node, quantizer)


def _float_quant(walk: Walk, node: Node) -> Value:
    """Weights only: minifloats as activations are on no grid of few levels."""
    if isinstance(walk.value(node, 0), Constant):
        return quantized_constant(walk, node)
    raise node.refuse(
        "its data are activations, and minifloats are taken as weights only",
        "use Quant, or MultiThreshold for levels at unequal distances",
    )


def _multi_threshold(walk: Walk, node: Node) -> Value:
    """``out_scale * (number of thresholds <= x) + out_bias``."""
    thresholds = _threshold_rows(walk, node)
    scale = node.number("out_scale", 1.0)
    bias = node.number("out_bias", 0.0)
    if scale == 0:
        raise node.refuse("its out_scale is 0", "use an out_scale that is not 0")
    steps = thresholds.shape[1]
    if steps == 1 and bias == -scale / 2:
        return quantize(walk, node, replace(_sign(np.array([-bias])), thresholds=thresholds))
    base = round(bias / scale)
    if base * scale != bias:
        raise node.refuse(
            f"its levels {scale} * n + {bias} lie on no grid through 0",
            "make out_bias a multiple of out_scale",
        )
    dtype = _declared_dtype(str(node.attributes.get("out_dtype", "")), base, base + steps)
    quantizer = Counter(
        dtype=dtype, base=base, steps=steps, scale=np.array([scale]), thresholds=thresholds
    )
    return quantize(walk, node, quantizer)


def _threshold_rows(walk: Walk, node: Node) -> F64:
    """Return ascending thresholds, one row or one per channel of the stream."""
    layout = _layout(walk, node)
    thresholds = np.sort(walk.floats(node, 1, "thresholds"), axis=-1)
    name = str(node.attributes.get("data_layout", "")) or "NC"
    is_last = name in ("NHWC", "NWC", "NHC")
    if not is_last and name not in ("NC", "NCHW", "NCW"):
        raise node.refuse(f"its layout is {name!r}", "use NC, NCHW or NHWC")
    axis = len(layout.shape) - 1 if is_last else 1
    rows = layout.shape[axis]
    if thresholds.ndim != 2 or len(thresholds) not in (1, rows) or not thresholds.shape[1]:
        raise node.refuse(
            f"thresholds {thresholds.shape} do not fit data {layout.shape} in layout {name}",
            "give (channels, steps) or (1, steps)",
        )
    if len(thresholds) == 1 or (thresholds == thresholds[0]).all():
        return thresholds[:1]
    number = np.arange(rows, dtype=np.float64).reshape(-1, *[1] * (len(layout.shape) - 1 - axis))
    channels = walk.per_channel(node, number, layout, "threshold row")
    return thresholds[channels.astype(np.int64)]


def _layout(walk: Walk, node: Node) -> Layout:
    """Return the layout of the data of ``node``."""
    value = walk.value(node, 0)
    if isinstance(value, Undeclared):
        return walk.input_layout(value.shape)
    return walk.island(node).layout


def _sign(scale: F64) -> Counter:
    """Return the quantizer +1 for ``x >= 0``, else -1."""
    return Counter(dtype=BIPOLAR, base=0, steps=1, scale=scale, thresholds=np.zeros((1, 1)))


def _quant_dtype(quant: QuantParameters, is_signed: bool) -> DataType:
    """Return the datatype of the integers of a ``Quant``."""
    if quant.zero_point:
        return smallest_for(quant.low - quant.zero_point, quant.high - quant.zero_point)
    return signed(quant.bits) if is_signed else unsigned(quant.bits)


def _declared_dtype(name: str, low: int, high: int) -> DataType:
    """Return the datatype ``name`` if it holds ``low`` to ``high``, else the smallest that does."""
    try:
        dtype = DataType.parse(name)
    except DatatypeError:
        return smallest_for(low, high)
    return (
        dtype
        if dtype != BIPOLAR and dtype.min <= low <= high <= dtype.max
        else smallest_for(low, high)
    )


HANDLERS: Handlers = MappingProxyType(
    {
        "BipolarQuant": _bipolar_quant,
        "FloatQuant": _float_quant,
        "IntQuant": _quant,
        "MultiThreshold": _multi_threshold,
        "Quant": _quant,
    }
)
