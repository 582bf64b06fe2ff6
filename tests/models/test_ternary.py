from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from popshift.models.layers import TernaryConv2d, TernaryLinear
from popshift.models.quant import TernaryQuant, cosine_threshold, twn_threshold
from popshift.models.quant.ternary import ternary_pattern, ternary_scale


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def cosine(weight, pattern):
    return (weight * pattern).sum(dim=1) / (weight.norm(dim=1) * pattern.norm(dim=1))


def test_the_cosine_threshold_is_the_best_of_all_ternary_vectors(rng):
    weight = torch.from_numpy(rng.normal(size=(200, 7)))
    patterns = torch.tensor(list(product((-1.0, 0.0, 1.0), repeat=7)), dtype=torch.float64)
    patterns = patterns[patterns.abs().sum(dim=1) > 0]
    cosines = weight @ patterns.T / (weight.norm(dim=1)[:, None] * patterns.norm(dim=1))
    have = ternary_pattern(weight, cosine_threshold(weight))
    assert torch.equal(have, patterns[cosines.argmax(dim=1)])


def test_the_best_cosine_is_the_least_squared_error(rng):
    weight = torch.from_numpy(rng.normal(size=(20, 50)))
    pattern = ternary_pattern(weight, cosine_threshold(weight))
    alpha = ternary_scale(weight, pattern)
    error = (weight - alpha[:, None] * pattern).square().sum(dim=1)
    assert torch.allclose(error, weight.square().sum(dim=1) * (1 - cosine(weight, pattern) ** 2))
    twn = ternary_pattern(weight, twn_threshold(weight))
    twn_error = (weight - ternary_scale(weight, twn)[:, None] * twn).square().sum(dim=1)
    assert (error <= twn_error).all()


def test_normal_weights_have_the_known_cosine_and_threshold():
    weight = torch.from_numpy(np.random.default_rng(0).standard_normal(10**6))[None]
    threshold = cosine_threshold(weight)
    best = cosine(weight, ternary_pattern(weight, threshold))
    assert threshold.item() == pytest.approx(0.612, abs=0.003)
    assert best.item() == pytest.approx(0.900, abs=0.0005)
    assert 1 - best.item() ** 2 == pytest.approx(0.190, abs=0.001)


@pytest.mark.parametrize("rule", [twn_threshold, cosine_threshold])
def test_scaling_the_weights_keeps_the_pattern(rule, rng):
    weight = torch.from_numpy(rng.normal(size=(10, 40)))
    assert torch.equal(
        ternary_pattern(weight, rule(weight)), ternary_pattern(4 * weight, rule(4 * weight))
    )


def test_twn_of_known_weights():
    weight = torch.tensor([[1.0, -0.5, 0.25, 0.0, -0.75, 0.5]])
    assert twn_threshold(weight).item() == pytest.approx(0.35)
    pattern = ternary_pattern(weight, twn_threshold(weight))
    assert pattern.tolist() == [[1, -1, 0, 0, -1, 1]]
    assert ternary_scale(weight, pattern).tolist() == [0.6875]


@pytest.mark.parametrize("threshold", ["twn", "cosine", "learned"])
@pytest.mark.parametrize("per", ["tensor", "row"])
def test_weights_are_minus_alpha_zero_alpha(threshold, per):
    torch.manual_seed(0)
    for layer in (
        TernaryLinear(40, 6, threshold=threshold, per=per),
        TernaryConv2d(4, 6, 3, threshold=threshold, per=per),
    ):
        quantized = layer.quant_weight()
        integers = quantized.value / quantized.scale
        assert set(integers.unique().tolist()) == {-1.0, 0.0, 1.0}
        assert int(quantized.bit_width) == 2
        assert quantized.scale.numel() == (6 if per == "row" else 1)
        rows = 6 if per == "row" else 1
        latent, pattern = (t.reshape(rows, -1).detach() for t in (layer.weight, integers))
        assert torch.allclose(quantized.scale.flatten(), ternary_scale(latent, pattern))


def test_a_row_of_zeros_stays_zero_under_scale_one():
    value, scale, *_ = TernaryQuant((2, 3), "cosine", "row")(
        torch.tensor([[0.0, 0, 0], [0.0, 2, 0]])
    )
    assert value.tolist() == [[0, 0, 0], [0, 2, 0]]
    assert scale.flatten().tolist() == [1, 2]


def test_gradients_of_weights_and_threshold():
    quantizer = TernaryQuant((1, 5), "learned")
    weight = torch.tensor([[2.0, -0.5, 0.1, -0.02, 0.38]], requires_grad=True)
    upstream = torch.tensor([[1.0, 2.0, -3.0, 4.0, 0.5]])
    value, alpha, *_ = quantizer(weight)
    value.backward(upstream)
    assert torch.equal(weight.grad, upstream)
    threshold = 0.7 * 0.6  # of the mean magnitude
    assert alpha.item() == pytest.approx(1.25)
    inside = [(2.0, -1), (-3.0, 1), (4.0, -1), (0.5, 1)]  # upstream and sign within 0.84
    slope = -1.25 * sum(g * s for g, s in inside) / (2 * threshold)
    # the trained parameter is the logarithm of the share of the mean
    assert quantizer.log_share.grad.item() == pytest.approx(slope * threshold)


def test_pruned_weights_are_zero_and_get_no_gradient():
    quantizer = TernaryQuant((2, 3), "twn")
    quantizer.kept[0, 1] = False
    weight = torch.tensor([[1.0, 9.0, -1.0], [1.0, 0.1, 1.0]], requires_grad=True)
    value, *_ = quantizer(weight)
    assert value[0, 1] == 0
    assert value.abs().max() == 1  # the pruned weight has no part in alpha
    value.sum().backward()
    assert weight.grad.tolist() == [[1, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": "half"}, "threshold='half' is none of twn, cosine, learned"),
        ({"per": "column"}, "per='column' is none of tensor, row"),
    ],
)
def test_option_out_of_range_says_what_is_allowed(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        TernaryQuant((2, 2), **options)
    assert str(error.value) == f"ternary quantizer: {message}"
