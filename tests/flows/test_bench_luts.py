"""The benchmark of LUTs: what it counts, and that popcounts of every family are the smaller ones."""

import numpy as np
import pytest

from popshift.flows.bench.families import SYNTHESES, count_luts, own_sources, synthesize
from popshift.flows.bench.luts import popcount_text
from popshift.flows.bench.unrolled_layers import (
    INTEGER_LAYERS,
    IntegerLayer,
    layer_text,
    random_layer,
    sums_text,
)
from popshift.flows.tools import TimeLimitError
from popshift.hw.dtypes import BIPOLAR
from popshift.hw.stages.kernels import KERNELS
from popshift.hw.stages.kernels.adder_graph import GRAPH_SOURCES


def cell(kind: str, **connections: int) -> dict[str, object]:
    return {"type": kind, "connections": {port: [bit] for port, bit in connections.items()}}


def test_a_carry_takes_a_place_unless_a_lut_adds_the_same_bits():
    lut = cell("SB_LUT4", I0=0, I1=2, I2=3, I3=4, O=9)
    shared, alone = (cell("SB_CARRY", I0=2, I1=3, CI=4, CO=n) for n in (10, 11))
    alone["connections"]["CI"] = [5]
    assert count_luts({"cells": {"a": lut, "b": shared}}, "ice40") == 1
    assert count_luts({"cells": {"a": lut, "b": alone}}, "ice40") == 2


def test_inverters_and_both_outputs_of_a_lut_take_one_place_each():
    cells = {str(i): cell(kind) for i, kind in enumerate(("INV", "LUT6_2", "LUT3", "CARRY4"))}
    assert count_luts({"cells": cells}, "xc7") == 3


@pytest.mark.parametrize("family", SYNTHESES)
def test_popcounts_take_no_more_luts_than_plain_sums(tmp_path, family):
    """At 64 positions of weights from memory; ECP5 has the portable modules."""
    plain = synthesize(
        popcount_text(64, None, is_plain=True), [], family, tmp_path / "plain", is_plain=True
    )
    own = popcount_text(64, None, is_plain=False)
    assert (
        synthesize(own, own_sources(KERNELS["xnor"].sources, family), family, tmp_path / "own")
        <= plain
    )


def test_popcounts_of_256_positions_meet_their_bounds(tmp_path):
    """270 LUTs with weights from memory, 140 with constant ones, on AMD 7-series."""
    weights = BIPOLAR.random((1, 256), np.random.default_rng(256))
    for bound, given in ((270, None), (140, weights)):
        text = popcount_text(256, given, is_plain=False)
        assert (
            synthesize(
                text, own_sources(KERNELS["xnor"].sources, "xc7"), "xc7", tmp_path / str(bound)
            )
            <= bound
        )


def test_a_layer_shares_the_lowest_column_of_its_sums(tmp_path):
    """A quarter of a LUT and a threshold for each weight of a neuron, no more."""
    weights, levels = random_layer(16)
    text = layer_text(weights, levels, is_plain=False)
    assert (
        synthesize(text, own_sources(KERNELS["xnor"].sources, "xc7"), "xc7", tmp_path / "layer")
        <= 16 * 10
    )


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
@pytest.mark.parametrize("kind", ["ternary", "shift"])
def test_an_adder_graph_takes_fewer_luts_than_plain_sums(tmp_path, kind, family):
    layer = IntegerLayer(kind=kind, size=8, input_bits=4, family=family)
    own, plain = (sums_text(layer.weights, 4, is_plain=is_plain) for is_plain in (False, True))
    files = own_sources(("lanes", *GRAPH_SOURCES), family)
    ours = synthesize(own, files, family, tmp_path / "own")
    assert ours < synthesize(plain, [], family, tmp_path / "plain", is_plain=True)


def test_the_layers_that_are_compared_have_names_of_their_own():
    assert len({layer.name for layer in INTEGER_LAYERS}) == len(INTEGER_LAYERS)
    for layer in INTEGER_LAYERS:
        magnitudes = set(np.unique(np.abs(layer.weights)).tolist())
        assert magnitudes == ({0, 1} if layer.kind == "ternary" else {0, 1, 2, 4, 8})


def test_a_synthesis_ends_after_its_time(tmp_path):
    layer = IntegerLayer(kind="shift", size=32, input_bits=8, family="xc7")
    text = sums_text(layer.weights, 8, is_plain=True)
    with pytest.raises(TimeLimitError, match="ended after 2 s of CPU time"):
        synthesize(text, [], "xc7", tmp_path / "plain", is_plain=True, cpu_seconds=2)
