"""Planes of signs are found from the integers of a row, and none that are not there."""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement, product

import numpy as np
import pytest

from popshift.hw.dtypes import IntArray, smallest_for, unsigned
from popshift.hw.errors import DatatypeError, FoldingError
from popshift.hw.graph import Dataflow
from popshift.hw.passes import apply_folding
from popshift.hw.stages import Depthwise, MatVec
from popshift.hw.stages.kernels import KERNELS
from popshift.hw.stages.kernels.sign_planes import (
    MAX_PLANES,
    plane_scales,
    scales_of,
    sign_codes,
)


def signs(codes: IntArray, planes: int) -> IntArray:
    return 2 * (codes.astype(np.int64)[..., None] >> np.arange(planes) & 1) - 1


def all_sums(scales: tuple[int, ...]) -> set[int]:
    """Return the magnitudes of all sums of plus or minus each scale."""
    return {
        abs(sum(s * m for s, m in zip(choice, scales, strict=True)))
        for choice in product((-1, 1), repeat=len(scales))
    }


@pytest.mark.parametrize(
    ("values", "doubled"),
    [
        # planes2 with scales 4 and 1, planes3 with 4, 2 and 1 (the odd grid of three bits).
        ([5, 3], (8, 2)),
        ([7, 5, 3, 1], (8, 4, 2)),
        # Equal scales, which the rule of sums would miss: 0 is 3 - 3.
        ([6, 0], (6, 6)),
        # Of 4, 2 and 1 without their greatest sum: 3, 1 and 1 make the same values.
        ([5, 3, 1], (6, 2, 2)),
        # Halves: a row of -4, -1, 1, 4 was -8, -2, 2, 8 with scales 5 and 3.
        ([4, 1], (5, 3)),
        # abc3: 6, then each sign turned in order.
        ([6, 4, 2], (8, 2, 2)),
        ([9], (18,)),
        ([0], ()),
    ],
)
def test_known_rows(values: list[int], doubled: tuple[int, ...]) -> None:
    assert scales_of(tuple(sorted(values, reverse=True))) == doubled


