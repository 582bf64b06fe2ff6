from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from popshift.models import convert, layers, train, zoo
from popshift.models.convert import convert_layers, convert_network, copy_weights


@pytest.fixture(scope="module")
def floats(digits):
    """A trained float network whose activations have few bits already."""
    net = zoo.create("mlp", hidden=(48, 32), weight="float", act="uint4", seed=2)
    train.fit(net, digits, recipe="float", epochs=12)
    return net


def powers(weight, exp_min):
    """sign(w) * 2^round(log2 |w|), clipped to [2^exp_min, 1]."""
    exponents = weight.abs().double().log2().round().clamp(exp_min, 0)
    return (weight.sign() * 2**exponents).float()


@pytest.mark.parametrize(
    ("weight", "exp_min"), [("shift-q5", -15), ("shift-ps5", -14), ("shift-q3", -3)]
)
def test_weights_become_the_nearest_powers_and_nothing_else_changes(weight, exp_min, floats):
    before = {name: value.clone() for name, value in floats.state_dict().items()}
    twin = convert_network(floats, weight=weight)
    assert (twin.config.weight, twin.config.act, twin.config.hidden) == (weight, "uint4", (48, 32))
    assert not twin.training
    for name, module in floats.named_modules():
        other = twin.get_submodule(name)
        if isinstance(module, nn.Linear):
            assert torch.equal(other.quant_weight().value, powers(module.weight, exp_min))
        elif isinstance(module, nn.BatchNorm1d):
            for key, value in module.state_dict().items():
                assert torch.equal(other.state_dict()[key], value)
    assert twin.scale.log_scale.item() == 0
    assert all(torch.equal(value, before[name]) for name, value in floats.state_dict().items())


def test_conversion_alone_keeps_the_accuracy_with_five_bits(floats, digits):
    before = train.evaluate(floats, digits.test)
    assert before > 0.95
    for weight in ("shift-q5", "shift-ps5"):
        assert train.evaluate(convert_network(floats, weight=weight), digits.test) > before - 0.03


def test_a_converted_network_trains_on_and_loads(floats, digits, tmp_path):
    twin = convert_network(floats, weight="shift-ps3")
    before = train.evaluate(twin, digits.test)
    checkpoint = tmp_path / "net.safetensors"
    result = train.fit(twin, digits, recipe="shift-convert", epochs=5, checkpoint=checkpoint)
    assert result.test_accuracy > before + 0.05
    loaded = train.load(checkpoint)
    assert loaded.config == twin.config
    assert train.evaluate(loaded, digits.test) == result.test_accuracy


def test_biases_of_layers_that_stay_floats_come_along():
    """The two convolutions of squeeze-excite."""
    torch.manual_seed(0)
    rows = ((3, 16, 8, 0.25, 1),)
    net = zoo.create("ghostnet", image=(1, 8, 8), rows=rows, stem=8, head=16, classes=3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.rand_like(parameter))
    twin = convert_network(net.eval(), weight="shift-q5")
    for name, module in net.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or module.bias is not None:
            for key, value in module.state_dict().items():
                if key.startswith(("weight", "bias", "running")):
                    assert torch.equal(twin.get_submodule(name).state_dict()[key], value), name
    squeeze = twin.blocks[0].middle[0]
    assert torch.equal(squeeze.reduce.bias, net.blocks[0].middle[0].reduce.bias)


def test_activations_may_change_too(floats):
    twin = convert_network(floats, weight="shift-q4", act="uint8")
    assert (twin.config.weight, twin.config.act) == ("shift-q4", "uint8")


def test_any_network_is_converted_layer_by_layer_with_its_biases():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Sequential(nn.Linear(36, 5, bias=False), nn.Linear(5, 3)),
    )
    small = convert_layers(net, "shift-q5", keep=["3.1"])
    assert type(small[3][1]) is nn.Linear
    conv, bias = small[0]
    assert isinstance(bias, layers.ChannelBias)
    want = [powers(net[0].weight, -15), powers(net[3][0].weight, -15)]
    have = [layer.quant_weight().value for layer in (conv, small[3][0])]
    assert all(torch.equal(a, b) for a, b in zip(have, want, strict=True))
    x = torch.randn(3, 2, 6, 5)
    with torch.no_grad():
        net[0].weight.copy_(want[0])
        net[3][0].weight.copy_(want[1])
        assert torch.equal(small.eval()(x), net(x))
    assert type(net[0]) is nn.Conv2d


def test_a_single_layer_is_a_network_too():
    layer = nn.Linear(4, 2, bias=False)
    assert isinstance(convert_layers(layer, "shift-q3"), layers.ShiftLinear)


def test_a_network_of_another_shape_is_refused_by_name(floats):
    other = zoo.create("mlp", hidden=(48, 33), weight="shift-q5", act="uint4")
    with pytest.raises(ValueError, match=r"^convert: 'blocks\.1\.0' does not fit: its weight is "):
        copy_weights(floats, other)
    shallow = zoo.create("mlp", hidden=(48,), weight="shift-q5", act="uint4")
    with pytest.raises(ValueError, match=r"^convert: the new network has no 'blocks\.1\.0'$"):
        copy_weights(floats, shallow)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda net: convert_network(nn.Linear(2, 2), weight="shift-q5"),
            "convert: the network is not of the zoo; use convert_layers",
        ),
        (
            lambda net: convert_network(net, weight="s3"),
            "convert: weight='s3' has no scale that float weights would fit; train it from scratch",
        ),
        (
            lambda net: convert_layers(net, "adder4"),
            "convert: weight='adder4' depends on the inputs; use quantize_adder",
        ),
        (
            lambda net: convert_layers(net, "shift-q5", keep=["heads"]),
            "convert: keep has 'heads'; layers: blocks.0.0, blocks.1.0, head",
        ),
        (
            lambda net: convert_layers(nn.Conv2d(1, 1, 3, padding="same"), "shift-q5"),
            "convert: layer '' pads by 'zeros', 'same'; use zeros and a number of rows and columns",
        ),
    ],
)
def test_what_cannot_be_converted_says_so(call, message, floats):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        call(floats)
    assert str(error.value) == message


def test_an_unknown_precision_lists_the_known_ones(floats):
    with pytest.raises(ValueError, match=r"^convert: weight='shift' is none of binary, int2, "):
        convert_network(floats, weight="shift")


def test_half_a_power_more_or_less_is_all_that_a_weight_moves(floats):
    twin = convert.convert_network(floats, weight="shift-q5")
    for name, module in floats.named_modules():
        if isinstance(module, nn.Linear):
            ratio = twin.get_submodule(name).quant_weight().value.detach() / module.weight.detach()
            inside = module.weight.abs().clamp(2.0**-15, 1) == module.weight.abs()
            assert float(ratio[inside].max()) <= math.sqrt(2) * (1 + 1e-6)
            assert float(ratio[inside].min()) >= math.sqrt(0.5) * (1 - 1e-6)
