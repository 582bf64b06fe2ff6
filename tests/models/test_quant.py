from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from popshift.models.layers import BinaryAct, BinaryLinear, PositiveScale
from popshift.models.quant import (
    BinaryQuant,
    clip_latent_weights,
    clipped_sign,
    latent_weights,
    sign,
)

EDGES = [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]


def values_with_zeros(rng, shape=(7, 5)):
    values = rng.normal(size=shape).astype(np.float32)
    values.flat[:4] = [0.0, -0.0, 1.0, -1.0]
    return values


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sign_of_zero_of_either_sign_is_plus_one(dtype):
    x = torch.tensor([-2.0, -1e-30, -0.0, 0.0, 1e-30, 2.0], dtype=dtype)
    assert sign(x).tolist() == [-1.0, -1.0, 1.0, 1.0, 1.0, 1.0]
    assert sign(x).dtype == dtype


def test_sign_of_signs_changes_nothing(rng):
    once = sign(torch.from_numpy(values_with_zeros(rng)))
    assert set(once.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(sign(once), once)


def test_gradient_passes_up_to_and_including_the_clip():
    x = torch.tensor(EDGES, requires_grad=True)
    BinaryAct()(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("clip", [0.5, 1.0, 1.25])
def test_gradient_is_the_upstream_one_times_the_indicator(clip, rng):
    values, upstream = values_with_zeros(rng), values_with_zeros(rng)
    values.flat[4:6] = [clip, -np.nextafter(np.float32(clip), np.float32(2))]
    x = torch.tensor(values, requires_grad=True)
    clipped_sign(x, clip).backward(torch.from_numpy(upstream))
    expected = np.zeros_like(upstream)
    for index in np.ndindex(values.shape):
        if -clip <= values[index] <= clip:
            expected[index] = upstream[index]
    np.testing.assert_array_equal(x.grad.numpy(), expected)


@pytest.mark.parametrize("clip", [0.5, 1.25])
def test_layers_take_their_clip(clip):
    inside, outside = clip, clip + 0.01
    act = BinaryAct(clip=clip)
    x = torch.tensor([-outside, -inside, inside, outside], requires_grad=True)
    act(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]
    layer = BinaryLinear(4, 1, clip=clip)
    with torch.no_grad():
        layer.weight.copy_(x.detach())
    layer(torch.ones(1, 4)).backward()
    assert layer.weight.grad.tolist() == [[0, 1, 1, 0]]


def test_binary_linear_multiplies_by_signs_and_scales_no_gradient(rng):
    layer = BinaryLinear(5, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(values_with_zeros(rng, (3, 5))))
    weight = layer.weight.detach().numpy().copy()
    x = rng.integers(0, 17, size=(4, 5)).astype(np.float32)
    upstream = rng.integers(-3, 4, size=(4, 3)).astype(np.float32)
    out = layer(torch.from_numpy(x))
    out.backward(torch.from_numpy(upstream))
    signs = np.where(weight < 0, -1.0, 1.0)
    np.testing.assert_array_equal(out.detach().numpy(), x @ signs.T)
    expected = (upstream.T @ x) * (np.abs(weight) <= 1)
    np.testing.assert_array_equal(layer.weight.grad.numpy(), expected)


def test_quant_weight_is_bipolar_with_scale_one():
    quantized = BinaryLinear(40, 30).quant_weight()
    assert set(quantized.value.unique().tolist()) == {-1.0, 1.0}
    assert (float(quantized.scale), float(quantized.zero_point)) == (1.0, 0.0)
    assert int(quantized.bit_width) == 1


def test_layers_without_bias_have_no_bias_parameter():
    assert [name for name, _ in BinaryLinear(4, 2).named_parameters()] == ["weight"]


def test_clipping_bounds_latent_weights_and_leaves_the_rest():
    net = nn.Sequential(BinaryLinear(7, 1), nn.Linear(7, 1, bias=False), BinaryAct())
    with torch.no_grad():
        for layer in net[:2]:
            layer.weight.copy_(torch.tensor([EDGES]))
    weights = latent_weights(net)
    assert len(weights) == 1
    clip_latent_weights(weights)
    assert net[0].weight.tolist() == [[-1.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.0]]
    assert net[1].weight.tolist() == [EDGES]
    assert net[0].weight.requires_grad


def test_clipping_nothing_is_fine():
    clip_latent_weights(latent_weights(nn.Linear(2, 2)))


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan")])
def test_clip_that_is_not_positive_is_refused(clip):
    with pytest.raises(ValueError, match=r"binary quantizer: clip must be > 0, got "):
        BinaryQuant(clip)


def test_positive_scale_stays_positive_for_any_parameter():
    scale = PositiveScale(0.25)
    x = torch.tensor([[-3.0, 5.0]])
    torch.testing.assert_close(scale(x), 0.25 * x)
    with torch.no_grad():
        scale.log_scale.fill_(-9.0)
    assert scale(x).argmax(dim=1).tolist() == [1]
