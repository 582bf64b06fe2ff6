"""Adder graphs of constant weights: their integers, what they share, and where registers are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, DataType, IntArray, signed, unsigned
from popshift.hw.graph import Dataflow
from popshift.hw.passes import apply_folding
from popshift.hw.stages import MatVec
from popshift.hw.stages.kernels.adder_graph import AdderGraph
from popshift.hw.stages.kernels.additions import additions
from popshift.hw.stages.kernels.registers import LEAST_REGISTERS, OPERATIONS_AT_ONCE, pipelined
from popshift.hw.stages.kernels.subexpressions import share, signed_digits
from popshift.hw.stages.kernels.unrolled import MOST_PAIRS, unrolled_graph


def graph_of(dtype: DataType, weights: object) -> AdderGraph:
    graph = unrolled_graph(dtype, np.array(weights, np.int64))
    assert graph is not None
    return graph


def additions_in(graph: AdderGraph) -> int:
    """Return how many operands are added to another."""
    return sum(len(operation.operands) - 1 for operation in graph.operations)


def registers_to(graph: AdderGraph) -> list[set[int]]:
    """Return for each node the registers on the paths from inputs to it."""
    found = [{0} for _ in range(graph.inputs)]
    for operation in graph.operations:
        before = [found[o.node] for o in operation.operands if o.node >= 0]
        found.append({n + operation.is_register for paths in before for n in paths})
    return found


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (0, []),
        (1, [(0, 1)]),
        (-4, [(2, -1)]),
        (7, [(0, -1), (3, 1)]),
        (-11, [(0, 1), (2, 1), (4, -1)]),
        (1 << 15, [(15, 1)]),
    ],
)
def test_signed_digits(value: int, digits: list[tuple[int, int]]) -> None:
    assert list(signed_digits(value)) == digits


def test_signed_digits_make_the_value_and_none_are_adjacent() -> None:
    for value in range(-300, 300):
        digits = list(signed_digits(value))
        assert sum(sign << shift for shift, sign in digits) == value
        assert all(later[0] - first[0] > 1 for first, later in pairwise(digits))


@pytest.mark.parametrize("seed", range(40))
def test_a_graph_computes_the_products_and_every_node_is_within_its_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 13)), int(rng.integers(1, 17)))
    dtype = (BIPOLAR, unsigned(1), unsigned(8), signed(5))[seed % 4]
    grid = ((-1, 0, 1), (-8, -2, 0, 1, 4), range(-8, 8), range(-1000, 1000))[seed // 4 % 4]
    weights = rng.choice(np.array(grid, np.int64), shape)
    graph = graph_of(dtype, weights)
    least, greatest = (
        np.where(weights > 0, dtype.min, dtype.max),
        np.where(weights > 0, dtype.max, dtype.min),
    )
    x = np.concatenate([dtype.random((30, shape[1]), rng), least, greatest])
    np.testing.assert_array_equal(graph.execute(x), x @ weights.T)
    ends = [(operation.low, operation.high) for operation in graph.operations[-shape[0] :]]
    for row, (low, high) in zip(weights, ends, strict=True):
        assert low <= (row * np.where(row > 0, dtype.min, dtype.max)).sum()
        assert high >= (row * np.where(row > 0, dtype.max, dtype.min)).sum()


@pytest.mark.parametrize("at_once", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_all_paths_to_a_neuron_have_the_same_registers(seed: int, at_once: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-9, 10, (7, 11))
    graph = pipelined(additions(unsigned(4), weights), at_once)
    paths = registers_to(graph)
    assert all(len(found) == 1 for found in paths)
    assert all(found == {graph.registers} for found in paths[-7:])
    assert graph.registers >= LEAST_REGISTERS


def test_no_more_operations_than_stated_are_between_registers() -> None:
    weights = np.random.default_rng(0).integers(-1, 2, (16, 64))
    graph = graph_of(unsigned(8), weights)
    depth = [0] * graph.inputs
    for operation in graph.operations:
        below = max((depth[o.node] for o in operation.operands if o.node >= 0), default=0)
        level = below + (len(operation.operands) > 1)
        assert level <= OPERATIONS_AT_ONCE
        depth.append(0 if operation.is_register else level)
    assert graph.registers == LEAST_REGISTERS


def test_zero_weights_cost_nothing_and_single_powers_are_wires() -> None:
    graph = graph_of(unsigned(8), [[0, 0, 4], [0, 0, 0], [0, 1, 0]])
    assert additions_in(graph) == 0
    assert graph.cost.lut == 0


def test_equal_neurons_share_all_of_their_sums() -> None:
    row = np.random.default_rng(0).integers(-1, 2, 20)
    one, four = graph_of(unsigned(4), [row]), graph_of(unsigned(4), [row] * 4)
    assert additions_in(four) == additions_in(one) == np.count_nonzero(row) - 1


def test_a_neuron_that_is_a_multiple_of_another_costs_no_addition() -> None:
    row = np.array([1, -1, 0, 1])
    assert additions_in(graph_of(unsigned(4), [row, 4 * row])) == 2


def test_a_neuron_of_negative_weights_alone_is_subtracted_from_nothing() -> None:
    weights = [[-1, 0, 0], [-1, -1, 0], [-1, -2, -4]]
    x = unsigned(3).random((20, 3), np.random.default_rng(0))
    np.testing.assert_array_equal(
        graph_of(unsigned(3), weights).execute(x), x @ np.array(weights).T
    )


def test_shared_sums_take_less_than_half_the_additions() -> None:
    weights: IntArray = np.random.default_rng(0).integers(-1, 2, (64, 64))
    shared = share(weights)
    additions_left = len(shared.pairs) + sum(len(row) - 1 for row in shared.rows)
    assert additions_left < (np.count_nonzero(weights) - 64) / 2


def layer(kernel: str, weights: IntArray, **fields: int) -> MatVec:
    return MatVec(
        name="fc0",
        inputs=("x",),
        outputs=("y",),
        weights=weights,
        input_dtype=unsigned(8),
        kernel=kernel,
        **fields,
    )


def test_an_unrolled_layer_is_a_graph_with_its_latency_and_a_folded_one_is_none() -> None:
    weights = np.random.default_rng(0).integers(-1, 2, (16, 64))
    folded, unrolled = layer("signed", weights), layer("signed", weights, simd=64, pe=16)
    assert folded.graph is None
    assert unrolled.graph is not None
    assert unrolled.latency == 4 + unrolled.graph.registers - 1
    assert unrolled.cost().lut < 2 * 16 * 64 * 8
    parameters = unrolled.module().parameters
    assert parameters["OPERATIONS"] == len(unrolled.graph.operations)
    assert "WEIGHTS_FILE" not in unrolled.module().memories
    assert "OPERATIONS" not in folded.module().parameters


def test_both_kernels_have_the_same_graph() -> None:
    weights = 1 << np.random.default_rng(0).integers(0, 8, (4, 9))
    graphs = [layer(k, weights, simd=9, pe=4).graph for k in ("signed", "shift")]
    assert graphs[0] is graphs[1]


def test_a_matrix_that_is_too_large_keeps_its_products() -> None:
    side = int((2 * MOST_PAIRS) ** (1 / 3)) + 8
    weights = np.ones((side, side), np.int64)
    assert unrolled_graph(unsigned(2), weights) is None
    stage = layer("signed", weights, simd=side, pe=side)
    assert stage.graph is None
    assert "WEIGHTS" in stage.module().parameters


def test_folding_to_the_end_takes_the_graph() -> None:
    weights = np.random.default_rng(0).integers(-7, 8, (8, 12))
    stage = layer("signed", weights)
    whole = Dataflow(
        name="one", inputs={"x": stage.input_types[0]}, outputs=("y",), stages=(stage,)
    )
    (found,) = apply_folding(whole, {"fc0": {"pe": 8, "simd": 12}}).stages
    assert isinstance(found, MatVec)
    assert found.graph is not None
