from __future__ import annotations

import signal

import pytest
from safetensors import safe_open

from popshift.models import train, zoo

from .tiny import EPOCHS, same_weights, tiny


def errors_of(capture):
    return str(capture.value)


@pytest.fixture
def interrupts():
    """Python's own answer to Ctrl-C, which a shell takes away from what it starts with ``&``."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def uninterrupted(digits):
    net = tiny()
    return net, train.fit(net, digits, epochs=EPOCHS)


@pytest.mark.usefixtures("interrupts")
def test_ctrl_c_leaves_a_state_that_ends_in_the_same_weights(digits, uninterrupted, tmp_path):
    checkpoint = tmp_path / "net.safetensors"
    net, calls = tiny(), []

    def interrupt(*_):
        calls.append(1)
        if len(calls) == 45:  # in the third epoch: 19 batches and a validation each
            signal.raise_signal(signal.SIGINT)

    handle = net.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        train.fit(net, digits, epochs=EPOCHS, checkpoint=checkpoint)
    handle.remove()
    resumed, seen = tiny(seed=9), []
    result = train.fit(
        resumed, digits, epochs=EPOCHS, checkpoint=checkpoint, resume=True, on_epoch=seen.append
    )
    assert [record.epoch for record in seen] == [3, 4]
    assert same_weights(resumed, uninterrupted[0])
    assert result.history == uninterrupted[1].history
    assert same_weights(train.load(checkpoint), uninterrupted[0])
    assert {path.name for path in tmp_path.iterdir()} == {
        "net.safetensors",
        "net.state.safetensors",
    }


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_in_the_first_epoch_can_be_resumed(digits, uninterrupted, tmp_path):
    checkpoint = tmp_path / "net.safetensors"
    net = tiny()
    handle = net.register_forward_pre_hook(lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train.fit(net, digits, epochs=EPOCHS, checkpoint=checkpoint)
    handle.remove()
    resumed = tiny(seed=9)
    train.fit(resumed, digits, epochs=EPOCHS, checkpoint=checkpoint, resume=True)
    assert same_weights(resumed, uninterrupted[0])


def test_resuming_a_finished_training_repeats_nothing(digits, uninterrupted, tmp_path):
    checkpoint = tmp_path / "net.safetensors"
    first = train.fit(tiny(), digits, epochs=2, checkpoint=checkpoint)
    net, seen = tiny(seed=9), []
    again = train.fit(
        net, digits, epochs=2, checkpoint=checkpoint, resume=True, on_epoch=seen.append
    )
    assert seen == []
    assert again == first


def test_without_resume_training_starts_over(digits, tmp_path):
    checkpoint = tmp_path / "net.safetensors"
    seen = []
    for _ in range(2):
        train.fit(tiny(), digits, epochs=1, checkpoint=checkpoint, on_epoch=seen.append)
    assert [record.epoch for record in seen] == [1, 1]


def test_checkpoint_says_what_it_is_and_loads_without_its_network(digits, tmp_path):
    checkpoint = tmp_path / "net.safetensors"
    net = tiny()
    result = train.fit(net, digits, epochs=2, seed=5, checkpoint=checkpoint)
    other = tiny(seed=9)
    note = train.load_weights(other, checkpoint)
    assert (note["epoch"], note["seed"]) == (result.best_epoch, 5)
    assert note["config_hash"] == result.config_hash
    assert note["config"]["net"]["hidden"] == [24, 16]
    assert same_weights(other, net)
    loaded = train.load(checkpoint)
    assert loaded.config == net.config
    assert same_weights(loaded, net)
    with safe_open(checkpoint, framework="pt") as file:  # plain safetensors
        assert set(file.keys()) == set(net.state_dict())


@pytest.mark.parametrize("suffix", ["", ".state"])
@pytest.mark.parametrize("damage", ["empty", "header", "half", "last byte", "flipped bit"])
def test_damaged_files_are_refused(digits, tmp_path, suffix, damage):
    checkpoint = tmp_path / "net.safetensors"
    train.fit(tiny(), digits, epochs=1, checkpoint=checkpoint)
    path = tmp_path / f"net{suffix}.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flipped bit":
        content[-5] ^= 4
    else:
        keep = {"empty": 0, "header": 20, "half": len(content) // 2, "last byte": -1}[damage]
        del content[keep:]
    path.write_bytes(content)

    def read():
        if suffix:
            train.fit(tiny(), digits, epochs=1, checkpoint=checkpoint, resume=True)
        train.load(checkpoint)

    with pytest.raises(ValueError, match=rf"net{suffix}.safetensors: damaged .*train again$"):
        read()


def test_missing_checkpoint_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"none.safetensors: there is no such file; train first$"):
        train.load(tmp_path / "none.safetensors")


def test_checkpoint_of_another_network_names_the_difference(digits, tmp_path):
    checkpoint = tmp_path / "net.safetensors"
    train.fit(tiny(), digits, epochs=1, checkpoint=checkpoint)
    wider = zoo.create("mlp", hidden=(24, 17))
    with pytest.raises(
        ValueError, match=r"'blocks\.1\.0\.weight' has shape \(16, 24\), the network \(17, 24\)$"
    ):
        train.load_weights(wider, checkpoint)
    deeper = zoo.create("mlp", hidden=(24, 16, 16))
    with pytest.raises(ValueError, match=r"lacks 'blocks\.2\..*; it holds another network$"):
        train.load_weights(deeper, checkpoint)


def test_resume_with_other_settings_names_the_difference(digits, tmp_path):
    checkpoint = tmp_path / "net.safetensors"
    train.fit(tiny(), digits, epochs=1, checkpoint=checkpoint)
    with pytest.raises(ValueError, match=r"was trained with recipe\.lr=0\.03, not 0\.1; "):
        train.fit(tiny(), digits, epochs=1, lr=0.1, checkpoint=checkpoint, resume=True)
    with pytest.raises(ValueError, match=r"was trained with run\.seed=0, not 1; "):
        train.fit(tiny(), digits, epochs=1, seed=1, checkpoint=checkpoint, resume=True)


def test_a_failed_write_keeps_the_old_checkpoint(digits, tmp_path, monkeypatch):
    checkpoint = tmp_path / "net.safetensors"
    train.fit(tiny(), digits, epochs=1, checkpoint=checkpoint)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        train.fit(tiny(seed=1), digits, epochs=1, checkpoint=checkpoint)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
