from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from popshift.models.layers import (
    FixedIntervalAct,
    FixedIntervalConv2d,
    FixedIntervalLinear,
    LearnedIntervalAct,
    LearnedIntervalConv2d,
    LearnedIntervalLinear,
)
from popshift.models.quant import FixedIntervalQuant, LearnedIntervalQuant, UnitInterval, ap2
from popshift.models.quant.fixed_interval import grid_integers
from popshift.models.quant.learned_interval import ElementwiseGradientSTE


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize(
    ("bits", "grid", "levels"),
    [
        (2, "mid-tread", [-1, 0, 1]),
        (3, "mid-tread", [-3, -2, -1, 0, 1, 2, 3]),
        (2, "mid-rise", [-3, -1, 1, 3]),
        (2, "unsigned", [0, 1, 2, 3]),
        (3, "unsigned", list(range(8))),
    ],
)
def test_level_sets(bits, grid, levels):
    quantizer = FixedIntervalQuant(bits, grid)
    x = torch.linspace(-1.5, 1.5, 3001)
    value, scale, zero_point, width = quantizer(x)
    assert (value / scale).round().unique().tolist() == levels
    assert value.max() == pytest.approx(1.0)
    assert float(zero_point) == 0
    low, high = levels[0], levels[-1]
    signed = grid != "unsigned"
    assert high < 2 ** (int(width) - signed) <= 2 * (high + 1)
    assert low >= -(2 ** (int(width) - 1))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("grid", ["mid-tread", "mid-rise", "unsigned"])
@pytest.mark.parametrize("bound", [1.0, 0.37])
def test_values_are_the_nearest_levels(bits, grid, bound, rng):
    x = torch.from_numpy(rng.uniform(-1.5, 1.5, size=500).astype(np.float32)) * bound
    value, scale, *_ = FixedIntervalQuant(bits, grid, bound)(x)
    levels = torch.tensor(list(grid_integers(bits, grid))) * scale
    nearest = (x[:, None] - levels).abs().min(dim=1).values
    assert torch.allclose((x - value).abs(), nearest, rtol=0, atol=1e-6)
    again, *_ = FixedIntervalQuant(bits, grid, bound)(value)
    assert torch.equal(again, value)


def test_wrpn_formulas():
    a = torch.tensor([-1.0, 0.1, 0.17, 0.49, 0.51, 0.84, 7.0])
    value, *_ = FixedIntervalQuant(2, "unsigned")(a)
    assert (3 * value).round().tolist() == [0, 0, 1, 1, 2, 3, 3]
    w = torch.tensor([-3.0, -0.51, -0.49, 0.49, 0.51, 1.0])
    value, *_ = FixedIntervalQuant(2, "mid-tread")(w)
    assert value.tolist() == [-1, -1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("grid", "expected"),
    [("unsigned", [0, 0, 1, 1, 1, 0]), ("mid-tread", [0, 1, 1, 1, 1, 0])],
)
def test_no_gradient_outside_the_interval(grid, expected):
    x = torch.tensor([-1.1, -0.9, 0.0, 0.4, 1.0, 1.1], requires_grad=True)
    value, *_ = FixedIntervalQuant(2, grid)(x)
    value.sum().backward()
    assert x.grad.tolist() == expected


@pytest.mark.parametrize(("bits", "grid"), [(2, "mid-tread"), (4, "mid-rise")])
def test_layers_quantize_as_the_quantizer(bits, grid):
    torch.manual_seed(0)
    for layer in (
        FixedIntervalLinear(20, 5, bits=bits, grid=grid),
        FixedIntervalConv2d(2, 5, 3, bits=bits, grid=grid),
    ):
        value, *_ = FixedIntervalQuant(bits, grid)(layer.weight)
        assert torch.equal(layer.quant_weight().value, value)
        integers = layer.quant_weight().int()
        assert set(integers.unique().tolist()) == set(grid_integers(bits, grid))


