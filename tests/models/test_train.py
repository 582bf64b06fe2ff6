from __future__ import annotations

import io
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from popshift.models import data, train, zoo
from popshift.models.quant import latent_weights
from popshift.models.train.losses import squared_hinge
from popshift.models.train.recipes import RECIPES, Recipe
from popshift.models.train.state import EpochRecord, TrainState

from .tiny import EPOCHS, same_weights, tiny


def errors_of(capture):
    return str(capture.value)


@pytest.fixture(scope="module")
def uninterrupted(digits):
    net = tiny()
    return net, train.fit(net, digits, epochs=EPOCHS)


def test_training_learns(uninterrupted):
    _, result = uninterrupted
    assert result.history[-1].loss < result.history[0].loss
    assert result.test_accuracy > 0.6
    assert [record.epoch for record in result.history] == [1, 2, 3, 4]


def test_equal_seeds_give_equal_weights(digits, uninterrupted):
    net = tiny()
    result = train.fit(net, digits, epochs=EPOCHS)
    assert same_weights(net, uninterrupted[0])
    assert result.history == uninterrupted[1].history


def test_another_seed_gives_other_weights(digits, uninterrupted):
    net = tiny()
    train.fit(net, digits, epochs=EPOCHS, seed=1)
    assert not same_weights(net, uninterrupted[0])


def test_training_leaves_torchs_random_state_alone(digits):
    state = torch.get_rng_state()
    train.fit(tiny(), digits, epochs=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_latent_weights_stay_within_one(digits):
    net = tiny()
    train.fit(net, digits, epochs=1, lr=0.5)
    for weight, low, high in latent_weights(net):
        assert (weight.min().item(), weight.max().item()) == (low, high) == (-1.0, 1.0)


def test_the_network_ends_with_its_best_epoch(digits, uninterrupted):
    net, result = uninterrupted
    accuracies = [record.val_accuracy for record in result.history]
    assert result.val_accuracy == max(accuracies) == train.evaluate(net, digits.val)
    assert result.test_accuracy == train.evaluate(net, digits.test)


def test_the_best_epoch_comes_back_when_later_ones_are_worse(digits):
    net, kept = tiny(), {}

    def spoil(record):
        if record.epoch == 2:
            kept.update({name: tensor.clone() for name, tensor in net.state_dict().items()})
            with torch.no_grad():
                net.blocks[0][1].weight.zero_()  # every image looks the same from here on
                net.blocks[0][1].bias.fill_(9)

    result = train.fit(net, digits, epochs=3, lr=0.01, on_epoch=spoil)
    assert result.best_epoch == 2
    assert all(torch.equal(tensor, kept[name]) for name, tensor in net.state_dict().items())
    assert not net.training


def test_every_epoch_has_its_own_order_and_shows_each_image_once(digits):
    net, seen = tiny(), []
    net.register_forward_pre_hook(lambda m, args: seen.append(args[0]) if m.training else None)
    train.fit(net, digits, epochs=2, batch_size=419)  # 3 batches hold all 1,257 images
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert not torch.equal(first, second)
    for epoch in (first, second):
        assert sorted(epoch.tolist()) == sorted(digits.train.images.tolist())


def test_learning_rate_falls_over_all_steps(digits, monkeypatch):
    rates = []
    step = torch.optim.Adam.step

    def record(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", record)
    train.fit(tiny(), digits, epochs=2, batch_size=400, lr=0.6)
    assert rates == pytest.approx([0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_among_equals_the_last_epoch_is_best():
    state = TrainState(history=(), best_epoch=0, best_weights={}, seconds=0.0)
    net = torch.nn.Linear(1, 1)
    best = []
    for epoch, accuracy in enumerate((0.0, 0.5, 0.9, 0.4, 0.9, 0.8), start=1):
        with torch.no_grad():
            net.weight.fill_(epoch)
        record = EpochRecord(epoch=epoch, loss=0.0, val_accuracy=accuracy)
        state = state.after(record, net, 1.0)
        best.append((state.best_epoch, float(state.best_weights["weight"])))
    assert best == [(1, 1.0), (2, 2.0), (3, 3.0), (3, 3.0), (5, 5.0), (5, 5.0)]


def test_test_images_have_no_part_in_any_choice(digits, uninterrupted):
    wrong = replace(digits.test, labels=(digits.test.labels + 1) % 10)
    net = tiny()
    result = train.fit(net, replace(digits, test=wrong), epochs=EPOCHS)
    assert same_weights(net, uninterrupted[0])
    assert result.test_accuracy < 0.2


def test_float_twin_trains(digits):
    net = tiny(weight="float", act="float")
    assert train.fit(net, digits, recipe="float", epochs=5).test_accuracy > 0.85


def test_quiet_when_not_a_terminal(digits, capfd):
    train.fit(tiny(), digits, epochs=1)
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_standard_error_on_demand(digits, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    train.fit(tiny(), digits, epochs=2, progress=True)
    assert "2/2" in screen.getvalue()
    assert "validation" in screen.getvalue()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "sgd"}, f"train: no recipe 'sgd'; known: {', '.join(RECIPES)}"),
        ({"epochs": 0}, "recipe: epochs must be >= 1, got 0"),
        ({"batch_size": 1}, "recipe: BatchNorm needs batch_size >= 2, got 1"),
        ({"batch_size": 2000}, "train: batch_size=2000 exceeds the 1257 images to train"),
        ({"lr": 0.0}, "recipe: lr must be > 0 and finite, got 0.0"),
        ({"resume": True}, "train: resume=True needs checkpoint=, the file of that training"),
        (
            {"checkpoint": "no/folder/net.safetensors"},
            "train: checkpoint no/folder/net.safetensors: its folder does not exist; create it",
        ),
    ],
)
def test_wrong_arguments_say_what_is_allowed(digits, options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        train.fit(tiny(), digits, **options)
    assert errors_of(error) == message


def test_network_and_data_must_fit(digits):
    with pytest.raises(ValueError, match=r"takes \(16,\), images of digits are \(64,\)$"):
        train.fit(zoo.create("mlp", in_features=16), digits)
    with pytest.raises(ValueError, match=r"takes BIPOLAR, images of digits are UINT5; "):
        train.fit(zoo.create("tfc", in_features=64), digits)


def test_a_loss_that_is_not_finite_stops_the_training(digits):
    net = tiny()
    with torch.no_grad():
        net.scale.log_scale.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"^train: the loss is nan in epoch 1; lower lr=0.03$"):
        train.fit(net, digits, epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "mse"}, "recipe: loss='mse' is none of cross_entropy, squared_hinge"),
        ({"schedule": "step"}, "recipe: schedule='step' is none of constant, linear, cosine"),
        ({"optimizer": "lion"}, "recipe: optimizer='lion' is none of adam, radam, sgd"),
        ({"label_smoothing": 1.0}, "recipe: label_smoothing must be in [0, 1), got 1.0"),
        ({"momentum": 1.0}, "recipe: momentum must be in [0, 1), got 1.0"),
        ({"weight_decay": -1.0}, "recipe: weight_decay must be >= 0 and finite, got -1.0"),
        ({"penalty": float("inf")}, "recipe: penalty must be >= 0 and finite, got inf"),
        ({"layer_rate": -0.1}, "recipe: layer_rate must be >= 0 and finite, got -0.1"),
        (
            {"loss": "squared_hinge", "label_smoothing": 0.1},
            "recipe: loss='squared_hinge' takes no label_smoothing; set it to 0",
        ),
    ],
)
def test_recipes_refuse_what_they_cannot_do(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Recipe(name="x", **options)
    assert errors_of(error) == message


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [2.0, 2.0, 2.0]),
        ("linear", [2.0, 1.0, 0.0]),
        ("cosine", [2.0, 1.0, 0.0]),
    ],
)
def test_learning_rate_at_start_middle_and_end(schedule, rates):
    recipe = Recipe(name="x", lr=2.0, schedule=schedule)
    assert [recipe.learning_rate(p) for p in (0.0, 0.5, 1.0)] == pytest.approx(rates)


