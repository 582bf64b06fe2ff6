from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from qonnx.custom_op.general.multithreshold import multithreshold

from popshift.models.layers import CodebookAct, LogAct, ShiftedSignsAct
from popshift.models.quant import ap2
from popshift.models.quant.codebook import CodebookQuant, FixedStaircaseQuant, ShiftedSignsQuant


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def acts():
    shifted = ShiftedSignsAct(3)
    with torch.no_grad():
        shifted.act_quant.fused_activation_quant_proxy.tensor_quant.shift.copy_(
            torch.tensor([0.1, 1.3, 0.1])
        )
    return [
        CodebookAct(),
        CodebookAct((9, 5, 2), step=0.125),
        CodebookAct((1,), step=1.0),
        LogAct(2, step=0.5),
        LogAct(3, step=0.25, signed=True),
        ShiftedSignsAct(1),
        ShiftedSignsAct(5),
        shifted,
    ]


def values_at_all_places(stairs, rng):
    """Values on, just below and between the thresholds, and far outside."""
    edges = stairs.thresholds
    below = torch.nextafter(edges, torch.tensor(-math.inf))
    return torch.cat([edges, below, torch.from_numpy(rng.normal(size=300).astype(np.float32)) * 3])


@pytest.mark.parametrize("act", acts(), ids=lambda act: type(act).__name__)
def test_values_are_the_levels_of_the_staircase(act, rng):
    stairs = act.staircase()
    x = values_at_all_places(stairs, rng)
    expected = [
        stairs.step * int(stairs.levels[sum(float(v) >= float(t) for t in stairs.thresholds)])
        for v in x
    ]
    assert act.eval()(x).tolist() == expected
    assert act.train()(x).tolist() == expected
    with torch.no_grad():
        assert act(x).tolist() == expected
    assert {stairs.step * int(level) for level in stairs.levels} == set(expected)


@pytest.mark.parametrize("act", acts(), ids=lambda act: type(act).__name__)
def test_repeated_thresholds_make_it_a_multithreshold(act, rng):
    stairs = act.staircase()
    thresholds, unit, base = stairs.repeated_thresholds()
    x = values_at_all_places(stairs, rng).numpy()[None]
    have = multithreshold(
        x, thresholds.numpy()[None], stairs.step * unit, stairs.step * base, channels_last=True
    )
    np.testing.assert_array_equal(have[0], act(torch.from_numpy(x[0])).detach().numpy())
    assert base % unit == 0
    assert len(thresholds) * unit == int(stairs.levels[-1] - stairs.levels[0])


@pytest.mark.parametrize("act", acts(), ids=lambda act: type(act).__name__)
def test_the_stated_width_holds_both_ends(act):
    act.return_quant_tensor = True
    quantized = act.eval()(torch.tensor([-1e6, 0.0, 1e6]))
    stairs = act.staircase()
    width = int(quantized.bit_width)
    ends = [int(stairs.levels[0]), int(stairs.levels[-1])]
    low = 0 if ends[0] >= 0 else -(2 ** (width - 1))
    assert low <= ends[0]
    assert ends[1] <= low + 2**width - 1
    assert (quantized.value / quantized.scale).tolist()[::2] == ends
    assert width == stairs.bits


def test_codebook_is_the_nearest_sum_of_planes(rng):
    x = torch.from_numpy(rng.normal(size=1000).astype(np.float32)) * 3
    levels = sorted(a * 9 + b * 5 + c * 2 for a in (-1, 1) for b in (-1, 1) for c in (-1, 1))
    value, *_ = CodebookQuant((9, 5, 2), 0.125)(x)
    nearest = (x[:, None] - torch.tensor(levels) * 0.125).abs().min(dim=1).values
    assert torch.equal((x - value).abs(), nearest)


def test_codebooks_by_default_are_near_the_best_for_normal_values(rng):
    x = torch.from_numpy(rng.normal(size=200_000).astype(np.float32))
    # the best uniform quantizers of 4 and 8 levels leave 0.1188 and 0.0374
    for act, limit in ((CodebookAct(), 0.120), (CodebookAct((4, 2, 1), step=0.25), 0.044)):
        assert (x - act(x)).square().mean().item() < limit