def test_approximate_powers_of_two():
    x = torch.tensor([3.0, 2.8, -0.3, 1.41, 1.42, 0.0, -1.0, 2.0**-20])
    assert ap2(x).tolist() == [4.0, 2.0, -0.25, 1.0, 2.0, 0.0, -1.0, 2.0**-20]
    ratio = (ap2(torch.logspace(-3, 3, 1000)) / torch.logspace(-3, 3, 1000)).log2().abs()
    assert ratio.max() <= 0.5 + 1e-6  # a factor sqrt(2) at most


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "bits must be 2 to 8, got 1"),
        ({"bits": 9}, "bits must be 2 to 8, got 9"),
        ({"grid": "even"}, "grid='even' is none of mid-tread, mid-rise, unsigned"),
        ({"bound": 0.0}, "bound must be > 0 and finite, got 0.0"),
        ({"bound": math.inf}, "bound must be > 0 and finite, got inf"),
    ],
)
def test_option_out_of_range_says_what_is_allowed(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        FixedIntervalQuant(**{"bits": 2, "grid": "unsigned", **options})
    assert str(error.value) == f"interval quantizer: {message}"


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_interval_weights_have_all_odd_levels_and_no_zero(bits):
    torch.manual_seed(0)
    for layer in (
        LearnedIntervalLinear(60, 20, bits=bits),
        LearnedIntervalConv2d(6, 20, 3, bits=bits),
    ):
        quantized = layer.quant_weight()
        integers = (quantized.value / quantized.scale).round()
        top = 2**bits - 1
        assert integers.unique().tolist() == list(range(-top, top + 1, 2))
        assert len(integers.unique()) == 2**bits
        assert torch.equal(integers * quantized.scale, quantized.value)
        assert float(quantized.scale) == pytest.approx(1 / top)
        assert int(quantized.bit_width) == bits + 1
        # three standard deviations of the weights
        assert layer.weight_quant.tensor_quant.upper.item() == pytest.approx(
            3 * layer.weight.std().item(), rel=1e-6
        )


def test_interval_weights_follow_the_formula(rng):
    quantizer = LearnedIntervalQuant(2)
    with torch.no_grad():
        quantizer.lower.fill_(-0.7)
        quantizer.upper.fill_(1.3)
    w = torch.from_numpy(rng.normal(size=500).astype(np.float32))
    v = ((w + 0.7) / 2).clamp(0, 1)
    expected = 2 * ((v * 3).round() / 3 - 0.5)
    value, *_ = quantizer(w)
    assert torch.allclose(value, expected, rtol=0, atol=1e-6)


def test_gradients_of_weight_and_interval():
    quantizer = LearnedIntervalQuant(2)
    w = torch.tensor([-1.5, -0.25, 0.5, 2.0], requires_grad=True)
    upstream = torch.tensor([1.0, 2.0, -3.0, 4.0])
    quantizer(w)[0].backward(upstream)
    # value = 2 v - 1 with v = (w - lower) / (upper - lower), only inside
    assert w.grad.tolist() == [0, 2, -3, 0]
    inside = [(-0.25, 2.0), (0.5, -3.0)]
    assert quantizer.lower.grad.item() == pytest.approx(sum(-g * (1 - w) / 2 for w, g in inside))
    assert quantizer.upper.grad.item() == pytest.approx(sum(-g * (w + 1) / 2 for w, g in inside))


def test_elementwise_gradient_scaling():
    v = torch.tensor([0.1, 0.4, 0.9, 1.2], requires_grad=True)
    upstream = torch.tensor([2.0, -1.0, 3.0, 1.0])
    y = ElementwiseGradientSTE.apply(v, 3, 0.2)
    y.backward(upstream)
    expected = [
        2.0 * (1 + 0.2 * (0.1 - 0.0)),
        -1.0 * (1 - 0.2 * (0.4 - 1 / 3)),
        3.0 * (1 + 0.2 * (0.9 - 1.0)),
        0.0,
    ]
    assert v.grad.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_first_batch_sets_the_interval_of_an_activation(rng):
    act = LearnedIntervalAct(2)
    x = torch.from_numpy(rng.normal(size=4000).astype(np.float32))
    act.eval()
    act(x)
    assert not act.interval.is_set
    act.train()
    act(x)
    upper = act.interval.upper.item()
    rectified = x.relu()
    assert act.interval.lower.item() == 0
    assert upper == pytest.approx(3 * rectified.std().item() / math.sqrt(1 - 2 / math.pi), rel=1e-5)
    act(100 * x)
    assert act.interval.upper.item() == upper
    levels = act(torch.linspace(-1, 2 * upper, 1000)).detach()
    assert (3 * levels).round().unique().tolist() == [0, 1, 2, 3]
    assert torch.equal(act(torch.tensor([-5.0, 0.0])), torch.zeros(2))


def test_an_interval_of_equal_values_keeps_a_width():
    interval = UnitInterval()
    interval(torch.ones(5))
    assert interval.upper > interval.lower
    assert torch.isfinite(interval(torch.ones(5))).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "bits must be 1 to 7, got 0"),
        ({"bits": 8}, "bits must be 1 to 7, got 8"),
        ({"scaling": 1.0}, "scaling must be in [0, 1), got 1.0"),
        ({"scaling": -0.1}, "scaling must be in [0, 1), got -0.1"),
    ],
)
def test_interval_option_out_of_range_says_what_is_allowed(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        LearnedIntervalQuant(**{"bits": 2, **options})
    assert str(error.value) == f"learned interval: {message}"


def test_products_of_odd_weights_and_unsigned_inputs_are_sums_over_planes(rng):
    """W.a = sum_ij 2^(i+j) (2 pop(B_i & a_j) - pop(a_j)), arXiv:2208.01944."""
    torch.manual_seed(0)
    layer = LearnedIntervalLinear(50, 4, bits=2)
    quantized = layer.quant_weight()
    weight = (quantized.value / quantized.scale).round().long().detach().numpy()
    codes = rng.integers(0, 4, size=50)
    total = 0
    for i in range(2):
        plane = ((weight + 3) // 2 >> i) & 1
        for j in range(2):
            bits = codes >> j & 1
            total = total + 2 ** (i + j) * (2 * (plane & bits).sum(axis=1) - bits.sum())
    np.testing.assert_array_equal(total, weight @ codes)


def test_activation_module_matches_quantizer():
    act = FixedIntervalAct(4, bound=0.7)
    x = torch.linspace(-1, 1, 101)
    assert torch.equal(act(x), FixedIntervalQuant(4, "unsigned", 0.7)(x)[0])
    assert isinstance(act, nn.Module)
