from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from popshift.models import zoo
from popshift.models.dtypes import integer_range
from popshift.models.grid import Grid
from popshift.models.layers import (
    AdderLinear,
    BinaryAct,
    BinaryConv2d,
    BinaryLinear,
    FixedPointAct,
    IntegerAct,
    ShiftLinear,
)
from popshift.models.precision import ACTS, WEIGHTS, act_grid, activation


def widths(net):
    layers = [m for m in net.modules() if isinstance(m, nn.Linear)]
    return (layers[0].in_features, *(layer.out_features for layer in layers))


@pytest.mark.parametrize(
    ("name", "sizes", "dtype"),
    [
        ("mlp", (64, 256, 256, 256, 10), "UINT5"),
        ("tfc", (784, 64, 64, 64, 10), "BIPOLAR"),
        ("sfc", (784, 256, 256, 256, 10), "BIPOLAR"),
        ("lfc", (784, 1024, 1024, 1024, 10), "BIPOLAR"),
    ],
)
def test_named_networks_have_their_published_sizes(name, sizes, dtype):
    net = zoo.create(name)
    assert widths(net) == sizes
    assert (net.input_dtype, net.input_shape) == (dtype, (sizes[0],))
    assert net.config.name == name


def sizes(net):
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [tuple(layer.weight.shape) for layer in layers]


def convs(*channels):
    return [(out, into, 3, 3) for into, out in pairwise(channels)]


@pytest.mark.parametrize(
    ("name", "shapes", "dtype", "image"),
    [
        (
            "cnv",
            [*convs(3, 64, 64, 128, 128, 256, 256), (512, 256), (512, 512), (10, 512)],
            "UINT8",
            (3, 32, 32),
        ),
        (
            "vgg-small",
            [*convs(3, 128, 128, 256, 256, 512, 512), (10, 8192)],
            "UINT8",
            (3, 32, 32),
        ),
        ("digits-cnn", [*convs(1, 16, 32, 32, 64), (10, 256)], "UINT5", (1, 8, 8)),
    ],
)
@pytest.mark.parametrize("precision", [{}, {"act": "int2"}, {"weight": "int2", "act": "int2"}])
def test_convolutional_networks_have_their_sizes(name, shapes, dtype, image, precision):
    net = zoo.create(name, **precision).eval()
    assert sizes(net) == shapes
    assert (net.input_dtype, net.input_shape) == (dtype, image)
    assert net(torch.zeros(2, *image)).shape == (2, 10)


def test_digits_cnn_is_small():
    assert sum(p.numel() for p in zoo.create("digits-cnn").parameters()) <= 40_000


@pytest.mark.parametrize("name", ["tfc", "cnv"])
@pytest.mark.parametrize(
    ("weight", "act", "weights", "levels"),
    [
        ("binary", "binary", {-1, 1}, {-1, 1}),
        ("binary", "int2", {-1, 1}, {-1, 0, 1}),
        ("int2", "int2", {-1, 0, 1}, {-1, 0, 1}),
    ],
)
def test_precisions_are_those_of_brevitas_networks(name, weight, act, weights, levels):
    net = zoo.create(name, weight=weight, act=act)
    seen = []
    for module in net.modules():
        if hasattr(module, "weight_quant"):
            assert set(module.quant_weight().value.unique().tolist()) == weights
        elif isinstance(module, BinaryAct | IntegerAct) and module is not net.input_act:
            module.register_forward_hook(lambda _m, _x, y: seen.append(set(y.unique().tolist())))
    net.train()(2.0 * torch.randint(0, 2, (4, *net.input_shape)) - 1)
    assert seen == [levels] * len(seen) != []


def test_pooling_comes_after_the_activation_or_before_the_norm():
    def order(**options):
        block = zoo.create("digits-cnn", features=(4, "max2"), **options).features[0]
        return [type(module).__name__ for module in block]

    assert order() == ["BinaryConv2d", "MaxPool2d", "BatchNorm2d", "BinaryAct"]
    after = ["BinaryConv2d", "BatchNorm2d", "BinaryAct", "MaxPool2d"]
    assert order(pool_at="activation") == after


@pytest.mark.parametrize(
    ("features", "shape"),
    [
        ((4,), (4, 8, 8)),
        ((4, "max3"), (4, 2, 2)),
        ((4, "avg2", 6, "avg2", 5), (5, 2, 2)),
        ((4, "max2", 6, "avg"), (6, 1, 1)),
        ([4], (4, 8, 8)),
    ],
)
def test_features_give_the_shape_before_the_last_layer(features, shape):
    net = zoo.create("digits-cnn", features=features).eval()
    assert net.features(torch.zeros(1, 1, 8, 8)).shape[1:] == shape
    assert net.head.in_features == shape[0] * shape[1] * shape[2]


