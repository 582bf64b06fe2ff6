from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from popshift.models import data, export, train, zoo
from popshift.models.blocks.ghost import GhostBottleneck, GhostModule, SqueezeExcite, multiple_of
from popshift.models.blocks.ghost_stage import GGhostStage
from popshift.models.blocks.style import Style

FLOAT = Style()
FEW_BITS = Style(weight="int4", act="uint4", signed_act="int8")


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("options", "count"),
    [({}, 5_182_508), ({"has_squeeze": False}, 3_678_640), ({"width": 1.3}, 7_358_820)],
)
def test_ghostnet_has_the_published_number_of_parameters(options, count):
    assert parameters(zoo.create("ghostnet", **options)) == count


def test_ghostnet_takes_its_images():
    net = zoo.create("ghostnet", image=(3, 64, 64), classes=7).eval()
    assert (net.input_dtype, net.input_shape) == ("UINT8", (3, 64, 64))
    with torch.no_grad():
        assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize("style", [FLOAT, FEW_BITS])
@pytest.mark.parametrize(("channels", "ratio"), [(8, 2), (7, 2), (1, 2), (9, 3), (8, 3)])
def test_first_maps_are_the_convolutions_and_the_others_come_from_them(channels, ratio, style):
    torch.manual_seed(0)
    module = GhostModule(3, channels, style=style, inputs=None, ratio=ratio).eval()
    intrinsic = -(-channels // ratio)
    x = torch.randn(2, 3, 5, 6)
    y = module(x)
    assert y.shape == (2, channels, 5, 6)
    first = module.primary(x)
    assert first.shape[1] == intrinsic
    assert torch.equal(y[:, :intrinsic], first)
    ghosts = module.cheap_act(module.cheap(first)[:, : channels - intrinsic])
    assert torch.equal(y[:, intrinsic:], ghosts)


def test_ghosts_of_an_identity_are_the_intrinsic_maps():
    module = GhostModule(3, 7, style=FLOAT, inputs=None).eval()
    conv, norm = module.cheap
    assert conv.groups == 4
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[:, :, 1, 1] = (1 + norm.eps) ** 0.5
    y = module(torch.randn(2, 3, 4, 4))
    torch.testing.assert_close(y[:, 4:], y[:, :3])


@pytest.mark.parametrize("is_linear", [True, False])
def test_a_linear_module_has_negative_values(is_linear):
    torch.manual_seed(0)
    for style in (FLOAT, FEW_BITS):
        module = GhostModule(3, 8, style=style, inputs=None, is_linear=is_linear)
        halves = module(torch.randn(4, 3, 6, 6)).split(4, dim=1)
        assert [bool((half < 0).any()) for half in halves] == [is_linear] * 2


def test_both_branches_of_a_module_and_of_a_sum_share_their_steps():
    torch.manual_seed(0)
    block = GhostBottleneck(4, 12, 6, style=FEW_BITS, inputs=FEW_BITS.grid, stride=2)
    steps = {}
    for name, module in block.named_modules():
        if hasattr(module, "act_quant"):
            steps[name] = float(module.act_quant.scale())
    unsigned, signed = FEW_BITS.grid.step, FEW_BITS.signed_grid.step
    assert steps == {
        "expand.primary.2": unsigned,
        "expand.cheap_act": unsigned,
        "middle.2": signed,
        "project.primary.2": signed,
        "project.cheap_act": signed,
        "shortcut.2": signed,
        "shortcut.5": signed,
    }
    x = torch.randint(0, 16, (3, 4, 8, 8)) * unsigned
    sums = block(x).detach() / signed
    assert sums.shape == (3, 6, 4, 4)
    assert torch.equal(sums, sums.round())
    assert sums.abs().max() <= FEW_BITS.sum_grid.magnitude


@pytest.mark.parametrize(("channels", "stride", "layers"), [(4, 1, 0), (4, 2, 2), (5, 1, 2)])
def test_a_shortcut_has_layers_only_where_shapes_change(channels, stride, layers):
    block = GhostBottleneck(4, 8, channels, style=FLOAT, inputs=None, stride=stride)
    assert sum(isinstance(m, nn.Conv2d) for m in block.shortcut) == layers


def test_squeeze_excite_scales_whole_maps_between_nothing_and_all():
    torch.manual_seed(0)
    module = SqueezeExcite(8, 0.25)
    assert module.reduce.weight.shape == (4, 8, 1, 1)
    x = torch.randn(3, 8, 5, 5)
    with torch.no_grad():
        ratio = module(x) / x
        assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(x), atol=1e-6)
        for bias, gate in ((-9.0, 0.0), (0.0, 0.5), (9.0, 1.0), (1.5, 0.75)):
            module.expand.weight.zero_()
            module.expand.bias.fill_(bias)
            torch.testing.assert_close(module(x), gate * x)


@pytest.mark.parametrize(
    ("value", "multiple"), [(1, 4), (6, 8), (18, 20), (20.8, 20), (22.1, 24), (1248, 1248)]
)
def test_channels_are_multiples_of_four(value, multiple):
    assert multiple_of(value, 4) == multiple


def stage(**options):
    return GGhostStage(6, 32, **{"blocks": 4, "group_width": 8, "stride": 2, **options})


