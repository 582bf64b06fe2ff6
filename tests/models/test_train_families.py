"""Training of networks whose layers ask for more than gradients."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
import torch
from torch import nn

from popshift.models import train, zoo
from popshift.models.layers import AdderLinear, ShiftLinear, ShiftSign, SignSparseShift
from popshift.models.train.hooks import Hooks, make_optimizer
from popshift.models.train.recipes import RECIPES, Recipe

FAMILIES = [
    ("shift-q5", "shift-q"),
    ("shift-ps3", "shift-ps"),
    ("s3", "s3"),
    ("adder4", "adder"),
]
LEAST = {"shift-ps3": 0.85}  # exponents travel for longer


def originals(layer):
    return list(layer.parametrizations.weight.parameters())


def groups_of(net, **recipe):
    optimizer = make_optimizer(net, Recipe(name="x", **recipe))
    return [([id(p) for p in g["params"]], g["weight_decay"]) for g in optimizer.param_groups]


@pytest.mark.parametrize("optimizer", ["adam", "radam", "sgd"])
def test_decay_spares_the_parameters_that_a_layer_exempts(optimizer):
    net = nn.Sequential(
        ShiftLinear(4, 3, form=ShiftSign()),
        nn.Linear(3, 3),
        ShiftLinear(3, 2, form=SignSparseShift()),
    )
    exempt = [id(p) for p in originals(net[0])]
    rest = [id(p) for p in net.parameters() if id(p) not in exempt]
    assert groups_of(net, optimizer=optimizer, weight_decay=0.1) == [(rest, 0.1), (exempt, 0.0)]
    assert groups_of(net[1], weight_decay=0.1) == [([id(p) for p in net[1].parameters()], 0.1)]


def test_frozen_parameters_are_not_trained():
    net = ShiftLinear(4, 3, form=ShiftSign(freeze_sign=True))
    assert groups_of(net) == [([id(originals(net)[1])], 0.0)]


def test_optimizers_have_the_settings_of_the_recipe():
    net = nn.Linear(2, 2)
    sgd = make_optimizer(net, Recipe(name="x", optimizer="sgd", momentum=0.5, lr=0.25))
    assert (type(sgd), sgd.defaults["momentum"], sgd.defaults["lr"]) == (torch.optim.SGD, 0.5, 0.25)
    assert type(make_optimizer(net, Recipe(name="x", optimizer="radam"))) is torch.optim.RAdam
    assert type(make_optimizer(net, Recipe(name="x"))) is torch.optim.Adam


def test_penalties_of_all_layers_are_weighted_by_the_recipe():
    net = nn.Sequential(*(ShiftLinear(3, 3, form=SignSparseShift()) for _ in range(2)))
    total = sum(float(layer.penalty().detach()) for layer in net)
    assert total > 0
    images, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    plain = Recipe(name="x")
    without, weighted = (
        float(Hooks(net, recipe).loss(images, labels).detach())
        for recipe in (plain, replace(plain, penalty=0.5))
    )
    assert without == float(plain.compute_loss(net(images), labels).detach())
    assert weighted == pytest.approx(without + 0.5 * total)


def test_gradients_are_scaled_only_where_the_recipe_has_a_rate():
    torch.manual_seed(0)
    net = nn.Sequential(AdderLinear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    for rate in (0.0, 0.2):
        net.zero_grad()
        net(torch.randn(6, 5)).square().sum().backward()
        before = [p.grad.clone() for p in net.parameters()]
        Hooks(net, Recipe(name="x", layer_rate=rate)).before_step()
        unchanged = [torch.equal(p.grad, g) for p, g in zip(net.parameters(), before, strict=True)]
        assert unchanged == [rate == 0, True, True, True, True]
    assert float(net[0].weight.grad.square().mean().sqrt()) == pytest.approx(0.2)


def test_recipes_have_the_published_settings():
    adder, s3, ps = (RECIPES[name] for name in ("adder", "s3", "shift-ps"))
    assert (adder.optimizer, adder.momentum, adder.schedule) == ("sgd", 0.9, "cosine")
    assert (adder.lr, adder.weight_decay, adder.layer_rate) == (0.1, 5e-4, 0.2)
    assert (s3.penalty, s3.schedule) == (1e-5, "cosine")
    assert (ps.optimizer, ps.weight_decay) == ("radam", 0.0)


@pytest.mark.parametrize(("weight", "recipe"), FAMILIES)
def test_families_learn_the_digits(weight, recipe, digits):
    net = zoo.create("mlp", hidden=(48,), weight=weight, act="uint4")
    result = train.fit(net, digits, recipe=recipe, epochs=10)
    assert result.test_accuracy > LEAST.get(weight, 0.92)
    assert train.evaluate(net, digits.test) == result.test_accuracy


@pytest.fixture
def interrupts():
    """Python's own answer to Ctrl-C, which a shell takes away from what it starts with ``&``."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize(("weight", "recipe"), FAMILIES)
def test_an_interrupted_training_ends_in_the_same_weights(weight, recipe, digits, tmp_path):
    """Moments of every optimizer and the tensors of every parametrization come back."""

    def fit(net, **options):
        return train.fit(net, digits, recipe=recipe, epochs=3, **options)

    def make(seed):
        return zoo.create("mlp", hidden=(12,), weight=weight, act="uint4", seed=seed)

    whole, checkpoint, calls = make(0), tmp_path / "net.safetensors", []
    expected = fit(whole)
    broken = make(0)

    def interrupt(*_):
        calls.append(1)
        if len(calls) == 45:  # in the third epoch: 19 batches and a validation each
            signal.raise_signal(signal.SIGINT)

    broken.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, checkpoint=checkpoint)
    resumed = make(9)
    result = fit(resumed, checkpoint=checkpoint, resume=True)
    assert result.history == expected.history
    state = whole.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in resumed.state_dict().items())
    loaded = train.load(checkpoint)
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())


def test_sgd_without_momentum_can_be_resumed(digits, tmp_path):
    recipe = Recipe(name="x", optimizer="sgd", momentum=0.0, epochs=1)
    checkpoint = tmp_path / "net.safetensors"
    net = zoo.create("mlp", hidden=(4,), weight="float", act="float")
    first = train.fit(net, digits, recipe=recipe, checkpoint=checkpoint)
    again = train.fit(net, digits, recipe=recipe, checkpoint=checkpoint, resume=True)
    assert again == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "recipe", "least"),
    [
        ("shift-q5", "shift-q", 0.975),
        ("shift-ps5", "shift-ps", 0.97),
        ("shift-ps3", "shift-ps", 0.975),
        ("s3", "s3", 0.975),
        ("adder4", "adder", 0.97),
    ],
)
def test_accuracy_on_the_digits(weight, recipe, least, digits):
    net = zoo.create("mlp", hidden=(128, 128), weight=weight, act="uint4")
    assert train.fit(net, digits, recipe=recipe).test_accuracy >= least
