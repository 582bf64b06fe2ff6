from __future__ import annotations

import copy
import inspect
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from popshift.models import convert, train, zoo
from popshift.models.convert import Synthesis
from popshift.models.convert.data_free import (
    activation_clips,
    reestimate_batchnorm,
    response_images,
    statistic_images,
)
from popshift.models.layers import (
    FixedIntervalAct,
    PlanesConv2d,
    PlanesLinear,
    TernaryLinear,
    set_precision,
)
from popshift.models.quant import binary_code


@pytest.fixture(scope="module")
def float_net(digits):
    net = zoo.create("mlp", hidden=(48, 32), weight="float", act="float")
    train.fit(net, digits, recipe="float", epochs=8)
    return net


@pytest.fixture(scope="module")
def float_conv(digits):
    net = zoo.create("digits-cnn", features=(6, "max2", 8), weight="float", act="float")
    images = digits.changed("digits-8", lambda rows: rows.reshape(-1, 1, 8, 8))
    train.fit(net, images, recipe="float", epochs=2)
    return net


def test_planes_after_training_keep_most_of_the_accuracy(float_net, digits):
    before = train.evaluate(float_net, digits.test)
    for planes, loss in ((2, 0.06), (3, 0.02), (4, 0.01)):
        coded = convert.convert_network(float_net, weight=f"planes{planes}", act="float")
        assert train.evaluate(coded, digits.test) >= before - loss


def test_conversion_codes_every_layer_as_the_quantizer_does(float_conv):
    net = convert.convert_to_planes(
        float_conv, 2, coding={"alpha": "float", "method": "refined", "importance": "l1"}
    )
    layers = [m for m in net.modules() if isinstance(m, PlanesConv2d | PlanesLinear)]
    floats = [m for m in float_conv.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == len(floats) == 3
    for layer, original in zip(layers, floats, strict=True):
        weight = original.weight.detach().flatten(1)
        code = binary_code(weight, planes=2, method="refined", importance=weight.abs())
        have = layer.quant_weight()
        have = getattr(have, "value", have).detach().flatten(1)
        assert torch.equal(have, code.values())
    assert all(type(m) in (nn.Conv2d, nn.Linear) for m in floats)  # nothing changed


@pytest.mark.parametrize("group", ["row", "slice"])
def test_attention_keeps_outputs_better_than_no_weighting(float_conv, digits, group):
    images = digits.train.images[:64].reshape(-1, 1, 8, 8)
    coding = {"alpha": "float", "method": "refined", "group": group}
    if group == "slice":
        float_conv = float_conv.features  # a linear layer has no slices to speak of
    float_conv = float_conv.eval()
    plain = convert.convert_to_planes(float_conv, 1, coding=coding)
    weighted = convert.convert_to_planes(float_conv, 1, coding=coding, images=images, steps=30)
    with torch.no_grad():
        wanted = float_conv(images.float())
        first = [net(images.float()) for net in (plain, weighted)]
    errors = [float((y - wanted).square().mean()) for y in first]
    assert errors[1] < errors[0]


def test_importance_and_images_exclude_each_other(float_net, digits):
    with pytest.raises(ValueError, match=r"^planes: give images, or an importance in coding"):
        convert.convert_to_planes(
            float_net, 2, coding={"importance": "l1"}, images=digits.train.images[:8]
        )
    with pytest.raises(ValueError, match=r"^planes: the network has no float linear"):
        convert.convert_to_planes(nn.ReLU(), 2)


def test_pruning_half_of_normal_weights_takes_7_percent_of_the_energy():
    layer = nn.Linear(1000, 400, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.random.default_rng(0).standard_normal((400, 1000))))
    before = layer.weight.detach().clone()
    assert convert.prune_share(layer, 0.5) == 0.5
    lost = (before.square().sum() - layer.weight.square().sum()) / before.square().sum()
    assert lost.item() == pytest.approx(0.0713, abs=0.0005)
    assert before[layer.weight == 0].abs().max().item() == pytest.approx(0.6745, abs=0.005)


def test_the_mask_stays_under_training_and_kept_weights_move(digits):
    net = zoo.create("mlp", hidden=(16,), weight="float", act="float")
    share = convert.prune_by_spread(net, 0.7)
    layers = [m for m in net.modules() if isinstance(m, nn.Linear)]
    before = [layer.weight.detach().clone() for layer in layers]
    train.fit(net, digits, recipe="float", epochs=1)
    for layer, old in zip(layers, before, strict=True):
        assert torch.equal(layer.weight == 0, old == 0)
        assert not torch.equal(layer.weight, old)
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
    assert share == pytest.approx(zeros / sum(layer.weight.numel() for layer in layers))


def test_sparsity_rises_with_the_threshold_and_pruned_weights_stay_pruned():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(30, 20), nn.Conv2d(3, 5, 3))
    shares, masks = [], []
    for quality in (0.1, 0.5, 1.0, 1.5):
        shares.append(convert.prune_by_spread(net, quality))
        masks.append(net[0].weight == 0)
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]
    assert all((a <= b).all() for a, b in pairwise(masks))
    assert convert.prune_share(net, 0.0) == shares[-1]


