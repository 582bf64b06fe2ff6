from __future__ import annotations

import pytest
import torch
from torch import nn

from popshift.models import zoo
from popshift.models.blocks.group import (
    ChannelRoll,
    ChannelShuffle,
    CyclicShuffle,
    GroupStyle,
    ParallelGroupBlock,
)


def style(groups, weight="float", act="float"):
    return GroupStyle(groups=groups, weight=weight, act=act, clip=1.0, bn_momentum=0.1)


def dependencies(module, groups, channels=12, size=6):
    """Which input groups each output group depends on."""
    torch.manual_seed(0)
    x = torch.rand(2, channels, size, size, requires_grad=True)
    found = []
    for group in range(groups):
        outputs = module(x)
        width = outputs.shape[1] // groups
        grad = torch.autograd.grad(outputs[:, group * width : (group + 1) * width].sum(), x)[0]
        by_group = grad.abs().reshape(2, groups, -1).sum(dim=(0, 2))
        found.append({h for h in range(groups) if by_group[h] > 0})
    return found


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_groups_hear_of_the_next_one_shuffle_by_shuffle(groups):
    module = nn.Sequential(ParallelGroupBlock(12, 12, 1, style(groups))).eval()
    assert dependencies(module, groups) == [{g} for g in range(groups)]
    for shuffles in range(1, groups):
        module.append(CyclicShuffle(12, style(groups)).eval())
        heard = [{(g + i) % groups for i in range(shuffles + 1)} for g in range(groups)]
        assert dependencies(module, groups) == heard
    assert dependencies(module, groups) == [set(range(groups))] * groups


def test_the_shortcut_of_a_block_that_changes_size_mixes_groups():
    block = ParallelGroupBlock(12, 24, 2, style(2)).eval()
    assert dependencies(block, 2) == [{0, 1}, {0, 1}]
    assert block(torch.rand(1, 12, 6, 6)).shape == (1, 24, 3, 3)


def test_roll_and_shuffle_of_known_channels():
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert ChannelRoll(3)(x).flatten().tolist() == [2, 3, 4, 5, 0, 1]
    assert ChannelRoll(1)(x).flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert ChannelShuffle(2)(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert ChannelShuffle(3)(x[:, :, 0, 0]).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    rolled = x
    for _ in range(3):
        rolled = ChannelRoll(3)(rolled)
    assert torch.equal(rolled, x)
    with pytest.raises(ValueError, match=r"groups=4 must divide the 6 channels$"):
        ChannelRoll(4)(x)


def test_sums_are_integers_in_the_step_of_the_activations():
    net = zoo.create("digits-pal").train()
    sums = []
    for block in net.blocks:
        act = block.act if isinstance(block, CyclicShuffle) else block.output
        act.register_forward_hook(lambda _m, args, _y: sums.append(args[0].detach()))
    net(torch.randint(0, 17, (8, 1, 8, 8)).float())
    assert len(sums) == 3
    for values in sums:
        integers = (3 * values).round()
        assert torch.allclose(values, integers / 3, rtol=0, atol=1e-6)
        assert len(integers.unique()) > 4


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_every_layer_but_the_first_and_last_is_grouped_and_as_many_times_as_wide(groups):
    net = zoo.create("digits-pal", groups=groups)
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [conv.groups for conv in convs] == [1] + [groups] * (len(convs) - 1)
    assert convs[0].out_channels == 8 * groups
    assert net.head.in_features == 16 * groups
    assert {m.weight_quant.tensor_quant.top for m in convs} == {3}
    assert net.eval()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_its_float_twin_has_nothing_quantized():
    net = zoo.create("digits-pal", weight="float", act="float")
    assert not any(hasattr(m, "weight_quant") or hasattr(m, "act_quant") for m in net.modules())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"image": (8, 8)}, "image must be (channels, height, width), got (8, 8)"),
        ({"widths": (4, 0)}, "widths needs numbers >= 1, got (4, 0)"),
        ({"blocks": ()}, "blocks needs numbers >= 1, got ()"),
        ({"blocks": (1,)}, "widths (8, 16) and blocks (1,) must be of as many stages"),
        ({"groups": 0}, "groups must be >= 1, got 0"),
        ({"classes": 0}, "classes must be >= 1, got 0"),
        ({"clip": 0.0}, "clip must be > 0, got 0.0"),
        ({"bn_momentum": 0.0}, "bn_momentum must be in (0, 1], got 0.0"),
    ],
)
def test_option_out_of_range_says_what_is_allowed(option, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        zoo.create("digits-pal", **option)
    assert str(error.value) == f"digits-pal: {message}"


@pytest.mark.parametrize("name", ["mlp", "digits-cnn", "digits-pal"])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_wider_networks_have_square_as_many_inner_weights_and_the_same_ends(name, factor):
    def inner(net):
        layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert layers[0].weight.shape[1] == (64 if name == "mlp" else 1)
        assert layers[-1].out_features == 10
        return [layer.weight.numel() for layer in layers[1:-1]]

    plain, wide = zoo.create(name), zoo.create(name, **zoo.widened(name, factor))
    assert inner(wide) == [factor**2 * count for count in inner(plain)]


def test_widening_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match=r"^zoo: no network 'net'; known: mlp, "):
        zoo.widened("net", 2)
    with pytest.raises(ValueError, match=r"^zoo: factor must be >= 1, got 0$"):
        zoo.widened("mlp", 0)