def test_integer_images_are_padded_with_zeros_and_signs_with_the_pad_value():
    def pads(net):
        layers = [m for m in net.modules() if isinstance(m, BinaryConv2d)]
        return [(layer.pad_value, layer.padding, layer.border) for layer in layers]

    zero, minus = (0, (1, 1), (0,) * 4), (-1, (0, 0), (1,) * 4)
    assert pads(zoo.create("digits-cnn")) == [zero, minus, minus, minus]
    bipolar = zoo.create("digits-cnn", features=(4, 4), input_dtype="BIPOLAR", pad_value=1)
    assert pads(bipolar) == [(1, (0, 0), (1,) * 4)] * 2
    assert pads(zoo.create("digits-cnn", features=(4, 4), pad_value=0)) == [zero] * 2


def test_float_twin_of_a_convolutional_network_has_nothing_quantized():
    net = zoo.create("digits-cnn", weight="float", act="float")
    assert sizes(net) == sizes(zoo.create("digits-cnn"))
    assert not any(hasattr(m, "weight_quant") or isinstance(m, BinaryAct) for m in net.modules())


def test_description_makes_the_same_network():
    for name in zoo.NETWORKS:
        net = zoo.create(name, weight="int2", classes=3)
        options = zoo.describe(net)
        assert zoo.create(options.pop("name"), **options).config == net.config


@pytest.mark.parametrize("hidden", [(1,), (8,), (5, 7, 9, 11, 13)])
def test_depth_and_width_are_options(hidden):
    net = zoo.create("mlp", hidden=hidden, classes=3, in_features=6).eval()
    assert widths(net) == (6, *hidden, 3)
    assert net(torch.zeros(2, 6)).shape == (2, 3)


def test_hidden_may_be_a_list_as_in_a_config_file():
    assert zoo.create("mlp", hidden=[8, 4]).config == zoo.create("mlp", hidden=(8, 4)).config


def test_every_layer_is_binary_and_has_no_bias():
    net = zoo.create("sfc")
    layers = [m for m in net.modules() if isinstance(m, nn.Linear)]
    assert all(isinstance(layer, BinaryLinear) and layer.bias is None for layer in layers)
    assert sum(isinstance(m, BinaryAct) for m in net.modules()) == 4  # input and three hidden


def test_binary_input_is_the_sign():
    net = zoo.create("tfc", in_features=8).eval()
    x = torch.tensor([[-3.0, -0.5, 0.0, 0.5, 3.0, 1.0, -1.0, 0.0]])
    bits = torch.tensor([[-1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 1.0]])
    assert torch.equal(net(x), net(bits))


def test_float_twin_has_the_same_sizes_and_nothing_binary():
    net = zoo.create("mlp", weight="float", act="float")
    assert widths(net) == widths(zoo.create("mlp"))
    assert not any(isinstance(m, BinaryLinear | BinaryAct) for m in net.modules())


