"""Handlers of quantizers: islands end here in integer thresholds."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..dtypes import BIPOLAR, DataType, signed, smallest_for, unsigned
from ..errors import DatatypeError
from ..graph import Origin
from ..stages import MatVec, Threshold
from .functions import F64, add, divide
from .islands import Constant, Island, Undeclared
from .nodes import Node
from .quantizers import Counter, Quantizer, Rounder
from .report import LayerNote
from .staircases import NotAStaircaseError, Staircase, find_staircase
from .walk import Handlers, Value, Walk, as_scale
from .weights import QuantParameters, quant_parameters, quant_scale, quantized_constant

MAX_ACTIVATION_BITS = 8


def _bipolar_quant(walk: Walk, node: Node) -> Value:
    """``scale * (+1 if x >= 0 else -1)``."""
    if isinstance(walk.value(node, 0), Constant):
        return quantized_constant(walk, node)
    scale = walk.per_channel(node, quant_scale(walk, node), _shape(walk, node), "scale")
    return _quantize(walk, node, _sign(scale))


def _quant(walk: Walk, node: Node) -> Value:
    """``scale * (round(clamp(x / scale + zero_point)) - zero_point)``."""
    if isinstance(walk.value(node, 0), Constant):
        return quantized_constant(walk, node)
    quant = quant_parameters(walk, node)
    if quant.bits > MAX_ACTIVATION_BITS:
        raise node.refuse(
            f"it has {quant.bits} bits", f"use at most {MAX_ACTIVATION_BITS} bits for activations"
        )
    scale = walk.per_channel(node, quant.scale, _shape(walk, node), "scale")
    before = [divide(node.label, scale)]
    if quant.is_bipolar:
        return _quantize(walk, node, replace(_sign(scale), before=tuple(before)))
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
    return _quantize(walk, node, quantizer)


def _multi_threshold(walk: Walk, node: Node) -> Value:
    """``out_scale * (number of thresholds <= x) + out_bias``."""
    shape = _shape(walk, node)
    thresholds = np.sort(walk.floats(node, 1, "thresholds"), axis=-1)
    scale = node.number("out_scale", 1.0)
    bias = node.number("out_bias", 0.0)
    if thresholds.ndim != 2 or len(thresholds) not in (1, shape[1]) or not thresholds.shape[1]:
        raise node.refuse(
            f"thresholds {thresholds.shape} do not fit data {shape}",
            "give (channels, steps) or (1, steps)",
        )
    if len(shape) > 2 and np.prod(shape[2:]) != 1:
        raise node.refuse(f"its data has shape {shape}", "flatten it to (N, channels)")
    if node.attributes.get("data_layout", "NC") not in ("", "NC", "NCHW", "NCW"):
        raise node.refuse(f"its layout is {node.attributes['data_layout']!r}", "use NC")
    if scale == 0:
        raise node.refuse("its out_scale is 0", "use an out_scale that is not 0")
    steps = thresholds.shape[1]
    if steps == 1 and bias == -scale / 2:
        return _quantize(walk, node, replace(_sign(np.array([-bias])), thresholds=thresholds))
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
    return _quantize(walk, node, quantizer)


def _shape(walk: Walk, node: Node) -> tuple[int, ...]:
    """Return the shape of the data of ``node``."""
    value = walk.value(node, 0)
    return value.shape if isinstance(value, Undeclared) else walk.island(node).shape


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


def _quantize(walk: Walk, node: Node, quantizer: Quantizer) -> Value:
    """Return the integer point behind a quantizer.

    1. A graph input that nothing declares: the quantizer stays in software and the input stream
       carries its integers.
    2. A stream that is on the grid already: no stage, and the stream keeps its origin.
    3. Accumulators of a matvec: its thresholds.
    4. Any other stream: a threshold stage.
    """
    value = walk.value(node, 0)
    tensor = node.outputs[0]
    if isinstance(value, Undeclared):
        walk.notes.append(
            f"input '{value.tensor}' is quantized in software by {node.label}: feed the integers "
            f"of '{tensor}' ({quantizer.dtype.name})"
        )
        return walk.add_input(tensor, quantizer.dtype, value.shape, quantizer.scale)
    island = walk.island(node).then(*quantizer.before)
    if not island.matvec and _is_identity(island, quantizer):
        return replace(island, scale=quantizer.scale, functions=())
    if island.dtype == BIPOLAR:
        raise node.refuse(
            "it quantizes bits again, which a threshold stage does not take",
            "remove one of the two quantizers",
        )
    staircase = _staircase(node, island, quantizer)
    if island.matvec:
        name, stream = island.matvec, island.stream
        stage = walk.stages[name]
        assert isinstance(stage, MatVec)
        walk.stages[name] = stage.with_(thresholds=staircase.thresholds)
        if stream in walk.origins:
            walk.accumulators[name] = walk.origins[stream]
    else:
        name, stream = walk.new_stage("act")
        walk.stages[name] = Threshold(
            name=name,
            inputs=(island.stream,),
            outputs=(stream,),
            thresholds=staircase.thresholds,
            input_dtype=island.dtype,
        )
        walk.layers[name] = LayerNote(
            stage=name,
            node=node.label,
            accumulators=(island.low, island.high),
            accumulator_dtype=island.dtype.name,
            result_dtype=quantizer.dtype.name,
        )
    walk.origins[stream] = Origin(tensor=tensor, scale=as_scale(quantizer.scale))
    walk.note(
        name,
        result_dtype=quantizer.dtype.name,
        quantizer=node.label,
        method=staircase.method,
        margin=float(staircase.margins.min()),
        channels_at_risk=tuple(int(c) for c in np.flatnonzero(staircase.margins < 1)),
        channels_differing=tuple(int(c) for c in np.flatnonzero(staircase.is_differing)),
    )
    low, high = (-1, 1) if quantizer.dtype == BIPOLAR else _extremes(staircase)
    return Island(
        stream=stream,
        dtype=quantizer.dtype,
        low=low,
        high=high,
        shape=island.shape,
        scale=quantizer.scale,
    )


def _extremes(staircase: Staircase) -> tuple[int, int]:
    """Return the least and greatest result."""
    thresholds = staircase.thresholds
    return thresholds.base, thresholds.base + thresholds.steps


def _is_identity(island: Island, quantizer: Quantizer) -> bool:
    """Return whether every integer of the stream, in every channel, is the quantizer's result."""
    if island.high - island.low > quantizer.steps + 1:
        return False
    members = island.members[:, None]
    values = np.broadcast_to(island.evaluate(members), (len(members), island.channels))
    results = quantizer.result(quantizer.count(values, slice(None)))
    return bool((results == members).all())


def _staircase(node: Node, island: Island, quantizer: Quantizer) -> Staircase:
    """Return the thresholds.

    Raises:
        UnsupportedOpError: A channel rises and falls.
    """
    try:
        return find_staircase(island, quantizer)
    except NotAStaircaseError as e:
        bends = [f.label for f in island.functions if f.direction is None]
        raise node.refuse(
            f"channel {e.channel} is not monotone: the result turns at accumulator {e.turn}, "
            f"because of {bends[0]}",
            "use a monotone activation (e.g. a PReLU slope that is not negative)",
        ) from e


HANDLERS: Handlers = MappingProxyType(
    {
        "BipolarQuant": _bipolar_quant,
        "IntQuant": _quant,
        "MultiThreshold": _multi_threshold,
        "Quant": _quant,
    }
)
