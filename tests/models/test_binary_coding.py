from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv2d, QuantLinear

from popshift.models.quant import BinaryCodingQuant, BinaryCodingWeightQuant, binary_code
from popshift.models.quant.binary_coding import (
    BinaryCode,
    least_squares,
    level_signs,
    nearest_code,
)

EIGHT = torch.tensor([[0.5, -1.2, 0.3, 2.0, -0.1, -0.7, 1.1, 0.05]], dtype=torch.float64)
METHODS = ("greedy", "refit", "refined", "alternating", "shifted")


def squared_error(weight, code, importance=None):
    error = (weight - code.values()).square()
    return float((error if importance is None else importance * error).sum())


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.fixture
def normal():
    return torch.from_numpy(np.random.default_rng(0).standard_normal(4096))[None]


@pytest.mark.parametrize(
    ("planes", "method", "alpha", "error"),
    [
        (1, "greedy", [0.74375], 3.0671875),
        (2, "greedy", [0.74375, 0.5171875], 0.92732421875),
        (2, "refined", [2.645 / 3, 1.655 / 3], 0.784666666666),
    ],
)
def test_known_codes(planes, method, alpha, error):
    code = binary_code(EIGHT, planes=planes, method=method)
    assert code.alpha[0].tolist() == pytest.approx(alpha, abs=1e-12)
    assert squared_error(EIGHT, code) == pytest.approx(error, abs=1e-10)


@pytest.mark.parametrize(
    ("planes", "alpha", "error", "unweighted"),
    [(1, [1.259244], 2.120242, 3.701), (2, [1.442089, 0.557911], 0.467136, 0.950)],
)
def test_known_codes_weighted_by_magnitude(planes, alpha, error, unweighted):
    importance = EIGHT.abs()
    code = binary_code(EIGHT, planes=planes, method="refined", importance=importance)
    assert code.alpha[0].tolist() == pytest.approx(alpha, abs=5e-7)
    assert squared_error(EIGHT, code, importance) == pytest.approx(error, abs=5e-7)
    plain = binary_code(EIGHT, planes=planes, method="refined")
    assert squared_error(EIGHT, plain, importance) == pytest.approx(unweighted, abs=5e-4)


def test_refined_two_planes_are_the_optimum_of_all_codes():
    weight = EIGHT[0].numpy()
    signs = np.array(list(product((-1.0, 1.0), repeat=8)))
    first = signs[:, None, :].repeat(len(signs), axis=1).reshape(-1, 8)
    second = np.tile(signs, (len(signs), 1))
    c, m1, m2 = (first * second).mean(1), first @ weight / 8, second @ weight / 8
    independent = np.abs(c) < 1
    c, m1, m2 = c[independent], m1[independent], m2[independent]
    # least squares of two planes leaves ||w||^2 - n (m1 alpha1 + m2 alpha2)
    alpha1, alpha2 = (m1 - c * m2) / (1 - c**2), (m2 - c * m1) / (1 - c**2)
    best = (weight @ weight - 8 * (m1 * alpha1 + m2 * alpha2)).min()
    code = binary_code(EIGHT, planes=2, method="refined")
    assert squared_error(EIGHT, code) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(
    ("planes", "greedy", "refined", "alternating"),
    [
        (1, 0.354, 0.354, 0.354),
        (2, 0.1266, 0.1208, 0.1143),
        (3, 0.0561, 0.0475, 0.0396),
        (4, 0.0312, 0.0228, 0.0161),
    ],
)
def test_relative_errors_of_normal_weights(normal, planes, greedy, refined, alternating):
    energy = float(normal.square().sum())
    for method, expected in (
        ("greedy", greedy),
        ("refined", refined),
        ("alternating", alternating),
    ):
        code = binary_code(normal, planes=planes, method=method)
        assert squared_error(normal, code) / energy == pytest.approx(
            expected, abs=6e-5 + 4e-4 * (planes == 1)
        )


def test_errors_fall_from_method_to_method_round_to_round_and_plane_to_plane(rng):
    weight = torch.from_numpy(rng.normal(size=(50, 31)))

    def errors(**options):
        return (weight - binary_code(weight, **options).values()).square().sum(dim=1)

    slack = 1e-12
    for planes in (1, 2, 3, 4):
        greedy, refined, *rounds = (
            errors(planes=planes, method="greedy"),
            errors(planes=planes, method="refined"),
            *(errors(planes=planes, rounds=n) for n in range(5)),
        )
        # of three planes on, the first steps of greedy may happen to be the better ones
        assert refined.sum() <= greedy.sum()
        assert planes > 2 or (refined <= greedy + slack).all()
        assert torch.equal(rounds[0], refined)
        for before, after in pairwise(rounds):
            assert (after <= before + slack).all()
        assert (errors(planes=planes + 1, method="refined") <= refined + slack).all()


