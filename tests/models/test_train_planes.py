from __future__ import annotations

import numpy as np
import pytest
import torch

from popshift.models import convert, train, zoo
from popshift.models.layers import NestedLinear, TernaryLinear, precisions_of, set_precision
from popshift.models.quant import PruneAndReset, TernaryQuant, cosine_threshold
from popshift.models.quant.pruning import equal_magnitudes, smallest_share
from popshift.models.quant.ternary import ternary_pattern
from popshift.models.train.hooks import Hooks
from popshift.models.train.recipes import RECIPES

EPOCHS = 15


@pytest.mark.parametrize(
    ("weight", "act", "accuracy"),
    [
        ("planes2", "planes2", 0.95),
        ("planes3", "planes3", 0.96),
        ("abc3", "abc3", 0.95),
        ("ternary", "binary", 0.93),
        ("ternary-pruned", "int2", 0.87),  # of which 70 % of the weights are 0
        ("wrpn2", "wrpn2", 0.93),
        ("wrpn4", "log3", 0.95),
        ("interval2", "interval2", 0.96),
        ("nested4", "int4", 0.96),
    ],
)
def test_digits_are_learned_by_every_method(weight, act, accuracy, digits):
    net = zoo.create("mlp", hidden=(64, 64), weight=weight, act=act)
    result = train.fit(net, digits, epochs=EPOCHS)
    assert result.test_accuracy >= accuracy
    for bits in precisions_of(net):
        assert train.evaluate(convert.fixed_precision(net, bits), digits.test) >= accuracy


@pytest.mark.slow
def test_digits_are_learned_by_parallel_groups(digits):
    images = digits.changed("digits-8", lambda rows: rows.reshape(-1, 1, 8, 8))
    net = zoo.create("digits-pal")
    assert train.fit(net, images, epochs=12).test_accuracy >= 0.94


def test_a_step_sums_the_gradients_of_all_precisions(digits):
    net = zoo.create("mlp", hidden=(6,), weight="nested4", act="int4")
    recipe = RECIPES["bnn"]
    hooks = Hooks(net, recipe)
    images, labels = digits.train.images[:32].float(), digits.train.labels[:32]
    net.train()
    loss = hooks.loss(images, labels)
    loss.backward()
    have = net.head.weight.grad.clone()
    net.zero_grad()
    losses = []
    for bits in (2, 3, 4):
        set_precision(net, bits)
        losses.append(recipe.compute_loss(net(images), labels))
    mean = sum(losses) / 3
    mean.backward()
    assert torch.allclose(loss, mean)
    assert torch.allclose(have, net.head.weight.grad, atol=1e-7)
    layers = [m for m in net.modules() if isinstance(m, NestedLinear)]
    assert {layer.weight_quant.tensor_quant.precision for layer in layers} == {4}


def test_pruning_and_reset_makes_the_cosine_one_and_never_lowers_it():
    rng = np.random.default_rng(0)
    for _ in range(20):
        weight = torch.from_numpy(rng.normal(size=(6, 9)))
        quantizer = TernaryQuant((6, 9), "cosine")

        def cosine(weight=weight):
            flat = weight.reshape(1, -1)
            pattern = ternary_pattern(flat, cosine_threshold(flat))
            return float((flat * pattern).sum() / (flat.norm() * pattern.norm()))

        for share in (0.2, 0.5, 0.7):
            before, kept = cosine(), quantizer.kept.clone()
            old = weight.clone()
            quantizer.prune_and_reset(weight, share)
            assert cosine() >= before
            assert cosine() == pytest.approx(1.0)
            assert int((~quantizer.kept).sum()) == round(share * 54)
            assert (quantizer.kept <= kept).all()  # what was pruned stays so
            assert (weight[~quantizer.kept] == 0).all()
            assert torch.equal(weight.sign()[quantizer.kept], old.sign()[quantizer.kept])
            # a training moves the survivors apart again
            weight += torch.from_numpy(rng.normal(size=(6, 9))) * 0.1 * quantizer.kept
        unchanged = weight.clone()
        quantizer.prune_and_reset(weight, 0.5)
        assert torch.equal(weight, unchanged)


def test_the_smallest_are_pruned_and_the_rest_keep_their_length():
    weight = torch.tensor([[0.1, -0.4], [0.3, -0.2]])
    kept = smallest_share(weight, 0.5)
    assert kept.tolist() == [[False, True], [True, False]]
    reset = equal_magnitudes(weight, kept)
    assert reset.sign().tolist() == [[0, -1], [1, 0]]
    assert reset.norm().item() == pytest.approx(0.5)
    assert smallest_share(weight, 0.0).all()
    assert equal_magnitudes(weight, torch.zeros(2, 2, dtype=torch.bool)).tolist() == [[0, 0]] * 2


def test_shares_rise_step_by_step():
    schedule = PruneAndReset(share=0.7, steps=4, until=0.6)
    shares = [schedule.share_at(epoch / 20) for epoch in range(20)]
    assert shares == sorted(shares)
    assert shares[:3] == [0, 0, 0]
    assert shares[3] == pytest.approx(0.175)
    assert shares[11] < shares[12] == pytest.approx(0.7) == shares[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.0}, "share must be in (0, 1), got 0.0"),
        ({"share": 1.0}, "share must be in (0, 1), got 1.0"),
        ({"until": 1.0}, "until must be in (0, 1), got 1.0"),
        ({"steps": 0}, "steps must be >= 1, got 0"),
    ],
)
def test_schedule_out_of_range_says_what_is_allowed(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        PruneAndReset(**options)
    assert str(error.value) == f"prune and reset: {message}"


def test_the_best_epoch_is_one_after_all_is_pruned(digits):
    net = zoo.create("mlp", hidden=(16,), weight="ternary-pruned", act="int2")
    result = train.fit(net, digits, epochs=5)
    assert result.best_epoch >= 4  # 0.6 of 5 epochs prune
    for layer in net.modules():
        if isinstance(layer, TernaryLinear):
            zeros = (layer.quant_weight().value == 0).float().mean()
            assert zeros >= 0.69
    epochs = [record.epoch for record in result.history]
    assert epochs == [1, 2, 3, 4, 5]


def test_a_resumed_training_prunes_as_an_uninterrupted_one(digits, tmp_path):
    def make():
        return zoo.create("mlp", hidden=(12,), weight="ternary-pruned", act="int2")

    whole = make()
    train.fit(whole, digits, epochs=4, seed=2)

    class Stop(Exception):
        pass

    def stop(record):
        if record.epoch == 2:
            raise Stop

    path = tmp_path / "net.safetensors"
    with pytest.raises(Stop):
        train.fit(make(), digits, epochs=4, seed=2, checkpoint=path, on_epoch=stop)
    resumed = make()
    train.fit(resumed, digits, epochs=4, seed=2, checkpoint=path, resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor)
    loaded = train.load(path)
    images = digits.test.images.float()
    assert torch.equal(loaded(images), whole(images))
