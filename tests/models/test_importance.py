from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from popshift.models.quant import (
    AttentionImportance,
    attention_importance,
    binary_code,
    l1_importance,
    memory_ratio,
)


@pytest.mark.parametrize(
    ("planes", "group", "alpha_bits", "ratio"),
    [
        (3, 9, 32, 0.42708),
        (3, 9, 16, 0.26042),
        (1, 9, 32, 0.14236),
        (2, 9, 32, 0.28472),
        (4, 9, 32, 0.56944),
        (3, 64 * 9, 32, 0.09896),
    ],
)
def test_memory_of_planes_and_scales(planes, group, alpha_bits, ratio):
    assert round(memory_ratio(planes, group, alpha_bits=alpha_bits), 5) == ratio


def test_memory_is_that_of_the_stored_bits():
    planes, outputs, inputs, window = 3, 64, 64, 9
    bits = planes * (outputs * inputs * window + outputs * inputs * 32)
    assert memory_ratio(planes, window) == bits / (32 * outputs * inputs * window)


def test_l1_importance_is_the_magnitude():
    weight = torch.tensor([-2.0, 0.5], requires_grad=True)
    importance = l1_importance(weight)
    assert importance.tolist() == [2.0, 0.5]
    assert not importance.requires_grad


@pytest.mark.parametrize(
    ("shape", "token"),
    [((8, 4, 3, 3), 9), ((8, 4, 1, 1), 4), ((8, 20), 20), ((128, 64, 3, 3), 576)],
)
def test_attention_goes_over_kernels_and_starts_without_weighting(shape, token):
    torch.manual_seed(0)
    attention = AttentionImportance(shape)
    assert attention.token == token
    importance = attention(torch.randn(shape))
    assert importance.shape == shape
    assert len(importance.unique()) == 1
    assert importance.min() > 0


def test_attention_depends_on_every_kernel():
    torch.manual_seed(0)
    attention = AttentionImportance((4, 2, 3, 3))
    nn.init.normal_(attention.out.weight)
    weight = torch.randn(4, 2, 3, 3, requires_grad=True)
    attention(weight)[0, 0].sum().backward()
    assert (weight.grad.abs().sum(dim=(2, 3)) > 0).all()


def coded_outputs(layer, inputs, importance, group, planes):
    weight = layer.weight.detach()
    code = binary_code(
        weight.reshape(-1, group),
        planes=planes,
        method="refined",
        importance=None if importance is None else importance.reshape(-1, group),
    )
    coded = code.values().reshape(weight.shape)
    return functional.conv2d(inputs, coded) if weight.ndim == 4 else inputs @ coded.T


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_attention_learns_to_match_the_outputs_of_the_layer(kind):
    torch.manual_seed(0)
    layer = nn.Linear(20, 8, bias=False) if kind == "linear" else nn.Conv2d(2, 6, 3, bias=False)
    # inputs of very different sizes make some weights matter more
    inputs = torch.randn(64, 20) * torch.linspace(0.01, 3, 20)
    if kind == "conv":
        inputs = torch.randn(16, 2, 6, 6) * torch.tensor([3.0, 0.1])[:, None, None]
    group = 20 if kind == "linear" else 18
    importance = attention_importance(layer, inputs, planes=2, group_size=group, steps=60)
    assert importance.shape == layer.weight.shape
    assert importance.min() > 0
    with torch.no_grad():
        wanted = layer(inputs)
        plain = (coded_outputs(layer, inputs, None, group, 2) - wanted).square().mean()
        weighted = (coded_outputs(layer, inputs, importance, group, 2) - wanted).square().mean()
    assert weighted < 0.95 * plain


def test_no_steps_is_no_weighting_and_equal_seeds_give_equal_importance():
    torch.manual_seed(0)
    layer, inputs = nn.Linear(6, 3, bias=False), torch.randn(10, 6)
    state = torch.get_rng_state()
    start = attention_importance(layer, inputs, planes=1, group_size=6, steps=0)
    assert len(start.unique()) == 1
    first, again = (
        attention_importance(layer, inputs, planes=1, group_size=6, steps=5) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