@pytest.mark.parametrize("seed", range(40))
def test_every_weight_is_the_sum_of_its_signs_times_the_scales(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns, planes = 5, int(rng.choice([1, 3, 9, 100])), int(rng.integers(1, 5))
    scales = rng.integers(0, 1 << int(rng.integers(1, 8)), (rows, planes))
    scales[0] = scales[1, :1]  # equal ones
    scales[2, 1:] = 0  # fewer planes
    scales[3] = 0
    weights: IntArray = np.einsum(
        "rp,rpc->rc", scales, rng.choice([-1, 1], (rows, planes, columns))
    )
    found = plane_scales(weights)
    assert found.shape[1] <= planes
    assert (found >= 0).all()
    codes = sign_codes(weights, found)
    sums = (signs(codes, found.shape[1]) * found[:, None]).sum(axis=-1)
    np.testing.assert_array_equal(sums, 2 * weights)


def test_rows_of_few_values_have_the_fewest_planes_there_are() -> None:
    """Against all scales up to twice the greatest value, halves among them."""
    top = 6
    least: dict[tuple[int, ...], int] = {}
    for planes in range(1, 4):
        for doubled in combinations_with_replacement(range(2 * top + 1), planes):
            if sum(doubled) % 2:
                continue
            made = sorted(value // 2 for value in all_sums(doubled))
            for count in range(1, len(made) + 1):
                for values in combinations(made, count):
                    least.setdefault(values[::-1], planes)
    for count in range(1, 5):
        for values in combinations(range(top, 0, -1), count):
            scales = scales_of(values)
            assert scales is not None
            assert {2 * value for value in values} <= all_sums(scales)
            assert len(scales) == least.get(values, 4), values


@pytest.mark.parametrize("seed", range(60))
def test_four_planes_are_found_whichever_sums_are_missing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums = sorted(all_sums(tuple(rng.integers(1, 40, 4).tolist())), reverse=True)
    count = int(rng.integers(1, len(sums) + 1))
    values = tuple(sorted(rng.choice(sums, count, replace=False).tolist(), reverse=True))
    scales = scales_of(values)
    assert scales is not None
    assert len(scales) <= 4
    assert {2 * value for value in values} <= all_sums(scales)


def test_five_planes_follow_by_the_rule_of_sums() -> None:
    values = tuple(sorted(all_sums((1, 3, 9, 27, 81)), reverse=True))
    assert scales_of(values) == (162, 54, 18, 6, 2)
    assert scales_of(tuple(range(2 * 16 - 1, 0, -2))) == (32, 16, 8, 4, 2)


def test_other_integers_are_refused_with_their_row() -> None:
    weights = np.stack([np.full(20, 3), np.arange(20) ** 2])
    with pytest.raises(
        DatatypeError, match=rf"at most {MAX_PLANES} signs .* got 20 magnitudes in row 1"
    ):
        plane_scales(weights)


def test_a_folding_that_asks_for_planes_of_other_integers_is_refused() -> None:
    stage = MatVec(
        name="fc0",
        inputs=("x",),
        outputs=("y",),
        weights=np.arange(40).reshape(2, 20) ** 2,
        input_dtype=unsigned(4),
        kernel="signed",
    )
    whole = Dataflow(
        name="one", inputs={"x": stage.input_types[0]}, outputs=("y",), stages=(stage,)
    )
    with pytest.raises(
        FoldingError,
        match=r"fc0: kernel coded takes rows .* row 0 .* exact here are \['planes', 'signed'\]",
    ):
        apply_folding(whole, {"fc0": {"kernel": "coded"}})


def test_a_depthwise_layer_does_not_take_them() -> None:
    stage = Depthwise(
        name="dw",
        inputs=("x",),
        outputs=("y",),
        weights=[[5, -3, 3], [2, 4, -4]],
        input_dtype=unsigned(4),
        kernel="signed",
    )
    assert stage.with_(kernel="planes").kernel == "planes"
    with pytest.raises(DatatypeError, match="a depthwise layer sums all channels at once"):
        stage.with_(kernel="coded")


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("kernel", ["planes", "signed"])
def test_an_odd_grid_takes_a_bit_less_than_twos_complement(kernel: str, bits: int) -> None:
    """All 2^n odd integers around 0, of which there are as many as codes."""
    grid = np.arange(-(1 << bits) + 1, 1 << bits, 2)[None]
    assert KERNELS[kernel].code(grid).bits == bits
    assert smallest_for(int(grid.min()), int(grid.max())).bits == (bits + 1 if bits > 1 else 2)
    codes = KERNELS[kernel].to_codes(grid, KERNELS[kernel].code(grid))
    assert codes[0].tolist() == list(range(1 << bits))


@pytest.mark.parametrize("kernel", ["planes", "signed"])
def test_the_codes_of_a_precision_begin_with_those_of_a_shorter_one(kernel: str) -> None:
    """Nested bits: ``q_b = 2 q_(b-1) + e_b`` and ``acc_b = 2 acc_(b-1) + sum e_b x``."""
    rng = np.random.default_rng(0)
    stored = rng.integers(-128, 128, (6, 40))
    stored[:, :2] = -128, 127
    x = unsigned(4).random((30, 40), rng)
    for bits in range(8, 3, -1):
        longer, shorter = stored >> (8 - bits), stored >> (9 - bits)
        stages = [
            MatVec(
                name="fc0",
                inputs=("x",),
                outputs=("y",),
                weights=weights,
                input_dtype=unsigned(4),
                kernel=kernel,
            )
            for weights in (longer, shorter)
        ]
        long, short = stages
        assert [stage.weight_code.bits for stage in stages] == [bits, bits - 1]
        np.testing.assert_array_equal(long.weight_codes >> np.uint64(1), short.weight_codes)
        enhanced = long.weight_codes.astype(np.int64) & 1
        np.testing.assert_array_equal(
            long.accumulators(x), 2 * short.accumulators(x) + x @ enhanced.T
        )
