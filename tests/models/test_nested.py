from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from popshift.models import zoo
from popshift.models.layers import (
    NestedConv2d,
    NestedLinear,
    SwitchableBatchNorm,
    precisions_of,
    set_precision,
)
from popshift.models.quant import NestedQuant, drop_bits, enhance_layer


@pytest.fixture
def integers():
    return torch.arange(-128, 128)


@pytest.mark.parametrize("bits", [1, 2, 5, 7, 8])
def test_the_bits_of_a_precision_are_a_prefix(bits, integers):
    shorter = drop_bits(integers, 8, to=bits)
    assert torch.equal(shorter.long(), integers >> (8 - bits))
    assert shorter.min() == -(2 ** (bits - 1))
    assert shorter.max() == 2 ** (bits - 1) - 1


def test_dropping_bit_by_bit_is_dropping_at_once(integers):
    cascade = integers
    for bits in range(8, 1, -1):
        cascade = drop_bits(cascade, bits, to=bits - 1)
        assert torch.equal(cascade, drop_bits(integers, 8, to=bits - 1))


def test_accumulators_follow_from_those_of_the_shorter_precision():
    rng = np.random.default_rng(0)
    weight = torch.from_numpy(rng.integers(-128, 128, size=(5, 30)))
    weight[0], weight[1] = -128, 127
    x = torch.from_numpy(rng.integers(-8, 8, size=30)).double()
    accumulator = drop_bits(weight, 8, to=2).double() @ x
    for layer in range(3, 9):
        bits = enhance_layer(weight, 8, layer=layer)
        assert set(bits.unique().tolist()) <= {0, 1}
        accumulator = 2 * accumulator + bits.double() @ x
        assert torch.equal(accumulator, drop_bits(weight, 8, to=layer).double() @ x)
    assert torch.equal(accumulator, weight.double() @ x)


@pytest.mark.parametrize("centre", ["low", "middle"])
def test_all_precisions_come_from_the_stored_integer(centre):
    torch.manual_seed(0)
    weight = torch.rand(20, 30) * 2 - 1
    quantizer = NestedQuant(8, (2, 4, 8), centre=centre)
    stored = quantizer.longest(weight)
    assert (stored.min(), stored.max()) == (-128, 127)
    for bits in quantizer.precisions:
        quantizer.precision = bits
        value, scale, zero_point, width = quantizer(weight)
        prefix = drop_bits(stored, 8, to=bits)
        offset = 0.5 if centre == "middle" else 0.0
        assert torch.equal(value, (prefix + offset) * 2.0 ** (1 - bits))
        steps = value / scale
        assert torch.equal(steps, steps.round())
        assert -(2 ** (int(width) - 1)) <= steps.min()
        assert steps.max() <= 2 ** (int(width) - 1) - 1
        assert float(zero_point) == 0
        half = 2.0**-bits
        assert (value - weight).abs().max() <= (half if centre == "middle" else 2 * half + 2.0**-8)


def test_the_middle_is_nearer_than_the_low_end_and_rounding_nearer_still():
    torch.manual_seed(0)
    weight = torch.rand(4000) * 1.8 - 0.9

    def error(**options):
        quantizer = NestedQuant(8, (2, 8), **options)
        quantizer.precision = 2
        return float((quantizer(weight)[0] - weight).square().mean())

    assert error(centre="middle") < error(centre="low") / 3
    assert error(drop="round") < error(drop="floor") / 2


def test_rounding_carries_so_it_is_no_prefix():
    quantizer = NestedQuant(4, (2, 4), drop="round")
    quantizer.precision = 2
    weight = torch.tensor([3.0, -3.0, 7.0]) / 8
    value, scale, *_ = quantizer(weight)
    assert (value / scale).tolist() == [1, -1, 1]
    assert drop_bits(quantizer.longest(weight), 4, to=2).tolist() == [0, -1, 1]


def test_one_bit_needs_the_middle():
    quantizer = NestedQuant(2, (1, 2), centre="middle")
    quantizer.precision = 1
    value, *_ = quantizer(torch.tensor([-0.9, -0.1, 0.1, 0.9]))
    assert value.tolist() == [-0.5, -0.5, 0.5, 0.5]
    with pytest.raises(ValueError, match="precisions must ascend from 2 or more to bits=2"):
        NestedQuant(2, (1, 2))


@pytest.mark.parametrize("bits", [2, 4])
def test_a_loss_of_one_precision_changes_the_shared_weight(bits):
    torch.manual_seed(0)
    layer = NestedLinear(6, 3, precisions=(2, 4))
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    set_precision(layer, bits)
    upstream = torch.arange(18.0).reshape(3, 6)
    layer.quant_weight().value.backward(upstream)
    assert torch.equal(layer.weight.grad, upstream)


def test_precisions_switch_layers_and_norms_together():
    net = zoo.create("digits-cnn", weight="nested8", act="int4", features=(4, "max2", 4))
    assert precisions_of(net) == (2, 4, 8)
    x = torch.randint(0, 17, (6, 1, 8, 8)).float()
    net.train()
    outputs = []
    for bits in (2, 4, 8):
        set_precision(net, bits)
        outputs.append(net(x))
        layers = [m for m in net.modules() if isinstance(m, NestedConv2d | NestedLinear)]
        assert len(layers) == 3
        assert {int(layer.quant_weight().bit_width) for layer in layers} == {bits}
    assert not torch.equal(outputs[0], outputs[2])
    norms = [m for m in net.modules() if isinstance(m, SwitchableBatchNorm)]
    assert len(norms) == 2
    means = [[norm.norms[bits].running_mean for bits in ("2", "4", "8")] for norm in norms]
    assert not torch.equal(means[1][0], means[1][2])
    assert all(norm.norms["4"].num_batches_tracked == 1 for norm in norms)


def test_an_unknown_precision_is_refused():
    net = zoo.create("mlp", weight="nested4", hidden=(4,))
    with pytest.raises(ValueError, match=r"^nested layers: precision 8 is none of \(2, 3, 4\)$"):
        set_precision(net, 8)
    assert precisions_of(nn.Linear(2, 2)) == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "bits must be 2 to 8, got 1"),
        ({"bits": 9}, "bits must be 2 to 8, got 9"),
        ({"precisions": ()}, "precisions must ascend from 2 or more to bits=4, got ()"),
        ({"precisions": (4, 2)}, "precisions must ascend from 2 or more to bits=4, got (4, 2)"),
        ({"precisions": (2, 3)}, "precisions must ascend from 2 or more to bits=4, got (2, 3)"),
        ({"drop": "ceil"}, "drop='ceil' is none of floor, round"),
        ({"centre": "high"}, "centre='high' is none of low, middle"),
        (
            {"drop": "round", "centre": "middle"},
            "drop='round' has no middle; use centre='low'",
        ),
    ],
)
def test_option_out_of_range_says_what_is_allowed(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        NestedQuant(**{"bits": 4, "precisions": (2, 4), **options})
    assert str(error.value) == f"nested quantizer: {message}"