def test_equal_seeds_give_equal_weights_and_leave_torchs_state_alone():
    state = torch.get_rng_state()
    first, again, other = (zoo.create("mlp", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"^zoo: no network 'vgg'; known: mlp, tfc, sfc, lfc, cnv, vgg-small, "
    ):
        zoo.create("vgg")


def test_unknown_option_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"^zoo: tfc has no option 'widht'; known: in_features, hidden, classes, "
    ):
        zoo.create("tfc", widht=3)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"hidden": ()}, "mlp: hidden needs widths >= 1, got ()"),
        ({"hidden": (4, 0)}, "mlp: hidden needs widths >= 1, got (4, 0)"),
        ({"classes": 0}, "mlp: classes must be >= 1, got 0"),
        ({"in_features": -1}, "mlp: in_features must be >= 1, got -1"),
        ({"weight": "int1"}, f"mlp: weight='int1' is none of {', '.join(WEIGHTS)}"),
        ({"act": "relu"}, f"mlp: act='relu' is none of {', '.join(ACTS)}, fixedI.F"),
        (
            {"act": "fixed0.4"},
            "mlp: fixed point: integer bits must be >= 1 and fraction bits >= 0, 2 to 24 in all, "
            "got 0 and 4",
        ),
        (
            {"weight": "adder4", "act": "float"},
            "mlp: weight='adder4' needs activations of few bits, not act='float'; "
            "use uint4 or such",
        ),
        ({"clip": 0.0}, "mlp: clip must be > 0, got 0.0"),
        ({"bn_momentum": 0.0}, "mlp: bn_momentum must be in (0, 1], got 0.0"),
    ],
)
def test_option_out_of_range_says_what_is_allowed(option, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        zoo.create("mlp", **option)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"features": ()}, "features has no convolution"),
        ({"features": ("max2", 4)}, "features has 'max2' without a convolution"),
        ({"features": (4, "max2", "max2")}, "features has 'max2' without a convolution"),
        (
            {"features": (4, "pool")},
            "features has 'pool'; give channels >= 1, max2 to max9, avg2 to avg9, or avg",
        ),
        (
            {"features": (4, True)},
            "features has True; give channels >= 1, max2 to max9, avg2 to avg9, or avg",
        ),
        (
            {"features": (0,)},
            "features has 0; give channels >= 1, max2 to max9, avg2 to avg9, or avg",
        ),
        (
            {"features": (4, "max9")},
            "features has 'max9' where the image has shrunk too far; use fewer layers, or padding",
        ),
        (
            {"features": (4,) * 4, "padding": 0},
            "features has 4 where the image has shrunk too far; use fewer layers, or padding",
        ),
        ({"image": (8, 8)}, "image must be (channels, height, width), got (8, 8)"),
        ({"image": (0, 8, 8)}, "image must be (channels, height, width), got (0, 8, 8)"),
        ({"hidden": (0,)}, "hidden needs widths >= 1, got (0,)"),
        ({"classes": 0}, "classes must be >= 1, got 0"),
        ({"kernel": 0}, "kernel must be >= 1, got 0"),
        ({"padding": -1}, "padding must be >= 0, got -1"),
        ({"pad_value": 2}, "pad_value must be -1, 0 or 1, got 2"),
        ({"pool_at": "input"}, "pool_at='input' is none of activation, accumulator"),
        ({"weight": "uint2"}, f"weight='uint2' is none of {', '.join(WEIGHTS)}"),
        ({"clip": -1.0}, "clip must be > 0, got -1.0"),
        ({"bn_momentum": 2.0}, "bn_momentum must be in (0, 1], got 2.0"),
    ],
)
def test_option_of_a_convolutional_network_out_of_range_says_what_is_allowed(option, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        zoo.create("digits-cnn", **option)
    assert str(error.value) == f"digits-cnn: {message}"


@pytest.mark.parametrize("dtype", ["UINT", "UINT0", "UINT25", "INT05", "FLOAT32", "bipolar", ""])
def test_input_datatypes_are_integers_of_at_most_24_bits(dtype):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        zoo.create("mlp", input_dtype=dtype)
    assert str(error.value) == (
        f"mlp: input_dtype={dtype!r} is none of BIPOLAR, UINTn, INTn (n from 1 to 24)"
    )


@pytest.mark.parametrize(
    ("dtype", "ends"),
    [
        ("BIPOLAR", (-1, 1)),
        ("UINT1", (0, 1)),
        ("UINT24", (0, 2**24 - 1)),
        ("INT1", (-1, 0)),
        ("INT8", (-128, 127)),
    ],
)
def test_ends_of_input_datatypes(dtype, ends):
    assert integer_range(dtype, "input_dtype") == ends
    assert zoo.create("mlp", hidden=(2,), input_dtype=dtype).input_dtype == dtype


@pytest.mark.parametrize("name", [*ACTS, "fixed3.5", "fixed1.1"])
def test_activations_have_the_values_of_their_grid(name):
    act, grid = activation(name, clip=1.0).eval(), act_grid(name)
    y = act(torch.linspace(-300, 300, 100_001))
    if grid is None:
        assert name == "float"
        return
    steps = (y.detach() / grid.step).round()
    assert torch.equal(steps * grid.step, y.detach())
    assert (steps.min(), steps.max()) == (grid.low, grid.high)


def test_fixed_point_activations_are_named_by_their_bits():
    net = zoo.create("mlp", hidden=(4,), act="fixed3.5")
    relu, act = net.blocks[0][2]
    assert isinstance(relu, torch.nn.ReLU)
    assert isinstance(act, FixedPointAct)
    assert act_grid("fixed3.5") == Grid(step=1 / 32, low=0, high=127)
    options = zoo.describe(net)
    assert zoo.create(options.pop("name"), **options).config == net.config


@pytest.mark.parametrize(
    ("weight", "levels"),
    [
        ("shift-q3", {0.125, 0.25, 0.5}),  # 1 comes by training
        ("shift-ps3", {0.0, 0.25, 0.5, 1.0}),
        ("shift-ps2", {0.0, 1.0}),
        ("s3", {0.0, 1.0, 2.0, 4.0}),
    ],
)
def test_shift_precisions_have_their_weights(weight, levels):
    net = zoo.create("mlp", weight=weight, act="uint4")
    layers = [m for m in net.modules() if isinstance(m, ShiftLinear)]
    assert len(layers) == 4
    seen = [set(layer.quant_weight().value.abs().unique().tolist()) for layer in layers]
    assert set().union(*seen) <= levels
    assert max(map(len, seen)) == len(levels)


def test_adder_weights_lie_on_the_grid_of_their_inputs():
    """Pixels 0 to 16 in five bits, then four bits in quarters; weights of four bits and a sign."""
    net = zoo.create("mlp", hidden=(8, 8), weight="adder4", act="uint4")
    layers = [m for m in net.modules() if isinstance(m, AdderLinear)]
    assert [float(layer.quant_weight().scale) for layer in layers] == [4.0, 0.5, 0.5]
    assert [layer.unit for layer in layers] == [31 / 4, 15 / 16, 15 / 16]
    floats = zoo.create("mlp", hidden=(8,), weight="adder", act="float")
    assert [m.unit for m in floats.modules() if isinstance(m, AdderLinear)] == [31 / 4, 1.0]
