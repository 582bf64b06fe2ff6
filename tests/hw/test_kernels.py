"""Kernels of layers: their integers, ranges and codes, and which one is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, DataType, IntArray, signed, unsigned
from popshift.hw.errors import DatatypeError, FoldingError
from popshift.hw.graph import Dataflow
from popshift.hw.passes import apply_folding, choose_kernel, fold, folding_report
from popshift.hw.reference import compile_reference
from popshift.hw.stages import MatVec
from popshift.hw.stages.kernels import KERNELS, WeightCode

DOT_KERNELS = ("coded", "planes", "shift", "signed")


def products(kernel: str, x: IntArray, weights: IntArray) -> IntArray:
    """Return the accumulators by their definition, element by element."""
    if kernel == "adder":
        return -np.abs(x[:, None] - weights).sum(axis=-1)
    terms = x[:, None] * weights if kernel != "xnor" else x[:, None] == weights
    return np.asarray(terms.sum(axis=-1), np.int64)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_accumulators_follow_the_definition_and_reach_both_ends(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, shape = KERNELS[name], (int(rng.integers(1, 6)), int(rng.integers(1, 9)))
    dtype, weights = kernel.random(shape, rng)
    x = dtype.random((20, shape[1]), rng)
    np.testing.assert_array_equal(kernel.accumulate(x, weights), products(name, x, weights))
    low, high = kernel.accumulator_range(dtype, weights)
    least, greatest = kernel.extremes(dtype, weights)
    dtype.check(least, "least")
    dtype.check(greatest, "greatest")
    assert np.diagonal(kernel.accumulate(greatest, weights)).max() == high
    if name != "xnor":
        assert np.diagonal(kernel.accumulate(least, weights)).min() == low
    sums = kernel.sum_dtype(dtype, kernel.code(weights), shape[1])
    if kernel.has_plane_scales:
        low, high = kernel.accumulator_range(dtype, KERNELS["coded"].signs(weights))
    assert sums.min <= low <= high <= sums.max


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_weight_has_a_code_of_its_own(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, weights = KERNELS[name].random((3, 9), rng)
    code = KERNELS[name].code(weights)
    codes = KERNELS[name].to_codes(weights, code)
    assert int(codes.max()) < 1 << code.bits
    for row, found in zip(weights, codes, strict=True):
        assert len(np.unique(found)) == len(np.unique(row))
    if not KERNELS[name].has_plane_scales:
        assert len(np.unique(codes)) == len(np.unique(weights))


@pytest.mark.parametrize(
    ("name", "weights", "code", "codes"),
    [
        ("signed", [-1, 1], WeightCode(bits=1), [0, 1]),
        ("signed", [-1, 0, 1], WeightCode(bits=2, form=2), [3, 0, 1]),
        ("signed", [-2, -1, 0, 1], WeightCode(bits=2, form=1), [2, 3, 0, 1]),
        ("signed", [-3, -1, 1, 3], WeightCode(bits=2), [0, 1, 2, 3]),
        ("signed", [-8, 7], WeightCode(bits=4, form=1), [8, 7]),
        ("signed", [0, 2], WeightCode(bits=3, form=1), [0, 2]),
        ("planes", [-3, -1, 1, 3], WeightCode(bits=2), [0, 1, 2, 3]),
        ("planes", [-1, 0], WeightCode(bits=1 + 0, form=1), [1, 0]),
        ("shift", [0, 1, -1, 2, -4], WeightCode(bits=3, form=1, high=2), [0, 1, 5, 2, 7]),
        ("shift", [1, -1, 2, -8], WeightCode(bits=3, high=3), [0, 4, 1, 7]),
        ("shift", [8, -16], WeightCode(bits=2, low=3, high=4), [0, 3]),
        ("shift", [1, -1], WeightCode(bits=1), [0, 1]),
        ("shift", [0, 0], WeightCode(bits=2, form=1), [0, 0]),
        ("coded", [-5, -3, 3, 5], WeightCode(bits=2, high=3), [0, 2, 1, 3]),
        ("coded", [7, 0, -7], WeightCode(bits=2, low=1, high=3), [3, 1, 0]),
        ("coded", [2, 1, -1, -2], WeightCode(bits=2, low=1, high=2), [3, 1, 2, 0]),
        ("coded", [0, 0], WeightCode(bits=1, high=1), [0, 0]),
        ("adder", [0, 7], WeightCode(bits=3), [0, 7]),
        ("adder", [-8, 7], WeightCode(bits=4, form=1), [8, 7]),
    ],
)
def test_codes(name: str, weights: list[int], code: WeightCode, codes: list[int]) -> None:
    row = np.array([weights])
    assert KERNELS[name].code(row) == code
    assert KERNELS[name].to_codes(row, code)[0].tolist() == codes


@pytest.mark.parametrize(
    ("name", "dtype", "weight", "message"),
    [
        ("shift", unsigned(8), 3, r"kernel shift takes weights 0 and \+-2\^e .* got 3"),
        ("signed", unsigned(8), 1 << 16, "at most 16 bits, got 65536"),
        ("planes", unsigned(9), 1, "kernel planes takes inputs of at most 8 bits, got UINT9"),
        ("adder", unsigned(8), -(1 << 15) - 1, "at most 16 bits, got -32769"),
        ("xnor", unsigned(1), 1, "kernel xnor takes BIPOLAR inputs, got UINT1"),
        ("coded", unsigned(8), 1 << 16, "at most 16 bits, got 65536"),
    ],
)
def test_what_a_kernel_does_not_take(name: str, dtype: DataType, weight: int, message: str) -> None:
    with pytest.raises(DatatypeError, match=message):
        layer(name, dtype, [[weight, 1]])


def layer(kernel: str, dtype: DataType, weights: object, **folds: int) -> MatVec:
    return MatVec(
        name="fc0",
        inputs=("x",),
        outputs=("y",),
        weights=np.array(weights),
        input_dtype=dtype,
        kernel=kernel,
        **folds,
    )


def dataflow(stage: MatVec) -> Dataflow:
    inputs = {"x": stage.input_types[0]}
    return Dataflow(name="one", inputs=inputs, outputs=("y",), stages=(stage,))


def test_distances_of_one_point() -> None:
    """x = 5, f = 2: -3; y is 0 only where x = f; both moved alike, y stays."""
    adder = KERNELS["adder"]
    x, f = np.array([[5, 1]]), np.array([[2, 1], [5, 1]])
    assert adder.accumulate(x, f).tolist() == [[-3, 0]]
    assert adder.accumulate(x + 7, f + 7).tolist() == [[-3, 0]]
    assert adder.accumulate(2 * x, f).tolist() == [[-9, -6]]


def test_a_padded_input_counts_the_weight() -> None:
    stage = layer("adder", unsigned(4), [[3, -2, 4]])
    assert stage.execute(np.zeros((1, 3), np.int64))[0].tolist() == [[-9]]
    # Least: 12 + 17 + 11. Greatest: 0 + 2 + 0.
    assert stage.accumulator_range == (-40, -2)


@pytest.mark.parametrize("kernel", [*DOT_KERNELS, "adder"])
def test_the_compiled_reference_computes_every_kernel(kernel: str) -> None:
    weights = np.random.default_rng(0).choice(np.array([-4, -1, 0, 1, 2]), (6, 10))
    stage = layer(kernel, unsigned(3), weights)
    x = unsigned(3).random((9, 10), np.random.default_rng(1))
    reference = compile_reference(dataflow(stage))
    np.testing.assert_array_equal(reference(x)[0], products(kernel, x, weights))


def test_powers_of_two_are_shifted_bits_counted_and_the_rest_added() -> None:
    rng = np.random.default_rng(0)
    signs = BIPOLAR.random((16, 64), rng)
    powers = signs << rng.integers(0, 15, (16, 64))
    integers = rng.integers(-120, 120, (16, 64))
    assert choose_kernel(unsigned(8), powers, simd=16, pe=4) == "shift"
    assert choose_kernel(unsigned(2), 2 * signs + signs[::-1], simd=16, pe=4) == "planes"
    assert choose_kernel(unsigned(8), integers, simd=16, pe=4) == "signed"
    scales = rng.integers(1, 16, (16, 3))
    coded = np.einsum("rp,rpc->rc", scales, rng.choice([-1, 1], (16, 3, 64)))
    for dtype in (BIPOLAR, unsigned(2), signed(3), unsigned(8)):
        assert choose_kernel(dtype, coded, simd=8, pe=4) == "coded"


def test_folding_names_the_cheapest_kernel_and_computes_the_same() -> None:
    rng = np.random.default_rng(0)
    powers = BIPOLAR.random((8, 32), rng) << rng.integers(0, 12, (8, 32))
    whole = dataflow(layer("signed", unsigned(8), powers))
    x = unsigned(8).random((5, 32), rng)
    for folded in (
        apply_folding(whole, {"fc0": {"pe": 4, "simd": 8}}),
        fold(whole, fps=1e6, clock_mhz=100),
    ):
        (stage,) = folding_report(folded, clock_mhz=100).stages
        assert stage.kernel == "shift"
        assert "shift" in str(folding_report(folded, clock_mhz=100))
        np.testing.assert_array_equal(folded.execute(x)["y"], whole.execute(x)["y"])


def test_a_kernel_that_is_given_is_taken() -> None:
    whole = dataflow(layer("signed", unsigned(4), [[1, -2], [4, 0]]))
    for kernel in DOT_KERNELS:
        folded = apply_folding(whole, {"fc0": {"pe": 2, "kernel": kernel}})
        (stage,) = folded.stages
        assert isinstance(stage, MatVec)
        assert (stage.kernel, stage.pe) == (kernel, 2)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (
            "shift",
            r"fc0: kernel shift takes .* got 3; .*exact here are \['coded', 'planes', 'signed'\]",
        ),
        ("adder", "fc0: kernel adder computes minus the sum of distances .* the dot product"),
        ("xnor", "fc0: kernel xnor computes the popcount of equal bits"),
        ("times", "fc0: kernel 'times' is none of"),
    ],
)
def test_a_kernel_that_is_not_exact_is_refused(kernel: str, message: str) -> None:
    whole = dataflow(layer("signed", unsigned(4), [[3, -2]]))
    with pytest.raises(FoldingError, match=message):
        apply_folding(whole, {"fc0": {"kernel": kernel}})


def test_bits_stay_popcounts_and_distances_distances() -> None:
    for kernel, dtype in (("xnor", BIPOLAR), ("adder", signed(4))):
        whole = dataflow(layer(kernel, dtype, [[1, -1], [1, 1]]))
        (stage,) = fold(whole, fps=1, clock_mhz=1).stages
        assert isinstance(stage, MatVec)
        assert stage.kernel == kernel
