from __future__ import annotations

import numpy as np
import pytest
import torch

from popshift.models.layers import (
    BinaryConv2d,
    IntegerAct,
    IntegerConv2d,
    IntegerLinear,
    act_step,
    weight_step,
)
from popshift.models.quant import IntegerQuant, clip_latent_weights, latent_weights
from popshift.models.quant.integer import levels


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def convolve(x, weight, stride, dilation, groups):
    """The sum over taps and channels, window by window; ``x`` is padded already."""
    (height, width), (down, right) = x.shape[2:], dilation
    kernel_height, kernel_width = weight.shape[2:]
    rows = (height - down * (kernel_height - 1) - 1) // stride[0] + 1
    columns = (width - right * (kernel_width - 1) - 1) // stride[1] + 1
    out = np.zeros((len(x), len(weight), rows, columns))
    per_group = len(weight) // groups
    for channel in range(len(weight)):
        first = channel // per_group * weight.shape[1]
        for row in range(rows):
            for column in range(columns):
                window = x[:, first : first + weight.shape[1]]
                window = window[:, :, row * stride[0] :: down, column * stride[1] :: right]
                window = window[:, :, :kernel_height, :kernel_width]
                out[:, channel, row, column] = (window * weight[channel]).sum(axis=(1, 2, 3))
    return out


GEOMETRIES = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (1, 3), "padding": (2, 0), "stride": (2, 1)},
    {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (0, 1)},
    {"kernel_size": 2, "stride": 2, "groups": 2},
    {"kernel_size": 3, "padding": 1, "groups": 4},
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("kind", ["binary", "integer"])
def test_convolution_is_the_sum_over_the_padded_window(geometry, pad_value, kind, rng):
    if kind == "binary":
        layer = BinaryConv2d(4, 8, pad_value=pad_value, **geometry)
        weight = np.where(layer.weight.detach().numpy() < 0, -1.0, 1.0)
    else:
        layer = IntegerConv2d(4, 8, bits=2, pad_value=pad_value, **geometry)
        weight = np.rint(layer.weight.detach().numpy())
        assert set(np.unique(weight)) == {-1, 0, 1}
    x = rng.choice([-1.0, 1.0], (2, 4, 6, 7))
    rows, columns = layer_pair(geometry.get("padding", 0))
    sides = ((0, 0), (0, 0), (rows, rows), (columns, columns))
    padded = np.pad(x, sides, constant_values=pad_value)
    want = convolve(
        padded,
        weight,
        layer_pair(geometry.get("stride", 1)),
        layer_pair(geometry.get("dilation", 1)),
        geometry.get("groups", 1),
    )
    have = layer(torch.from_numpy(x.astype(np.float32))).detach().numpy()
    np.testing.assert_array_equal(have, want)


def layer_pair(size):
    return (size, size) if isinstance(size, int) else size


def test_bipolar_padding_keeps_every_accumulator_odd_or_even():
    """With 9 synapses sums of signs are odd; zeros at the border would make some even."""
    x = torch.ones(1, 1, 4, 4)
    for pad_value, parities in ((-1, {1}), (1, {1}), (0, {0, 1})):
        out = BinaryConv2d(1, 1, 3, padding=1, pad_value=pad_value)(x)
        assert set((out.detach().int() % 2).unique().tolist()) == parities


def test_binary_convolution_takes_its_clip():
    layer = BinaryConv2d(1, 1, 2, clip=0.5)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([-0.51, -0.5, 0.5, 0.51]).reshape(1, 1, 2, 2))
    layer(torch.ones(1, 1, 2, 2)).sum().backward()
    assert layer.weight.grad.flatten().tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("bits", "signed", "narrow", "ends"),
    [
        (2, True, True, (-1, 1)),
        (2, True, False, (-2, 1)),
        (2, False, False, (0, 3)),
        (4, True, True, (-7, 7)),
        (4, False, False, (0, 15)),
        (8, True, True, (-127, 127)),
        (8, False, True, (0, 254)),
    ],
)
def test_ends_of_integer_levels(bits, signed, narrow, ends):
    assert levels(bits, signed=signed, narrow_range=narrow) == ends
    quant = IntegerQuant(bits=bits, scale=0.25, signed=signed, narrow_range=narrow)
    value, scale, zero_point, width = quant(torch.tensor([-1e9, 1e9]))
    assert (value / scale).tolist() == list(ends)
    assert (float(zero_point), int(width)) == (0.0, bits)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("signed", [True, False])
