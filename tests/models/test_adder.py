from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from popshift.models.grid import Grid
from popshift.models.layers import AdderConv2d, AdderLinear, l1
from popshift.models.layers.l1 import l1_conv2d, l1_linear
from popshift.models.quant.adder import adder_step


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def tensor(rng, *shape):
    """Quarters from -4 to 4, so that sums are exact and gradients are clipped and not clipped."""
    return torch.from_numpy(rng.integers(-16, 17, shape) / 4).float().requires_grad_()


def upstream(rng, *shape):
    return torch.from_numpy(rng.integers(-3, 4, shape)).float()


@pytest.mark.parametrize(("x", "y", "dx"), [(2.5, -1.5, -1.0), (0.7, -0.3, 0.3), (1.0, 0.0, 0.0)])
def test_published_values(x, y, dx):
    data, weight = (torch.tensor([[v]], requires_grad=True) for v in (x, 1.0))
    out = l1_linear(data, weight)
    out.backward()
    assert out.item() == pytest.approx(y)
    assert weight.grad.item() == pytest.approx(x - 1)
    assert data.grad.item() == pytest.approx(dx)


@pytest.mark.parametrize(("rows", "outputs"), [(1, 1), (7, 3), (40, 11)])
def test_linear_values_and_gradients_are_the_papers_sums(rows, outputs, rng):
    x, w = tensor(rng, rows, 5), tensor(rng, outputs, 5)
    g = upstream(rng, rows, outputs)
    out = l1_linear(x, w)
    out.backward(g)
    differences = (x[:, None] - w).detach().numpy()
    np.testing.assert_array_equal(out.detach().numpy(), -np.abs(differences).sum(-1))
    weights = g.numpy()[..., None]
    np.testing.assert_array_equal(w.grad.numpy(), (weights * differences).sum(0))
    clipped = np.clip(-differences, -1, 1)
    np.testing.assert_array_equal(x.grad.numpy(), (weights * clipped).sum(1))


GEOMETRIES = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (1, 3), "padding": (2, 0), "stride": (2, 1)},
    {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (0, 1)},
    {"kernel_size": 2, "stride": 2, "groups": 2},
    {"kernel_size": 3, "padding": 1, "groups": 4, "pad_value": -1},
]


def pair(size):
    return (size, size) if isinstance(size, int) else size


def window_by_window(x, w, g, geometry):
    """Values and gradients of a convolution of padded ``x``, one window at a time."""
    (down, right), (high, wide) = pair(geometry.get("dilation", 1)), w.shape[2:]
    stride, groups = pair(geometry.get("stride", 1)), geometry.get("groups", 1)
    y, dx, dw = np.zeros(g.shape), np.zeros(x.shape), np.zeros(w.shape)
    for image, out, row, column in np.ndindex(*g.shape):
        first = out // (len(w) // groups) * w.shape[1]
        rows = slice(row * stride[0], row * stride[0] + down * (high - 1) + 1, down)
        columns = slice(column * stride[1], column * stride[1] + right * (wide - 1) + 1, right)
        place = (image, slice(first, first + w.shape[1]), rows, columns)
        difference = x[place] - w[out]
        y[image, out, row, column] = -np.abs(difference).sum()
        dw[out] += g[image, out, row, column] * difference
        dx[place] += g[image, out, row, column] * np.clip(-difference, -1, 1)
    return y, dx, dw


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("blocks", ["whole", "one image", "one row"])
def test_convolution_is_the_sum_over_every_window(geometry, blocks, rng, monkeypatch):
    if blocks != "whole":
        monkeypatch.setattr(l1, "_WINDOW_VALUES", 1)
        monkeypatch.setattr(l1, "_DIFFERENCES", 1 if blocks == "one row" else 2**18)
    layer = AdderConv2d(4, 8, **geometry)
    with torch.no_grad():
        layer.weight.copy_(tensor(rng, *layer.weight.shape))
    x = tensor(rng, 3, 4, 6, 7)
    out = layer(x)
    g = upstream(rng, *out.shape)
    out.backward(g)
    rows, columns = pair(geometry.get("padding", 0))
    border = ((0, 0), (0, 0), (rows, rows), (columns, columns))
    padded = np.pad(x.detach().numpy(), border, constant_values=geometry.get("pad_value", 0))
    y, dx, dw = window_by_window(padded, layer.weight.detach().numpy(), g.numpy(), geometry)
    np.testing.assert_array_equal(out.detach().numpy(), y)
    np.testing.assert_array_equal(layer.weight.grad.numpy(), dw)
    inner = dx[:, :, rows : rows + 6, columns : columns + 7]
    np.testing.assert_array_equal(x.grad.numpy(), inner)


