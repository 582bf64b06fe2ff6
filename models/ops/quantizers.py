"""The operators of QONNX, defined for runtimes that know ONNX only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import onnx

from .definition import Definition

QONNX = "qonnx.custom_op.general"
QONNX_VERSION = 2
_ROUNDINGS: Mapping[str, str] = MappingProxyType(
    {"ROUND": "Round", "HALF_EVEN": "Round", "FLOOR": "Floor", "CEIL": "Ceil"}
)


def _modes(nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """Return the operators that round, one for each rounding of ``nodes``.

    Raises:
        ValueError: A rounding is unknown.
    """
    found = set()
    for node in nodes:
        given = {attribute.name: attribute for attribute in node.attribute}
        mode = given["rounding_mode"].s.decode() if "rounding_mode" in given else "ROUND"
        if mode not in _ROUNDINGS:
            raise ValueError(
                f"export: quantizer {node.name!r} rounds by {mode!r}; "
                f"use one of {', '.join(_ROUNDINGS)}"
            )
        found.add(_ROUNDINGS[mode])
    return sorted(found)


def _rounding(nodes: Sequence[onnx.NodeProto]) -> str:
    """Return statements that round ``clamped``; where the nodes differ, by the node's name for it.

    ONNX compares no strings before version 19, but its machine learning part maps them to numbers.
    """
    modes = _modes(nodes)
    if len(modes) == 1:
        return f"rounded = {modes[0]} (clamped)"
    names = ", ".join(f'"{name}"' for name in _ROUNDINGS)
    codes = ", ".join(str(modes.index(op) if op in modes else 0) for op in _ROUNDINGS.values())
    lines = [
        "mode = Constant <value_string: string = @rounding_mode> ()",
        "code = ai.onnx.ml.LabelEncoder "
        f"<keys_strings = [{names}], values_int64s = [{codes}]> (mode)",
        f"rounded_0 = {modes[0]} (clamped)",
    ]
    for index, op in enumerate(modes[1:], start=1):
        lines += [
            f"code_{index} = Constant <value_int = {index}> ()",
            f"is_{index} = Equal (code, code_{index})",
            f"by_{index} = {op} (clamped)",
            f"rounded_{index} = Where (is_{index}, by_{index}, rounded_{index - 1})",
        ]
    return "\n".join([*lines, f"rounded = Identity (rounded_{len(modes) - 1})"])


def _rounding_imports(nodes: Sequence[onnx.NodeProto]) -> Mapping[str, int]:
    return {"ai.onnx.ml": 2} if len(_modes(nodes)) > 1 else {}


QUANT = Definition(
    domain=QONNX,
    op="Quant",
    signature="<signed, narrow, rounding_mode> (X, scale, zero_point, bit_width) => (Y)",
    body=lambda nodes: (
        f"""
        one = Constant <value_float = 1.0> ()
        two = Constant <value_float = 2.0> ()
        signed_number = Constant <value_int: int = @signed> ()
        narrow_number = Constant <value_int: int = @narrow> ()
        is_signed = Cast <to = 1> (signed_number)
        is_narrow = Cast <to = 1> (narrow_number)
        magnitude_bits = Sub (bit_width, is_signed)
        span = Pow (two, magnitude_bits)
        below_span = Sub (span, one)
        is_unsigned = Sub (one, is_signed)
        lost = Mul (is_unsigned, is_narrow)
        high = Sub (below_span, lost)
        lowest = Sub (is_narrow, span)
        low = Mul (is_signed, lowest)
        steps = Div (X, scale)
        moved = Add (steps, zero_point)
        not_above = Min (moved, high)
        clamped = Max (not_above, low)
        {_rounding(nodes)}
        integers = Sub (rounded, zero_point)
        Y = Mul (integers, scale)
    """
    ),
    imports=_rounding_imports,
)

BIPOLAR_QUANT = Definition(
    domain=QONNX,
    op="BipolarQuant",
    signature="(X, scale) => (Y)",
    body=lambda nodes: (
        """
        zero = Constant <value_float = 0.0> ()
        plus = Constant <value_float = 1.0> ()
        minus = Constant <value_float = -1.0> ()
        is_plus = GreaterOrEqual (X, zero)
        signs = Where (is_plus, plus, minus)
        Y = Mul (signs, scale)
    """
    ),
)

MULTI_THRESHOLD = Definition(
    domain=QONNX,
    op="MultiThreshold",
    signature="<out_dtype, out_scale, out_bias> (X, thresholds) => (Y)",
    body=lambda nodes: (
        """
        last = Constant <value_ints = [-1]> ()
        scale = Constant <value_float: float = @out_scale> ()
        bias = Constant <value_float: float = @out_bias> ()
        columns = Unsqueeze (X, last)
        is_reached = GreaterOrEqual (columns, thresholds)
        steps = Cast <to = 1> (is_reached)
        count = ReduceSum <keepdims = 0> (steps, last)
        scaled = Mul (count, scale)
        Y = Add (scaled, bias)
    """
    ),
)
"""With thresholds of shape ``(1, steps)``, the same for all channels, as our exports have them."""
