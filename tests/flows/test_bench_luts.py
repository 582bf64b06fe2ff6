"""The benchmark of LUTs: what it counts, and that popcounts of every family are the smaller ones."""

import numpy as np
import pytest

from popshift.flows.bench.luts import (
    SYNTHESES,
    count_luts,
    layer_text,
    own_sources,
    popcount_text,
    random_layer,
    synthesize,
)
from popshift.hw.dtypes import BIPOLAR


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
    assert synthesize(own, own_sources(family), family, tmp_path / "own") <= plain


def test_popcounts_of_256_positions_meet_their_bounds(tmp_path):
    """270 LUTs with weights from memory, 140 with constant ones, on AMD 7-series."""
    weights = BIPOLAR.random((1, 256), np.random.default_rng(256))
    for bound, given in ((270, None), (140, weights)):
        text = popcount_text(256, given, is_plain=False)
        assert synthesize(text, own_sources("xc7"), "xc7", tmp_path / str(bound)) <= bound


def test_a_layer_shares_the_lowest_column_of_its_sums(tmp_path):
    """A quarter of a LUT and a threshold for each weight of a neuron, no more."""
    weights, levels = random_layer(16)
    text = layer_text(weights, levels, is_plain=False)
    assert synthesize(text, own_sources("xc7"), "xc7", tmp_path / "layer") <= 16 * 10