def test_ghost_stage_splits_its_maps_by_whole_groups():
    """32 maps, inner groups of 6: two groups fit into half, so that 20 maps are ghosts."""
    net = stage()
    assert net.raw == 12
    assert [block.branch[3].groups for block in net.inner] == [2, 2]
    assert net.cheap[0].weight.shape == (20, 20, 1, 1)
    assert net.mix[1].weight.shape == (20, 32 + 2 * 12, 1, 1)
    assert net(torch.randn(2, 6, 8, 8)).shape == (2, 32, 4, 4)


def test_the_mix_sees_the_base_first_and_then_every_inner_block():
    torch.manual_seed(0)
    net, seen = stage().eval(), []
    net.mix.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    x = torch.randn(1, 6, 8, 8)
    net(x)
    base = net.base(x)
    first = net.inner[0](base[:, :12])
    assert torch.equal(seen[0], torch.cat([base, first, net.inner[1](first)], dim=1))


def test_ghosts_see_the_inner_blocks_only_by_their_means():
    torch.manual_seed(0)
    net = stage().eval()
    x = torch.randn(1, 6, 8, 8)
    base = net.base(x)
    seen = []
    net.end.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    net(x)
    with torch.no_grad():
        for module in net.mix:
            if isinstance(module, nn.BatchNorm2d):
                module.weight.zero_()
    net(x)
    raw, plain = seen[0][:, :12], seen[1]
    assert torch.equal(plain[:, :12], raw)
    assert torch.equal(plain[:, 12:], torch.relu(net.cheap(base[:, 12:])))
    difference = (seen[0] - plain)[:, 12:]
    assert difference.abs().max() > 0
    open_maps = (seen[0] > 0)[:, 12:] & (plain > 0)[:, 12:]
    for channel in range(20):
        values = difference[0, channel][open_maps[0, channel]]
        torch.testing.assert_close(values, values[:1].expand_as(values))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 2}, "ghost stage: blocks must be >= 3, got 2"),
        (
            {"group_width": 40},
            "ghost stage: 32 channels hold no group of 30 besides a share 0.5 of ghosts; "
            "use a smaller group_width or cheap_ratio",
        ),
        (
            {"group_width": 1},
            "ghost stage: 32 channels hold no group of 0 besides a share 0.5 of ghosts; "
            "use a smaller group_width or cheap_ratio",
        ),
    ],
)
def test_a_stage_that_cannot_be_says_so(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        stage(**options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "exporter", ["torchscript", pytest.param("dynamo", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("weight", ["shift-q4", pytest.param("adder4", marks=pytest.mark.slow)])
def test_a_ghost_network_of_integers_exports_every_branch(weight, exporter, tmp_path):
    rows = ((3, 9, 4, 0.0, 1), (3, 8, 4, 0.0, 2))
    net = zoo.create("digits-ghost", rows=rows, stem=4, head=8, weight=weight)
    images = torch.randint(0, 17, (8, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
    net.train()(images.float())
    result = export(net.eval(), tmp_path / "m.onnx", inputs=images[:2], exporter=exporter)
    with np.load(result.golden) as golden:
        names = [name for name in result.tensors if name.split("_")[0] == "Quant"]
        assert len(names) == len([m for m in net.modules() if hasattr(m, "act_quant")])
        levels = [golden[f"tensor/{name}"] for name in names]
        assert sum(bool((level < 0).any()) for level in levels) > 4
        with torch.no_grad():
            want = net(images[:2].float()).argmax(dim=1)
        np.testing.assert_array_equal(golden["prediction"], want)


def test_a_ghost_network_of_integers_trains_and_loads(tmp_path):
    images, checkpoint = data.load("digits-8"), tmp_path / "net.safetensors"
    net = zoo.create("digits-ghost", rows=((3, 16, 16, 0.0, 1), (3, 32, 16, 0.0, 2)))
    result = train.fit(net, images, recipe="shift-q", epochs=4, lr=0.01, checkpoint=checkpoint)
    assert result.test_accuracy > 0.7
    loaded = train.load(checkpoint)
    assert loaded.config == net.config
    assert train.evaluate(loaded, images.test) == result.test_accuracy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stem": 0}, "stem must be >= 1, got 0"),
        ({"head": 0}, "head must be >= 1, got 0"),
        ({"image": (8, 8)}, "image must be (channels, height, width), got (8, 8)"),
        ({"rows": ()}, "rows needs at least one bottleneck"),
        (
            {"rows": ((2, 4, 4, 0.0, 1),)},
            "rows has (2, 4, 4, 0.0, 1); give an odd kernel, channels inside and out, a share of "
            "squeeze-excite, and a stride",
        ),
        (
            {"rows": ((3, 4, 4, 2.0, 1),)},
            "rows has (3, 4, 4, 2.0, 1); the share of squeeze-excite must be in [0, 1]",
        ),
        ({"width": 0.0}, "width must be in (0, 16], got 0.0"),
        ({"act": "float"}, "act='float' and signed_act='int8': both must be floats or neither"),
        ({"signed_act": "uint8"}, "signed_act='uint8' has no sign; use int8 or such"),
        ({"signed_act": "binary"}, "binary activations have no 0 to pad maps with"),
        (
            {"rows": ((3, 8, 4, 0.25, 1),)},
            "squeeze-excite multiplies data by data, which act='uint4' has no form for; "
            "set has_squeeze=False",
        ),
        ({"clip": 0.0}, "clip must be > 0, got 0.0"),
        ({"bn_momentum": 0.0}, "bn_momentum must be in (0, 1], got 0.0"),
    ],
)
def test_option_out_of_range_says_what_is_allowed(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        zoo.create("digits-ghost", **options)
    assert str(error.value) == f"digits-ghost: {message}"