def test_squared_hinge_is_the_papers_formula():
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(6, 4)) * 2, rng.integers(0, 4, size=6)
    target = -np.ones((6, 4))
    target[np.arange(6), labels] = 1
    expected = np.mean(np.maximum(0, 1 - target * logits) ** 2)
    loss = squared_hinge(torch.from_numpy(logits), torch.from_numpy(labels))
    assert float(loss) == pytest.approx(expected)


def test_the_papers_recipe_trains(digits):
    assert RECIPES["bnn-hinge"].loss == "squared_hinge"
    assert train.fit(tiny(), digits, recipe="bnn-hinge", epochs=15).test_accuracy > 0.6


@pytest.mark.slow
def test_digits_accuracy_over_three_seeds(digits):
    accuracies = []
    for seed in range(3):
        net = zoo.create("mlp", seed=seed)
        accuracies.append(train.fit(net, digits, seed=seed).test_accuracy)
    assert sum(accuracies) / 3 >= 0.965, accuracies


def test_a_convolutional_network_trains_and_loads(tmp_path):
    images, checkpoint = data.load("digits-8"), tmp_path / "net.safetensors"
    net = zoo.create("digits-cnn", features=(8, "max2", 16, "max2"), weight="int2", act="int2")
    result = train.fit(net, images, epochs=3, checkpoint=checkpoint)
    assert result.history[-1].loss < result.history[0].loss
    loaded = train.load(checkpoint)
    assert loaded.config == net.config
    assert same_weights(loaded, net)
    assert train.evaluate(loaded, images.test) == result.test_accuracy > 0.6


def test_images_of_bytes_train_as_wider_integers_do(digits):
    def narrow(subset):
        return replace(subset, images=subset.images.to(torch.uint8))

    parts = {name: narrow(getattr(digits, name)) for name in ("train", "val", "test")}
    nets = tiny(), tiny()
    train.fit(nets[0], digits, epochs=1)
    train.fit(nets[1], replace(digits, **parts), epochs=1)
    assert same_weights(*nets)


@pytest.mark.slow
@pytest.mark.long
def test_digits_cnn_accuracy_over_three_seeds():
    images = data.load("digits-8")
    accuracies = []
    for seed in range(3):
        net = zoo.create("digits-cnn", seed=seed)
        accuracies.append(train.fit(net, images, seed=seed).test_accuracy)
    assert sum(accuracies) / 3 >= 0.96, accuracies
