"""Adder layers of few bits after training: groups, clamps, and the integers that follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from popshift.models.convert import quantize_adder
from popshift.models.layers import AdderConv2d, AdderLinear, GroupedAdder
from popshift.models.layers.l1 import l1_linear
from popshift.models.quant.adder import (
    RangeOfInputs,
    clamp_filters,
    group_filters,
    quantize_filters,
)


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def quarters(rng, low, high, *shape):
    return torch.from_numpy(rng.integers(4 * low, 4 * high + 1, shape) / 4)


@pytest.mark.parametrize(("low", "high"), [(-2, 2), (0, 2), (-1, 3)])
def test_clamping_weights_to_the_range_of_the_inputs_loses_nothing(low, high, rng):
    weight = quarters(rng, -5, 5, 7, 30)
    x = quarters(rng, low, high, 40, 30)
    x[0], x[1] = low, high
    clamped, bias = clamp_filters(weight, low, high)
    assert (clamped.min(), clamped.max()) == (low, high)
    assert (bias < 0).all()
    assert torch.equal(l1_linear(x, clamped) + bias, l1_linear(x, weight))


def test_clamping_loses_something_for_inputs_outside():
    weight, x = torch.tensor([[3.0]]), torch.tensor([[2.5]])
    clamped, bias = clamp_filters(weight, -1, 1)
    assert (l1_linear(x, clamped) + bias).item() != l1_linear(x, weight).item()


def test_filters_of_similar_range_are_one_group(rng):
    ranges = torch.tensor([1.0, 8.0, 1.1, 8.3, 0.9, 30.0, 7.9])
    weight = torch.from_numpy(rng.uniform(-1, 1, (7, 3, 2, 2)))
    weight *= (ranges / weight.flatten(1).abs().amax(1)).reshape(-1, 1, 1, 1)
    assert group_filters(weight, 3) == [(0, 2, 4), (1, 3, 6), (5,)]
    assert group_filters(weight, 1) == [tuple(range(7))]
    assert len(group_filters(weight, 20)) == 7
    assert group_filters(torch.ones(4, 2), 3) == [(0, 1, 2, 3)]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_are_the_papers_formula(bits, rng):
    weight = torch.from_numpy(rng.normal(size=(6, 50)))
    weight[0, :2] = torch.tensor([9.0, -9.0])
    for largest in (1.5, 20.0):
        (group,) = quantize_filters(weight, bits=bits, largest_input=largest, groups=1)
        scale = min(9.0, largest)
        assert group.scale == scale
        assert group.input_step(bits) == scale / (2**bits - 1)
        clipped = np.clip(weight.numpy(), -scale, scale)
        ends = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        want = np.clip(np.rint(clipped * (2**bits - 1) / (2 * scale)), *ends)
        np.testing.assert_array_equal(group.codes.numpy(), want)
        assert (group.codes.min(), group.codes.max()) == ends
        lost = np.maximum(np.abs(weight.numpy()) - scale, 0).sum(1)
        np.testing.assert_allclose(group.bias.numpy(), -lost)


def test_groups_that_take_the_range_of_the_inputs_are_one(rng):
    weight = (
        torch.from_numpy(rng.uniform(-1, 1, (6, 20))) * torch.tensor([[9, 4, 0.2, 9, 4, 0.1]]).T
    )
    groups = quantize_filters(weight, bits=4, largest_input=2.0, groups=4)
    assert [group.filters for group in groups] == [(0, 1, 3, 4), (2, 5)]
    assert groups[0].scale == 2.0
    assert groups[1].scale == pytest.approx(float(weight[2].abs().max()))
    assert (groups[1].bias == 0).all()


def test_filters_of_zeros_take_the_range_of_the_inputs():
    (group,) = quantize_filters(torch.zeros(3, 4), bits=4, largest_input=2.0, groups=2)
    assert group.scale == 2.0
    assert not group.codes.any()


def rounded(bits):
    """A layer of three groups of ranges, which gives steps that are powers of two."""
    torch.manual_seed(1)
    layer = AdderLinear(40, 9)
    step = torch.tensor([1.0, 0.25, 0.0625]).repeat(3)[:, None]
    with torch.no_grad():
        codes = torch.randint(-(2**bits - 1), 2**bits, layer.weight.shape).float()
        codes[:, 0] = 2**bits - 1
        layer.weight.copy_(codes * step)
    return layer


@pytest.mark.parametrize("bits", [3, 4])
def test_the_result_is_the_step_times_an_integer_plus_the_bias(bits):
    layer = rounded(bits)
    largest = 0.25 * (2**bits - 1)  # the first group is clamped, the others are not
    groups = quantize_filters(layer.weight, bits=bits, largest_input=largest, groups=3)
    assert [group.input_step(bits) for group in groups] == [0.25, 0.0625]
    small = GroupedAdder(layer, groups, bits=bits).eval()
    x = torch.rand(50, 40) * 1.5 * largest
    x[0], x[1] = 0, 9
    y = small(x).detach().double().numpy()
    bound = 2 ** (bits + 1) - 1
    for group in groups:
        step = group.input_step(bits)
        a = np.clip(np.rint(x.numpy() / np.float32(step)), 0, 2**bits - 1).astype(np.int64)
        distances = np.abs(a[:, None] - 2 * group.codes.numpy())
        assert distances.max() == bound
        want = step * -distances.sum(-1) + group.bias.numpy()
        np.testing.assert_array_equal(y[:, list(group.filters)], want)


def test_operands_with_steps_of_their_own_have_no_integer_form(rng):
    """|s1 a - s2 w| is no common multiple of |a - w|, for whatever step."""
    a, w = rng.integers(0, 16, 50), rng.integers(-8, 8, 50)
    exact, integers = np.abs(0.25 * a - 0.3 * w), np.abs(a - w)
    ratios = exact[integers > 0] / integers[integers > 0]
    assert ratios.max() > 1.1 * ratios.min()
    with pytest.raises(ValueError, match="one must be a whole multiple of the other"):
        AdderLinear(50, 1, bits=4, step=0.3).integer_accumulator(
            torch.from_numpy(a[None]).double(),
            torch.tensor(0.25).double(),
            torch.from_numpy(w[None]).double(),
            torch.tensor(0.3).double(),
        )


def test_more_groups_have_a_smaller_error(rng):
    layer = AdderLinear(60, 32)
    ranges = torch.tensor([4.0, 2.0, 1.0, 0.5]).repeat_interleave(8)[:, None]
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(rng.uniform(-1, 1, (32, 60))) * ranges)
    x = torch.from_numpy(rng.uniform(0, 0.5, (200, 60))).float()
    errors = []
    for groups in (1, 4):
        parts = quantize_filters(layer.weight, bits=4, largest_input=4.0, groups=groups)
        difference = GroupedAdder(layer, parts, bits=4)(x) - layer(x)
        errors.append(float(difference.detach().abs().mean()))
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.9997, 1.0])
def test_the_range_is_the_largest_quantile_of_the_batches(quantile, rng):
    batches = [torch.from_numpy(rng.normal(size=(20, 30)) * scale).float() for scale in (1, 3, 2)]
    ranges, want = RangeOfInputs(quantile), []
    for batch in batches:
        ranges.add(batch)
        want.append(sorted(batch.abs().flatten().tolist())[round(quantile * 600) - 1])
    assert ranges.largest == max(want)
    assert ranges.least == min(float(batch.min()) for batch in batches)


@pytest.fixture
def net():
    torch.manual_seed(3)
    net = nn.Sequential(
        AdderConv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        AdderConv2d(6, 6, 3, groups=6),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        AdderLinear(96, 4),
    )
    with torch.no_grad():
        for layer, least in ((net[0], 8), (net[3], 4), (net[7], 4)):  # beyond the inputs
            spread = torch.linspace(least, 2 * least, len(layer.weight))
            layer.weight.mul_(spread.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    images = torch.randint(0, 8, (64, 1, 6, 6))
    for _ in range(30):
        net.train()(images.float())
    return net.eval(), images


def test_a_network_is_copied_and_every_adder_layer_replaced(net):
    net, images = net
    before = {name: value.clone() for name, value in net.state_dict().items()}
    small = quantize_adder(net, images, bits=8, groups=3)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    kinds = [type(module).__name__ for module in small]
    assert kinds == [
        *("GroupedAdder", "BatchNorm2d", "ReLU", "GroupedAdder", "BatchNorm2d", "ReLU"),
        *("Flatten", "GroupedAdder"),
    ]
    assert len(small[3].groups) == 1  # filters of groups of channels stay together
    assert not small.training
    x = images.float()
    for have, want in ((small[0](x), net[0](x)), (small(x), net(x))):
        assert float((have - want).abs().mean()) < 0.02 * float(want.std())


def test_filters_come_back_in_their_order(net):
    net, images = net
    layer, ranges = net[0], torch.tensor([0.5, 0.1, 0.3, 0.51, 0.11, 0.31])
    with torch.no_grad():
        reach = layer.weight.flatten(1).abs().amax(dim=1)
        layer.weight.mul_((ranges / reach).reshape(-1, 1, 1, 1))
    small = quantize_adder(nn.Sequential(layer), images, bits=8, groups=3, quantile=1.0)[0]
    filters = [len(part[1].weight) for part in small.groups]
    assert filters == [2, 2, 2]
    assert small.order.tolist() == [0, 2, 4, 1, 3, 5]
    x = images.float() / 64  # inside the range of every group
    have, want = small(x), layer(x)
    for channel in range(6):
        error = (have - want[:, channel : channel + 1]).abs().mean(dim=(0, 2, 3))
        assert int(error.argmin()) == channel


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 1}, "adder: bits must be 2 to 8, got 1"),
        ({"bits": 9}, "adder: bits must be 2 to 8, got 9"),
        ({"groups": 0}, "adder: groups must be >= 1, got 0"),
        ({"quantile": 0.0}, "adder: quantile must be in (0, 1], got 0.0"),
        (
            {"images": torch.full((2, 1, 6, 6), -1)},
            "adder: the inputs of layer '0' reach from -1.0 to 1.0; they must not be negative, "
            "nor all 0: put a ReLU in front",
        ),
        (
            {"images": torch.zeros(2, 1, 6, 6, dtype=torch.int64)},
            "adder: the inputs of layer '0' reach from 0.0 to 0.0; they must not be negative, "
            "nor all 0: put a ReLU in front",
        ),
        (
            {"net": nn.Sequential(nn.Linear(2, 2))},
            "adder: the network has no adder layer with float weights",
        ),
        (
            {"net": nn.Sequential(AdderConv2d(1, 1, 3, padding=1, pad_value=1))},
            "adder: layer '0' pads with 1; use pad_value=0",
        ),
    ],
)
def test_what_cannot_be_quantized_says_so(net, change, message):
    options = {"net": net[0], "images": net[1], **change}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        quantize_adder(options.pop("net"), options.pop("images"), **options)
    assert str(error.value) == message
