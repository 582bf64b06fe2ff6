from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from brevitas.nn import QuantLinear
from qonnx.custom_op.general.floatquant import float_quant

from popshift.models.layers import PowerOfTwo, ShiftConv2d, ShiftLinear, ShiftSign
from popshift.models.quant import PowerOfTwoQuant, PowerOfTwoWeightQuant
from popshift.models.quant.power_of_two import nearest_exponent, powers_of_two

DTYPES = [torch.float32, torch.float64]


def exponent_by_squares(value):
    """round(log2 |value|) by whole numbers: sqrt(2) * 2^k is passed where the square passes 2^(2k+1)."""
    square, k = Fraction(value) ** 2, 0
    while square >= 2 * Fraction(4) ** k:
        k += 1
    while square < 2 * Fraction(4) ** (k - 1):
        k -= 1
    return k


def neighbours(value, dtype):
    """The numbers of ``dtype`` around ``value``."""
    kind = np.float32 if dtype == torch.float32 else np.float64
    middle = kind(value)
    return [float(np.nextafter(middle, kind(d))) for d in (0, math.inf)] + [float(middle)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_logarithmic_rounding_is_exact_at_every_switch(dtype):
    values = [v for k in range(-20, 21) for v in neighbours(math.sqrt(2) * 2.0**k, dtype)]
    values += [-v for v in values] + [2.0**k for k in range(-20, 21)]
    have = nearest_exponent(torch.tensor(values, dtype=dtype), "log").tolist()
    assert have == [exponent_by_squares(value) for value in values]
    assert len(set(have)) == 42


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_rounding_switches_upwards_at_one_and_a_half(dtype):
    values = [v for k in range(-20, 21) for v in neighbours(1.5 * 2.0**k, dtype)]
    have = nearest_exponent(torch.tensor(values, dtype=dtype), "linear").tolist()
    assert have == [e for k in range(-20, 21) for e in (k, k + 1, k + 1)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_are_exact(dtype):
    exponents = torch.arange(-31, 32)
    assert powers_of_two(exponents, -31, 31, dtype).tolist() == [2.0**e for e in range(-31, 32)]


def quantized(quant, values):
    return quant.eval()(torch.tensor(values))[0].tolist()


def test_published_values():
    """The log domain, not the linear one: 1.41 goes to 1, 1.42 to 2, which a top of 1 clips."""
    weights = [0.7, 0.71, 0.3, 0.36, 1.42, 1.41]
    assert quantized(PowerOfTwoQuant(5), weights) == [0.5, 1, 0.25, 0.5, 1, 1]
    assert quantized(PowerOfTwoQuant(5, exp_max=1), weights) == [0.5, 1, 0.25, 0.5, 2, 1]


def test_zero_stays_zero_and_signs_stay():
    values = [0.0, -0.0, -0.3, -1e-30, 1e-30, -7.0]
    assert quantized(PowerOfTwoQuant(3), values) == [0, 0, -0.25, -0.125, 0.125, -1]


@pytest.mark.parametrize(
    ("rounding", "switch"), [("log", math.sqrt(0.5) / 8), ("linear", 0.75 / 8)]
)
def test_a_zero_code_takes_what_is_nearer_to_lower_powers(rounding, switch):
    quant = PowerOfTwoQuant(4, exp_min=-3, allow_zero=True, rounding=rounding)
    below, above, _ = neighbours(switch, torch.float32)
    assert quantized(quant, [below, -below, above, -above]) == [0, 0, 0.125, -0.125]


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_number_of_weights_and_their_ends(bits):
    powers = 2.0 ** torch.arange(-20, 2)
    values = torch.cat([torch.linspace(-2, 2, 4000), powers, -powers, torch.zeros(1)])
    have = set(PowerOfTwoQuant(bits).eval()(values)[0].tolist())
    powers = {2.0**e for e in range(1 - 2 ** (bits - 1), 1)}
    assert have == powers | {-p for p in powers} | {0.0}
    assert len(have - {0.0}) == 2**bits
    with_zero = PowerOfTwoQuant(bits, allow_zero=True).eval()(values)[0]
    assert len(with_zero.unique()) == 2**bits - 1


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_weights_are_integers_of_their_scale_and_bit_width(bits):
    layer = ShiftLinear(300, 4, form=PowerOfTwo(bits=bits))
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape) * 2.0 ** torch.arange(-74.0, 1, 0.25))
    weight = layer.quant_weight()
    integers = weight.value / weight.scale
    assert torch.equal(integers, integers.round())
    reach = 2 ** (2 ** (bits - 1) - 1)
    assert (integers.abs().min(), integers.abs().max()) == (1, reach)
    width = int(weight.bit_width)
    assert 2 ** (width - 1) - 1 >= reach > 2 ** (width - 2) - 1  # symmetric, no bit to spare
    assert float(weight.scale) == 1 / reach


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
@pytest.mark.parametrize("synapses", [4, 256])
def test_first_weights_have_several_exponents(bits, synapses):
    layer = ShiftLinear(synapses, 400, form=PowerOfTwo(bits=bits))
    bound = float(layer.weight.detach().abs().max())
    least = 2.0 ** (1 - 2 ** (bits - 1))
    assert bound == pytest.approx(min(1, max(synapses**-0.5, 4 * least)), rel=0.01)
    assert len(layer.quant_weight().value.abs().unique()) >= 2