def test_pruned_zeros_stay_zeros_of_ternary_weights():
    torch.manual_seed(0)
    layer = TernaryLinear(40, 10)
    convert.prune_share(layer, 0.6)
    value = layer.quant_weight().value
    assert (value[layer.weight == 0] == 0).all()
    value.sum().backward()
    original = layer.parametrizations.weight.original
    assert torch.equal(original.grad != 0, layer.weight != 0)


def test_shared_values_start_as_means_and_their_gradient_is_the_sum_of_their_weights():
    torch.manual_seed(0)
    layer = nn.Linear(40, 30, bias=False)
    convert.prune_share(layer, 0.25)
    before = layer.weight.detach().clone()
    convert.share_weights(layer, 2)
    weight = layer.weight.detach().clone()
    place = layer.parametrizations.weight[0].place
    assert torch.equal(place < 0, before == 0)
    assert (weight[place < 0] == 0).all()
    assert len(weight[place >= 0].unique()) == 4
    for value in range(4):
        mean = before[place == value].mean()
        assert torch.allclose(weight[place == value], mean)
        # each weight is at the nearest of the means
        others = layer.parametrizations.weight.original.detach()
        distance = (before[place == value][:, None] - others).abs()
        assert (distance.argmin(dim=1) == value).all()
    upstream = torch.randn(30, 40)
    layer.weight.backward(upstream)
    sums = torch.stack([upstream[place == value].sum() for value in range(4)])
    assert torch.allclose(layer.parametrizations.weight.original.grad, sums, atol=1e-5)


def test_pruning_a_network_leaves_its_copies_alone():
    net = nn.Linear(8, 4)
    convert.prune_share(net, 0.25)
    twin = copy.deepcopy(net)
    convert.prune_share(net, 0.5)
    convert.share_weights(net, 1)
    assert int((twin.weight == 0).sum()) == 8
    assert int((net.weight == 0).sum()) == 16
    twin.weight.sum().backward()


def test_weights_that_are_made_otherwise_are_not_pruned():
    net = zoo.create("mlp", hidden=(4,), weight="shift-ps3")
    with pytest.raises(ValueError, match=r"^prune: the weight of layer 'blocks\.0\.0' is made by "):
        convert.prune_share(net, 0.5)