def test_nothing_is_computed_for_what_needs_no_gradient(rng):
    x, w = tensor(rng, 3, 5).detach(), tensor(rng, 2, 5)
    l1_linear(x, w).sum().backward()
    assert x.grad is None
    geometry = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    image, kernel = tensor(rng, 1, 1, 3, 3), tensor(rng, 1, 1, 2, 2).detach()
    l1_conv2d(image, kernel, **geometry).sum().backward()
    assert image.grad is not None
    assert kernel.grad is None


def test_distances_do_not_depend_on_where_zero_is(rng):
    x, w = tensor(rng, 9, 6).detach(), tensor(rng, 4, 6).detach()
    assert torch.equal(l1_linear(x + 3.25, w + 3.25), l1_linear(x, w))
    assert torch.equal(l1_linear(2 * x, 2 * w), 2 * l1_linear(x, w))
    assert not torch.equal(l1_linear(2 * x, w), 2 * l1_linear(x, w))


def test_a_distance_is_zero_only_to_itself(rng):
    x = torch.unique(tensor(rng, 30, 4).detach(), dim=0)
    distances = l1_linear(x, x)
    assert torch.equal(distances == 0, torch.eye(len(x)).bool())
    assert distances.max() == 0


def test_variance_is_that_of_differences_of_normal_values():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 50, generator=generator)
    w = 2 * torch.randn(300, 50, generator=generator)
    deviation_of_filters = float(l1_linear(x, w).var())
    assert deviation_of_filters == pytest.approx(50 * (1 - 2 / math.pi) * (1 + 4), rel=0.05)


@pytest.mark.parametrize("init", [1.0, 7.75])
def test_scaled_gradients_have_the_rate_as_their_root_mean_square(init, rng):
    layer = AdderLinear(30, 20, init=init)
    layer(tensor(rng, 8, 30)).square().sum().backward()
    before = layer.weight.grad.clone()
    layer.scale_gradients(0.2)
    after = layer.weight.grad
    assert float(after.norm()) == pytest.approx(0.2 * init * math.sqrt(600))
    assert float(after.square().mean().sqrt()) == pytest.approx(0.2 * init)
    torch.testing.assert_close(after / after.norm(), before / before.norm())


def test_scaling_leaves_gradients_of_zero_and_none():
    layer = AdderLinear(3, 2)
    layer.scale_gradients(0.2)
    assert layer.weight.grad is None
    layer.weight.grad = torch.zeros(2, 3)
    layer.scale_gradients(0.2)
    assert torch.equal(layer.weight.grad, torch.zeros(2, 3))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_are_all_signed_integers_of_their_bits(bits):
    layer = AdderLinear(400, 3, bits=bits, step=0.25, init=10 * 2.0 ** (bits - 3))
    weight = layer.quant_weight()
    integers = weight.value / 0.25
    assert torch.equal(integers, integers.round())
    ends = (integers.min().item(), integers.max().item())
    assert ends == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@pytest.mark.parametrize(
    ("bits", "grid", "step"),
    [
        (4, Grid(step=0.25, low=0, high=15), 0.5),  # the published one: twice that of the inputs
        (4, Grid(step=0.25, low=0, high=16), 1.0),
        (4, Grid(step=0.25, low=-7, high=7), 0.25),
        (4, Grid(step=1.0, low=-1, high=1), 0.25),
        (8, Grid(step=1.0, low=0, high=255), 2.0),
        (3, Grid(step=1.0, low=-8, high=7), 4.0),
    ],
)
def test_the_range_of_the_weights_covers_that_of_the_inputs(bits, grid, step):
    assert adder_step(bits, grid) == step
    assert 2 ** (bits - 1) * step >= grid.magnitude * grid.step > 2 ** (bits - 2) * step - step


def test_a_batchnorm_behind_makes_the_network_train():
    torch.manual_seed(0)
    net = nn.Sequential(AdderLinear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), AdderLinear(16, 2))
    x = torch.randn(64, 8)
    labels = (x[:, 0] > 0).long()
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=0.1), []
    for _ in range(30):
        loss = nn.functional.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        for layer in (net[0], net[3]):
            layer.scale_gradients(0.2)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2