def test_gradient_is_the_upstream_one_even_where_weights_are_clipped():
    x = torch.tensor([-9.0, -0.3, 0.0, 1e-9, 0.7, 9.0], requires_grad=True)
    upstream = torch.tensor([1.0, -2.0, 3.0, -4.0, 5.0, -6.0])
    PowerOfTwoQuant(3).eval()(x)[0].backward(upstream)
    assert torch.equal(x.grad, upstream)


def test_latent_weights_are_clamped_in_training_only():
    latent = [-9.0, -0.3, 0.0, 1e-9, -1e-9, 9.0]
    layer = ShiftLinear(6, 1, form=PowerOfTwo(bits=3))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([latent]))
    layer.eval()(torch.ones(1, 6))
    assert layer.weight.tolist() == torch.tensor([latent]).tolist()
    before = layer.quant_weight().value
    layer.train()(torch.ones(1, 6))
    clamped = torch.tensor([[-1.0, -0.3, 0.0, 0.125, -0.125, 1.0]])
    assert torch.equal(layer.weight, clamped)
    assert torch.equal(layer.quant_weight().value, before)


def test_with_a_zero_small_latent_weights_stay():
    layer = ShiftLinear(2, 1, form=PowerOfTwo(bits=3, allow_zero=True))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1e-3, 3.0]]))
    layer.train()(torch.ones(1, 2))
    assert torch.equal(layer.weight, torch.tensor([[1e-3, 1.0]]))


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_weights_are_fixed_points_of_qonnx_float_quant(bits):
    """With b bits of which one code is zero: b-1 exponent bits, no mantissa."""
    largest = 2 - 2 ** (bits - 1)
    weights = np.array([s * 2.0**e for s in (-1, 1) for e in range(largest, 1)] + [0.0])
    numbers = (np.float32(n) for n in (1.0, bits - 1, 0, 2 ** (bits - 1) - 1))
    have = float_quant(weights.astype(np.float32), *numbers, signed=True, max_val=1.0)
    np.testing.assert_array_equal(have, weights)
    layer = ShiftLinear(400, 2, form=ShiftSign(bits=bits))
    assert set(layer.quant_weight().value.unique().tolist()) == set(weights.tolist())


@pytest.mark.parametrize("form", [PowerOfTwo(bits=5), PowerOfTwo(bits=3), ShiftSign(bits=4)])
def test_shifts_and_additions_give_the_bits_of_the_float_convolution(form):
    """All shifts are left shifts once the layer is multiplied by 2^-P_min; nothing is rounded."""
    torch.manual_seed(1)
    layer = ShiftConv2d(3, 5, 3, form=form, padding=1)
    x = torch.randint(-8, 8, (2, 3, 6, 5))
    x[0, 0, 0, :2] = torch.tensor([-8, 7])
    quantized = layer.quant_weight()
    exp_min = int(torch.log2(quantized.scale))
    signs = torch.sign(quantized.value).long().numpy()
    exponents = np.where(signs, np.log2(np.abs(quantized.value.detach().numpy()) + (signs == 0)), 0)
    shifts = np.where(signs, exponents - exp_min, 0).astype(np.int64)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    accumulator = np.zeros((2, 5, 6, 5), np.int64)
    for out, channel, row, column in np.ndindex(*signs.shape):
        window = padded[:, channel, row : row + 6, column : column + 5]
        tap = signs[out, channel, row, column]
        accumulator[:, out] += tap * (window << shifts[out, channel, row, column])
    have = layer(x.float()).detach().double() / float(quantized.scale)
    np.testing.assert_array_equal(have.numpy(), accumulator)


def test_quantizer_of_brevitas_takes_its_options():
    layer = QuantLinear(
        3,
        1,
        bias=False,
        weight_quant=PowerOfTwoWeightQuant,
        weight_bits=3,
        weight_exp_max=2,
        weight_rounding="linear",
    )
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[9.0, 1.45, 0.1]]))
    assert layer.quant_weight().value.tolist() == [[4.0, 1.0, 0.5]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "bits must be 2 to 5, got 1"),
        ({"bits": 6}, "bits must be 2 to 5, got 6"),
        ({"rounding": "up"}, "rounding='up' is none of log, linear"),
        ({"bits": 3, "exp_min": -4}, "3 bits hold exponents from -3 to 0, got exp_min=-4"),
        ({"bits": 3, "exp_min": 1}, "3 bits hold exponents from -3 to 0, got exp_min=1"),
        (
            {"bits": 3, "exp_min": -3, "allow_zero": True},
            "3 bits hold exponents from -2 to 0, got exp_min=-3",
        ),
    ],
)
def test_options_out_of_range_say_what_is_allowed(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        PowerOfTwoQuant(**options)
    assert str(error.value) == f"power-of-two quantizer: {message}"