def test_both_half_steps_lower_the_error(rng):
    weight = torch.from_numpy(rng.normal(size=(40, 25)))
    importance = torch.from_numpy(rng.random(size=(40, 25)))
    planes = torch.from_numpy(rng.choice([-1.0, 1.0], size=(40, 3, 25)))
    code = least_squares(weight, planes, importance)
    for _ in range(4):
        before = (importance * (weight - code.values()).square()).sum(dim=1)
        coded = nearest_code(weight, code.alpha)
        between = (importance * (weight - coded.values()).square()).sum(dim=1)
        code = least_squares(weight, coded.planes, importance)
        after = (importance * (weight - code.values()).square()).sum(dim=1)
        assert (between <= before + 1e-12).all()
        assert (after <= between + 1e-12).all()


def test_least_squares_solves_the_normal_equations(rng):
    weight = torch.from_numpy(rng.normal(size=(30, 20)))
    importance = torch.from_numpy(rng.random(size=(30, 20)))
    planes = torch.from_numpy(rng.choice([-1.0, 1.0], size=(30, 4, 20)))
    code = least_squares(weight, planes, importance)
    rest = importance * (weight - code.values())
    assert torch.einsum("gkn,gn->gk", code.planes, rest).abs().max() < 1e-12
    assert (code.alpha >= 0).all()
    assert (code.alpha.diff(dim=1) <= 0).all()


@pytest.mark.parametrize("turned", [1.0, -1.0])
def test_a_plane_that_repeats_another_is_dropped(turned, rng):
    weight = torch.from_numpy(rng.normal(size=(1, 16)))
    first = torch.from_numpy(rng.choice([-1.0, 1.0], size=(1, 16)))
    code = least_squares(weight, torch.stack([first, turned * first], dim=1), torch.ones(1, 16))
    assert code.alpha[0].tolist() == [pytest.approx(float((first * weight).mean().abs())), 0.0]


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_every_element_is_coded_as_the_nearest_of_all_levels(planes, rng):
    alpha = torch.from_numpy(rng.random(size=(20, planes))).sort(dim=1, descending=True).values
    weight = torch.from_numpy(rng.normal(size=(20, 100)))
    levels = alpha @ level_signs(planes).double().T
    nearest = (weight[:, :, None] - levels[:, None]).abs().min(dim=2).values
    have = (weight - nearest_code(weight, alpha).values()).abs()
    assert torch.allclose(have, nearest, rtol=0, atol=1e-12)


def share_met_by_the_chain_of_signs(alpha, weight):
    alpha = torch.tensor([alpha], dtype=torch.float64)
    rest, chain = weight, torch.zeros_like(weight)
    for scale in alpha[0]:
        step = scale * torch.where(rest >= 0, 1.0, -1.0).double()
        chain, rest = chain + step, rest - step
    nearest = nearest_code(weight, alpha).values()
    is_best = (weight - chain).abs() <= (weight - nearest).abs() + 1e-12
    return float(is_best.double().mean())


def test_the_chain_of_signs_is_optimal_for_two_planes_but_not_for_three():
    weight = torch.linspace(-2, 2, 4001, dtype=torch.float64)[None]
    assert share_met_by_the_chain_of_signs([1.0, 0.3], weight) == 1
    assert share_met_by_the_chain_of_signs([1.0, 1.0], weight) == 1
    assert share_met_by_the_chain_of_signs([1.0, 0.8, 0.6], weight) == pytest.approx(0.70, abs=0.01)


@pytest.mark.parametrize("planes", [1, 2, 3])
def test_weights_that_are_sums_of_planes_are_met_exactly(planes, rng):
    alpha = torch.tensor([[4.0, 2.0, 1.0]], dtype=torch.float64)[:, :planes]
    signs = torch.from_numpy(rng.choice([-1.0, 1.0], size=(1, planes, 64)))
    weight = BinaryCode(alpha=alpha, planes=signs).values()
    code = binary_code(weight, planes=planes)
    assert torch.allclose(code.values(), weight, rtol=0, atol=1e-12)
    # a plane more has nothing to do
    assert squared_error(weight, binary_code(weight, planes=planes + 1)) < 1e-20


