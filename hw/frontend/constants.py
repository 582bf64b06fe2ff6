"""Constants: folding them, and what quantizers make of them."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from qonnx.custom_op.general.floatquant import float_quant

from ..dtypes import IntArray
from .islands import Constant
from .nodes import Node
from .parameters import quant_parameters, quant_scale
from .quantizers import ROUNDINGS
from .steps import common_step
from .walk import Handlers, Value, Walk

# They move elements and change none, so integers and scales can go the same way.
_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
# They change scales and no integers.
_SCALINGS = MappingProxyType({"Div": np.divide, "Mul": np.multiply})


def quantized_constant(walk: Walk, node: Node) -> Constant:
    """Return a constant through a quantizer, in float32 as every runtime does.

    Raises:
        UnsupportedOpError: Parameters have no integer form, or the zero point is not 0.
    """
    values = walk.floats(node, 0, "data").astype(np.float32)
    if node.op == "BipolarQuant":
        scale = quant_scale(walk, node).astype(np.float32)
        integers = np.where(values >= 0, 1, -1)
    elif node.op == "FloatQuant":
        return _minifloats(walk, node, values)
    else:
        quant = quant_parameters(walk, node)
        scale = quant.scale.astype(np.float32)
        if quant.zero_point:
            raise node.refuse(
                f"weights have zero point {quant.zero_point}", "quantize weights symmetrically"
            )
        if quant.is_bipolar:
            integers = np.where(values / scale >= 0, 1, -1)
        else:
            clamped = np.clip(values / scale, quant.low, quant.high)
            integers = ROUNDINGS[quant.rounding](clamped)
    return _on_grid(np.asarray(integers, np.int64), scale)


def _minifloats(walk: Walk, node: Node, values: NDArray[np.float32]) -> Constant:
    """Return a constant through ``FloatQuant``: powers of two where there is no mantissa.

    Raises:
        UnsupportedOpError: Some value is infinite or no number.
    """
    scale = quant_scale(walk, node).astype(np.float32)
    names = ("exponent bits", "mantissa bits", "exponent bias", "greatest value")
    parameters = [walk.floats(node, index, name) for index, name in enumerate(names, start=2)]
    if any(values.size != 1 for values in parameters):
        raise node.refuse("it has several formats", "use one format for all values")
    exponent_bits, mantissa_bits, bias, greatest = (float(p.item()) for p in parameters)
    rounding = str(node.attributes.get("rounding_mode", "ROUND")).upper()
    if rounding not in ("CEIL", "FLOOR", "ROUND"):
        raise node.refuse(f"rounding {rounding!r} is unknown", "use ROUND, FLOOR or CEIL")
    if not node.number("saturation", 1):
        raise node.refuse("it overflows to what is no number", "use saturation = 1")
    quotients = np.asarray(
        float_quant(
            values / scale,
            np.float32(1),
            exponent_bits,
            mantissa_bits,
            bias,
            max_val=greatest,
            rounding_mode=rounding,
        ),
        np.float64,
    )
    step = common_step(quotients)
    if step is None:
        return Constant(values=(quotients * scale).astype(np.float32))
    return _on_grid(np.rint(quotients / step).astype(np.int64), scale * np.float32(step))


def _on_grid(integers: IntArray, scale: NDArray[np.float32]) -> Constant:
    """Return integers and a scale that broadcasts to them as a constant."""
    spread = np.broadcast_to(scale, integers.shape)
    return Constant(
        values=(integers * spread).astype(np.float32),
        integers=integers,
        scale=spread.astype(np.float64),
    )


def fold_constant(node: Node, inputs: list[Constant]) -> list[Constant]:
    """Return the constants that a node makes of constants, one for each output.

    Raises:
        UnsupportedOpError: It cannot be evaluated.
    """
    values = node.run_all(*(constant.values for constant in inputs))
    if node.op == "Mul" and inputs[0].integers is None:
        inputs = inputs[::-1]
    data = inputs[0] if inputs else None
    if data is None or data.integers is None or data.scale is None:
        return [Constant(values=array) for array in values]
    if node.op in _SCALINGS:
        return [_scaled(node, data, inputs[1], values[0])]
    if node.op not in _MOVES:
        return [Constant(values=array) for array in values]
    others = [constant.values for constant in inputs[1:]]
    integers = node.run_all(data.integers, *others)
    scales = node.run_all(data.scale, *others)
    return [
        Constant(values=array, integers=n.astype(np.int64), scale=scale.astype(np.float64))
        for array, n, scale in zip(values, integers, scales, strict=True)
    ]


def _scaled(node: Node, data: Constant, other: Constant, values: NDArray[np.generic]) -> Constant:
    """Return quantized weights whose scale is multiplied or divided."""
    assert data.integers is not None
    assert data.scale is not None
    factor = other.values.astype(np.float64)
    is_scale = values.shape == data.integers.shape and np.isfinite(factor).all()
    if not is_scale or not factor.all():
        return Constant(values=values)
    scale = np.broadcast_to(_SCALINGS[node.op](data.scale, factor), values.shape)
    return Constant(values=values, integers=data.integers, scale=scale)


def _constant(walk: Walk, node: Node) -> Value:
    if "value_string" in node.attributes or "value_strings" in node.attributes:
        raise node.refuse("it is text", "remove it")
    return Constant(values=node.run())


HANDLERS: Handlers = MappingProxyType({"Constant": _constant})