def test_activation_is_the_nearest_level(bits, signed, rng):
    act = IntegerAct(bits, signed=signed)
    step, (low, high) = (
        act_step(bits, signed=signed),
        levels(bits, signed=signed, narrow_range=signed),
    )
    ties = np.arange(low - 2, high + 2) + 0.5
    x = np.concatenate([rng.normal(size=200) * 3, ties * step, [0.0]]).astype(np.float32)
    want = np.clip(np.rint(x / step), low, high)
    have = act(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_array_equal(have / step, want)
    assert {low, high} <= set(want)


@pytest.mark.parametrize(("bits", "signed"), [(2, True), (2, False), (4, True)])
def test_gradient_stops_where_the_activation_saturates(bits, signed):
    act, step = IntegerAct(bits, signed=signed, scale=0.5), 0.5
    low, high = levels(bits, signed=signed, narrow_range=signed)
    ends = [(low - 0.5) * step, (high + 0.5) * step]
    x = torch.tensor(
        [ends[0] - 0.01, ends[0], 0.0, 0.3, ends[1], ends[1] + 0.01], requires_grad=True
    )
    act(x).backward(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 0]


def test_integer_weights_are_ternary_at_two_bits_and_get_the_plain_gradient(rng):
    layer = IntegerLinear(3, 2, bits=2)
    latent = torch.tensor([[-1.0, -0.5, -0.49], [0.5, 0.51, 1.0]])
    with torch.no_grad():
        layer.weight.copy_(latent)
    x = torch.from_numpy(rng.integers(-3, 4, (4, 3)).astype(np.float32))
    upstream = torch.from_numpy(rng.integers(-3, 4, (4, 2)).astype(np.float32))
    out = layer(x)
    out.backward(upstream)
    ternary = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])  # ties go to even
    assert torch.equal(out, x @ ternary.T)
    assert torch.equal(layer.weight.grad, upstream.T @ x)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_integer_weights_fill_the_range_of_the_latent_ones(bits):
    layer = IntegerLinear(60, 50, bits=bits)
    quantized = layer.quant_weight()
    integers = quantized.value / quantized.scale
    high = 2 ** (bits - 1) - 1
    assert torch.equal(integers, integers.round())
    assert (int(integers.min()), int(integers.max())) == (-high, high)
    assert high * weight_step(bits) <= 1 < (high + 1) * 2 * weight_step(bits)


def test_latent_weights_of_all_quantized_layers_are_clipped_to_their_levels():
    layers = [BinaryConv2d(1, 1, 1), IntegerConv2d(1, 1, 1, bits=2), IntegerLinear(1, 1, bits=4)]
    net = torch.nn.Sequential(*layers, torch.nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        for layer in net:
            layer.weight.fill_(3.0)
    clip_latent_weights(latent_weights(net))
    assert [layer.weight.max().item() for layer in net] == [1.0, 1.0, 0.875, 3.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "integer quantizer: bits must be 2 to 8, got 1"),
        ({"bits": 9}, "integer quantizer: bits must be 2 to 8, got 9"),
        ({"scale": 0.3}, "integer quantizer: scale must be a power of two, got 0.3"),
        ({"scale": 0.0}, "integer quantizer: scale must be a power of two, got 0.0"),
        ({"scale": -1.0}, "integer quantizer: scale must be a power of two, got -1.0"),
        ({"scale": float("inf")}, "integer quantizer: scale must be a power of two, got inf"),
    ],
)
def test_quantizer_out_of_range_says_what_is_allowed(options, message):
    arguments = {"bits": 2, "scale": 1.0, "signed": True, "narrow_range": True, **options}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        IntegerQuant(**arguments)
    assert str(error.value) == message