@pytest.mark.parametrize("method", METHODS)
def test_scaling_the_weights_scales_alpha_and_keeps_the_planes(method, rng):
    weight = torch.from_numpy(rng.normal(size=(10, 30)))
    code = binary_code(weight, planes=3, method=method)
    scaled = binary_code(4 * weight, planes=3, method=method)
    assert torch.equal(scaled.planes, code.planes)
    assert torch.equal(scaled.alpha, 4 * code.alpha)


@pytest.mark.parametrize("method", METHODS)
def test_equal_importance_is_no_importance_and_zero_frees_elements(method, rng):
    weight = torch.from_numpy(rng.normal(size=(10, 30)))
    plain = binary_code(weight, planes=2, method=method)
    same = binary_code(weight, planes=2, method=method, importance=torch.full_like(weight, 2.0))
    assert torch.allclose(same.alpha, plain.alpha, rtol=0, atol=1e-12)
    importance = torch.ones_like(weight)
    importance[:, 20:] = 0
    changed = weight.clone()
    if method != "shifted":  # whose planes are those of mean and spread
        changed[:, 20:] *= 5
    free = binary_code(changed, planes=2, method=method, importance=importance)
    other = binary_code(weight, planes=2, method=method, importance=importance)
    assert torch.allclose(free.alpha, other.alpha, rtol=0, atol=1e-12)


def test_weighted_fit_is_better_under_its_weights(rng):
    weight = torch.from_numpy(rng.normal(size=(60, 40)))
    importance = torch.from_numpy(rng.random(size=(60, 40)))
    for method in ("greedy", "refined", "alternating"):
        fit = binary_code(weight, planes=1, method=method, importance=importance)
        plain = binary_code(weight, planes=1, method=method)
        assert squared_error(weight, fit, importance) < squared_error(weight, plain, importance)


def test_shifted_planes_of_the_known_example():
    weight = torch.tensor([[-2.0, -1.0, 1.0, 2.0]], dtype=torch.float64)
    code = binary_code(weight, planes=3, method="shifted")
    assert code.alpha.tolist() == [[1.0, 0.5, 0.5]]
    assert code.values().tolist() == weight.tolist()
    planes = {tuple(plane.tolist()) for plane in code.planes[0]}
    assert planes == {(-1, -1, -1, 1), (-1, -1, 1, 1), (-1, 1, 1, 1)}


def test_one_shifted_plane_is_not_the_mean_magnitude():
    weight = torch.tensor([[-1.0, 0.5, 3.0]], dtype=torch.float64)
    code = binary_code(weight, planes=1, method="shifted")
    mean = weight.mean()
    signs = torch.where(weight >= mean, 1.0, -1.0)
    expected = (weight - mean).abs().mean() + mean * signs.mean()
    assert code.alpha.item() == pytest.approx(expected.item())
    assert code.alpha.item() != pytest.approx(weight.abs().mean().item())


def layer_with(shape, **options):
    torch.manual_seed(0)
    options = {f"weight_{name}": option for name, option in options.items()}
    if len(shape) == 2:
        return QuantLinear(
            *shape[::-1], bias=False, weight_quant=BinaryCodingWeightQuant, **options
        )
    return QuantConv2d(
        shape[1], shape[0], shape[2], bias=False, weight_quant=BinaryCodingWeightQuant, **options
    )


@pytest.mark.parametrize("alpha", ["fixed", "pot"])
@pytest.mark.parametrize("group", ["row", "slice", 4])
@pytest.mark.parametrize("planes", [1, 2, 3])
def test_weights_are_integers_of_the_stated_width_and_sums_of_the_planes(alpha, group, planes):
    layer = layer_with((6, 4, 2, 2), planes=planes, alpha=alpha, group=group)
    quantized = layer.quant_weight()
    integers = (quantized.value / quantized.scale).detach()
    assert torch.equal(integers.round() * quantized.scale, quantized.value)
    code, scale = layer.weight_quant.tensor_quant.code(layer.weight)
    assert torch.equal(integers.round().flatten(), code.values().float().flatten())
    assert torch.equal(code.alpha, code.alpha.round())
    assert code.alpha.min() >= (1 if alpha == "pot" else 0)
    assert code.alpha[:, 0].min() >= 1
    assert code.alpha.max() <= 16
    top = int(integers.abs().max().round())
    assert int(quantized.bit_width) == top.bit_length() + 1
    if alpha == "fixed":
        assert torch.frexp(scale).mantissa == 0.5
        assert code.alpha.max() >= 8
    else:
        assert set(code.alpha.unique().tolist()) <= {2.0**e for e in range(5)}
    assert code.alpha.shape == ({"row": 6, "slice": 24, 4: 24}[group], planes)