def test_sharing_few_distinct_weights_is_exact():
    layer = nn.Linear(6, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 1.0, -2.0, 1.0, 0.0, 3.0]] * 2))
    before = layer.weight.detach().clone()
    convert.share_weights(layer, 2)
    assert torch.equal(layer.weight, before)
    assert parametrize.is_parametrized(layer, "weight")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convert.prune_by_spread(nn.Linear(2, 2), 0.0), "quality must be > 0, got 0.0"),
        (lambda: convert.prune_share(nn.Linear(2, 2), 1.0), "share must be in [0, 1), got 1.0"),
        (lambda: convert.share_weights(nn.Linear(2, 2), 9), "bits must be 1 to 8, got 9"),
        (
            lambda: convert.prune_share(nn.ReLU(), 0.5),
            "the network has no linear or convolution layer",
        ),
        (lambda: Synthesis(images=1), "images must be >= 2, got 1"),
        (lambda: Synthesis(steps=0), "steps must be >= 1, got 0"),
        (lambda: Synthesis(lr=0.0), "lr must be > 0, got 0.0"),
    ],
)
def test_arguments_out_of_range(call, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        call()
    assert str(error.value).split(": ", 1)[1] == message


@pytest.mark.parametrize("name", ["float_net", "float_conv"])
def test_images_are_legal_and_do_what_they_are_made_for(name, request):
    net = request.getfixturevalue(name).eval()
    synthesis = Synthesis(images=40, steps=60)
    loud, usual = response_images(net, synthesis), statistic_images(net, synthesis)
    for images in (loud, usual):
        assert images.shape == (40, *net.input_shape)
        assert torch.equal(images, images.round())
        assert images.min() >= 0
        assert images.max() <= 31
    noise = torch.randint(0, 32, loud.shape).float()
    classes = torch.arange(40) % 10
    with torch.no_grad():
        loud_logits, noise_logits = net(loud), net(noise)
    assert torch.equal(loud_logits.argmax(dim=1), classes)
    assert (loud_logits.max(dim=1).values > noise_logits.max(dim=1).values.mean()).all()
    # the clips of loud images are those of statistic-matched ones at least
    clips, quiet = activation_clips(net, loud), activation_clips(net, usual)
    assert list(clips) == list(quiet)
    assert all(clips[act] >= quiet[act] for act in clips)
    assert torch.equal(loud, response_images(net, synthesis))


def batchnorm_differences(net, images):
    """Squared distances of the statistics before each BatchNorm from the remembered ones."""
    totals = []

    def compare(norm, args):
        values = args[0].transpose(0, 1).flatten(1)
        totals.append(float((values.mean(dim=1) - norm.running_mean).square().mean()))
        totals.append(float((values.var(dim=1) - norm.running_var).square().mean()))

    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    handles = [norm.register_forward_pre_hook(compare) for norm in norms]
    with torch.no_grad():
        net.eval()(images.float())
    for handle in handles:
        handle.remove()
    return totals


def test_statistic_images_are_nearer_to_the_statistics_than_noise(float_net):
    images = statistic_images(float_net, Synthesis(images=60, steps=80))
    noise = torch.randint(0, 17, images.shape)
    ours, theirs = (batchnorm_differences(float_net, x) for x in (images, noise))
    assert sum(ours) < 0.2 * sum(theirs)


@pytest.mark.parametrize("name", ["float_net", "float_conv"])
def test_batchnorm_gets_the_statistics_of_the_quantized_network_and_nothing_else_changes(
    name, request
):
    net = request.getfixturevalue(name)
    coded = convert.convert_network(net, weight="planes2", act="wrpn4")
    images = torch.randint(0, 17, (50, *net.input_shape))
    before = {key: tensor.clone() for key, tensor in coded.state_dict().items()}
    assert max(batchnorm_differences(coded, images)) > 1e-3
    reestimate_batchnorm(coded.train(), images)
    assert coded.training
    assert batchnorm_differences(coded, images) == [0.0] * len(batchnorm_differences(coded, images))
    for key, tensor in coded.state_dict().items():
        is_statistic = key.endswith(("running_mean", "running_var"))
        assert torch.equal(tensor, before[key]) != is_statistic


@pytest.mark.parametrize(
    ("weight", "loss"), [("planes3", 0.04), ("wrpn4", 0.04), ("ternary-cosine", 0.10)]
)
def test_activations_without_data_keep_most_of_the_accuracy(weight, loss, float_net, digits):
    before = train.evaluate(float_net, digits.test)
    net = convert.quantize_without_data(float_net, weight=weight, act_bits=4)
    assert train.evaluate(net, digits.test) >= before - loss
    acts = [m for m in net.modules() if isinstance(m, FixedIntervalAct)]
    assert len(acts) == 2
    assert zoo.describe(net)["act"] == "wrpn4"
    clips = activation_clips(float_net, response_images(float_net, Synthesis()))
    for act, clip in zip(acts, clips.values(), strict=True):
        top = act(torch.tensor([1e9])).item()
        assert top == pytest.approx(clip, rel=1e-6)


def test_a_checkpoint_holds_the_clips(float_net, digits, tmp_path):
    net = convert.quantize_without_data(float_net, weight="wrpn4", act_bits=4)
    twin = zoo.create(**zoo.describe(net))
    twin.load_state_dict(net.state_dict())
    images = digits.test.images[:50].float()
    assert torch.equal(twin.eval()(images), net.eval()(images))


def test_networks_outside_the_zoo_need_shape_and_datatype(float_net):
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"^data-free: the network has no input_shape$"):
        convert.quantize_without_data(net, weight="planes2")
    net.input_shape, net.input_dtype = (4,), "INT4"
    quantized = convert.quantize_without_data(
        net, weight="planes2", synthesis=Synthesis(images=8, steps=5)
    )
    assert isinstance(quantized[2], FixedIntervalAct)
    bare = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    bare.input_shape, bare.input_dtype = (4,), "INT4"
    with pytest.raises(ValueError, match="has no BatchNorm"):
        convert.quantize_without_data(bare, weight="planes2")


def test_nothing_data_free_takes_data():
    names = set(inspect.signature(convert.quantize_without_data).parameters)
    assert names == {"net", "weight", "act_bits", "synthesis"}
    for function in (response_images, statistic_images):
        assert set(inspect.signature(function).parameters) == {"net", "synthesis"}


def test_a_dead_activation_is_named():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.fill_(-1.0)
    with pytest.raises(ValueError, match=r"^data-free: '1' is 0 for all images"):
        activation_clips(net, torch.ones(3, 2))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_fixed_precision_computes_as_the_nested_network_does(bits, digits):
    net = zoo.create("mlp", hidden=(12, 8), weight="nested8", act="int4")
    net.train()
    for precision in (2, 4, 8):
        set_precision(net, precision)
        net(digits.train.images[:100].float())
    fixed = convert.fixed_precision(net, bits)
    assert [type(m) for m in fixed.blocks[0]][1] is nn.BatchNorm1d
    set_precision(net, bits)
    images = digits.test.images[:50].float()
    assert torch.equal(fixed.eval()(images), net.eval()(images))
    set_precision(net, 8)
    assert torch.equal(fixed(images), fixed(images))
    with pytest.raises(ValueError, match="precision 3 is none of"):
        convert.fixed_precision(net, 3)


def test_clips_are_peaks(float_net):
    images = torch.randint(0, 17, (30, 64)).float()
    clips = activation_clips(float_net, images)
    with torch.no_grad():
        first = float_net.eval().blocks[0](images)
    assert clips["blocks.0.2"] == first.max().item()
    assert math.isfinite(clips["blocks.1.2"])
