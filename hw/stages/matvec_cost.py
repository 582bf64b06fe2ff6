"""What a layer of stage ``matvec`` costs, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import cost
from ..cost import Cost

if TYPE_CHECKING:
    from .matvec import MatVec


def matvec_cost(layer: MatVec) -> Cost:
    """Return the cost: control, vector, products, accumulators, thresholds, output buffer."""
    total = _control(layer) + _vector(layer)
    total += layer.products_cost(layer.neuron_folds * layer.synapse_folds, layer.simd)
    bits = layer.summed_dtype.bits
    if layer.synapse_folds > 1:
        accumulator = cost.adder(bits) + cost.register(2 * bits)
    else:
        accumulator = cost.register(layer.sum_dtype(layer.simd).bits)
    scaled = layer.scaled_planes
    if scaled is None:
        total += accumulator.times(layer.pe)
    else:
        total += accumulator.times(layer.pe * scaled.planes) + scaled.cost()
    return total + layer.end_cost(layer.capacity)


def _control(layer: MatVec) -> Cost:
    """Counters of folds and words, valid and last bits, addresses of levels."""
    folds = layer.neuron_folds // layer.groups
    total = cost.counter(layer.synapse_folds) + cost.counter(folds)
    cycles = 2 + layer.dot_cycles
    if layer.synapse_folds > 1:
        total += cost.register(cycles)
    is_power = layer.synapse_folds.bit_count() == 1
    if layer.groups > 1 and (is_power or layer.thresholds is not None):
        total += cost.counter(layer.neuron_folds)
    if layer.neuron_folds > 1 and not is_power:
        total += cost.counter(layer.neuron_folds * layer.synapse_folds)
    if layer.thresholds is not None:
        address = (layer.neuron_folds * layer.borders - 1).bit_length()
        scaled = layer.scaled_planes
        total += cost.register((cycles - 1 + (scaled.cycles if scaled else 0)) * address)
        if layer.border is not None:
            total += layer.border.cost(layer.neuron_folds)
    return total + Cost(lut=6, ff=cycles + 1)


def _vector(layer: MatVec) -> Cost:
    """A register, or the memory of two vectors and its control."""
    beat_bits = layer.simd * layer.input_dtype.bits
    if layer.neuron_folds == layer.groups:
        return cost.register(beat_bits)
    total = cost.ram(layer.kept_words, beat_bits)
    if layer.is_vector_block:
        # The weights wait a cycle for the beats.
        total += cost.register(beat_bits + layer.pe * layer.simd * layer.weight_bits)
    total += cost.counter(layer.synapse_folds) + cost.up_down_counter(2 * layer.synapse_folds)
    return total + cost.up_down_counter(2) + Cost(lut=6, ff=2)