def test_every_weight_is_at_the_nearest_level_of_the_rounded_scales():
    layer = layer_with((8, 64), planes=3)
    code, scale = layer.weight_quant.tensor_quant.code(layer.weight)
    levels = scale * (code.alpha @ level_signs(3).T)
    latent = layer.weight.detach()
    nearest = (latent[:, :, None] - levels[:, None]).abs().min(dim=2).values
    assert torch.equal((latent - scale * code.values()).abs(), nearest)


def test_the_scale_behind_powers_of_two_is_the_least_squares_one():
    layer = layer_with((8, 64), planes=2, alpha="pot", importance="l1")
    code, scale = layer.weight_quant.tensor_quant.code(layer.weight)
    latent = layer.weight.detach()
    rest = latent.abs() * (latent - scale * code.values())
    assert abs((rest * code.values()).sum().item()) < 1e-4 * rest.abs().sum().item()


def test_grids_of_the_scales_cost_little_and_more_bits_less():
    torch.manual_seed(1)
    weight = torch.randn(16, 200)
    errors = []
    for options in (
        {"alpha": "float"},
        *({"alpha_bits": bits} for bits in (8, 4, 2)),
        {"alpha": "pot"},
    ):
        value, *_ = BinaryCodingQuant(2, **options)(weight)
        errors.append(float((weight - value).square().mean()))
    _, eight, four, two, pot = errors
    assert eight < four < two
    assert four < 1.02 * errors[0]
    assert pot < 1.1 * errors[0]


def test_rows_of_zeros_and_of_tiny_weights_have_a_plane():
    weight = torch.ones(3, 8)
    weight[1], weight[2] = 0.0, 1e-6
    value, scale, _, bits = BinaryCodingQuant(2)(weight)
    assert torch.isfinite(value).all()
    assert (value[1:].abs() <= scale).all()
    assert (value[1:] != 0).all()
    zero, scale, _, bits = BinaryCodingQuant(2)(torch.zeros(2, 3))
    assert torch.isfinite(zero).all()
    assert scale > 0
    assert bits == 2


def test_the_gradient_passes_unchanged():
    layer = layer_with((3, 5), planes=2)
    upstream = torch.arange(15.0).reshape(3, 5)
    layer.quant_weight().value.backward(upstream)
    assert torch.equal(layer.weight.grad, upstream)


def test_importance_may_be_a_tensor_and_is_stored():
    torch.manual_seed(0)
    importance = torch.rand(4, 6)
    weight = torch.randn(4, 6)
    quantizer = BinaryCodingQuant(1, importance=importance, alpha="float")
    assert torch.equal(quantizer.state_dict()["importance"], importance)
    alpha = (importance * weight.abs()).sum(dim=1) / importance.sum(dim=1)
    assert torch.allclose(quantizer.code(weight)[0].alpha[:, 0], alpha)
    with pytest.raises(ValueError, match=r"importance has shape \(4, 6\), the weight \(6, 4\)$"):
        quantizer(weight.T)
    assert "importance" not in BinaryCodingQuant(1).state_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"planes": 0}, "planes must be 1 to 8, got 0"),
        ({"planes": 9}, "planes must be 1 to 8, got 9"),
        ({"alpha_bits": 0}, "alpha_bits must be 1 to 12, got 0"),
        (
            {"method": "best"},
            "method='best' is none of greedy, refit, refined, alternating, shifted",
        ),
        ({"alpha": "int"}, "alpha='int' is none of float, fixed, pot"),
        ({"group": "column"}, "group='column' is none of row, slice, a number >= 1"),
        ({"group": 0}, "group=0 is none of row, slice, a number >= 1"),
        ({"importance": "l2"}, "importance='l2' is none of l1, a tensor"),
        ({"rounds": -1}, "rounds must be >= 0, got -1"),
    ],
)
def test_option_out_of_range_says_what_is_allowed(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        BinaryCodingQuant(**{"planes": 2, **options})
    assert str(error.value) == f"planes quantizer: {message}"


def test_groups_must_divide_the_weights_of_an_output():
    with pytest.raises(ValueError, match=r"group=5 must divide the 12 weights of an output$"):
        BinaryCodingQuant(2, group=5)(torch.randn(2, 3, 2, 2))


def test_a_weight_in_the_middle_of_two_levels_goes_up():
    alpha = torch.tensor([[2.0, 1.0]])
    weight = torch.tensor([[-2.0, 0.0, 2.0, -2.0001, -0.0]])
    assert nearest_code(weight, alpha).values().tolist() == [[-1, 1, 3, -3, 1]]
