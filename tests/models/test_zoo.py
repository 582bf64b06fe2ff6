from __future__ import annotations

import pytest
import torch
from torch import nn

from popshift.models import zoo
from popshift.models.dtypes import integer_range
from popshift.models.layers import BinaryAct, BinaryLinear


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
        ({"weight": "int1"}, "mlp: weight='int1' is none of binary, int2, int3, int4, int8, float"),
        (
            {"act": "relu"},
            "mlp: act='relu' is none of binary, int2, int3, int4, int8, "
            "uint2, uint3, uint4, uint8, float",
        ),
        ({"clip": 0.0}, "mlp: clip must be > 0, got 0.0"),
        ({"bn_momentum": 0.0}, "mlp: bn_momentum must be in (0, 1], got 0.0"),
    ],
)
def test_option_out_of_range_says_what_is_allowed(option, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        zoo.create("mlp", **option)
    assert str(error.value) == message


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