def test_log_levels_switch_where_approximate_powers_do():
    x = torch.linspace(0.36, 8, 2000)
    assert torch.equal(LogAct(3, step=0.5)(x), ap2(x))
    signed = LogAct(3, step=0.5, signed=True)
    assert signed.staircase().levels.tolist() == [-4, -2, -1, 0, 1, 2, 4]
    assert signed(torch.tensor([-9.0, -0.36, -0.35, 0.35, 0.36])).tolist() == [-2, -0.5, 0, 0, 0.5]
    assert LogAct(2, step=1.0).staircase().levels.tolist() == [0, 1, 2, 4]


def test_gradient_stops_beyond_the_outer_levels():
    x = torch.tensor([-2.01, -2.0, 0.3, 2.0, 2.01], requires_grad=True)
    CodebookAct((2, 1), step=0.5)(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    x = torch.tensor([-1.0, 0.1, 4.6, 9.0], requires_grad=True)
    LogAct(2, step=1.0)(x).sum().backward()
    # below the least switch as much as it is above zero, above the largest likewise
    assert x.grad.tolist() == [0, 1, 1, 0]


def test_one_shifted_sign_is_a_sign():
    quantizer = ShiftedSignsQuant(1)
    assert quantizer.shift.tolist() == [0.5]
    with torch.no_grad():
        quantizer.beta.fill_(1.0)
    x = torch.tensor([-1.0, -0.0, 0.0, 1e-30, 2.0])
    assert quantizer(x)[0].tolist() == [-1, 1, 1, 1, 1]


def test_gradients_of_shifted_signs():
    quantizer = ShiftedSignsQuant(2)
    with torch.no_grad():
        quantizer.shift.copy_(torch.tensor([0.2, 1.0]))
        quantizer.beta.copy_(torch.tensor([0.5, 0.26]))
    x = torch.tensor([-0.5, 0.1, 3.0], requires_grad=True)
    upstream = torch.tensor([1.0, 2.0, 4.0])
    value, scale, *_ = quantizer(x)
    value.backward(upstream)
    # x + v: (-.3, .5), (.3, 1.1), (3.2, 4): inside [0, 1] are the second of the first, first of the second
    assert x.grad.tolist() == [0.25, 2 * 0.5, 0]  # 0.26 is rounded to 4/16
    assert quantizer.shift.grad.tolist() == [2 * 0.5, 0.25]
    # signs at x + v >= 1/2: (-, +), (-, +), (+, +)
    assert quantizer.beta.grad.tolist() == [-1 - 2 + 4, 1 + 2 + 4]
    assert value.tolist() == [-0.25, -0.25, 0.75]
    assert float(scale) == 1 / 16


def test_scales_of_shifted_signs_stay_positive():
    quantizer = ShiftedSignsQuant(2)
    with torch.no_grad():
        quantizer.beta.fill_(-3.0)
    assert quantizer.staircase().levels.tolist() == [-2, 0, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CodebookAct(()), "codebook quantizer: beta must be 1 to 8 integers >= 1, got ()"),
        (
            lambda: CodebookAct((2, 0)),
            "codebook quantizer: beta must be 1 to 8 integers >= 1, got (2, 0)",
        ),
        (lambda: CodebookAct((1, 1)), "codebook quantizer: sums of beta=(1, 1) must differ"),
        (
            lambda: CodebookAct((2, 1), step=0.3),
            "staircase quantizer: step must be a power of two, got 0.3",
        ),
        (lambda: LogAct(5, step=1.0), "log quantizer: bits must be 2 to 4, got 5"),
        (lambda: LogAct(1, step=1.0), "log quantizer: bits must be 2 to 4, got 1"),
        (lambda: ShiftedSignsAct(0), "shifted signs: planes must be 1 to 8, got 0"),
        (
            lambda: ShiftedSignsQuant(1, 0.3),
            "shifted signs: step must be a power of two, got 0.3",
        ),
        (
            lambda: FixedStaircaseQuant((0, 1, 2), (0.5,), 1.0),
            "staircase quantizer: 3 levels need one threshold fewer, got 1",
        ),
        (
            lambda: FixedStaircaseQuant((0, 0), (0.5,), 1.0),
            "staircase quantizer: levels must ascend, got (0, 0)",
        ),
        (
            lambda: FixedStaircaseQuant((0, 1, 2), (0.5, 0.5), 1.0),
            "staircase quantizer: thresholds must ascend, got (0.5, 0.5)",
        ),
    ],
)
def test_option_out_of_range_says_what_is_allowed(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        make()
    assert message in str(error.value)
