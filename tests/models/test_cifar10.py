from __future__ import annotations

import hashlib
import os
import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from popshift.models import data
from popshift.models.data.cifar10 import BINARY, PYTHON, cifar10
from popshift.models.data.unpickle import load_plain

IMAGES = 40
BATCHES = [*(f"data_batch_{index}" for index in range(1, 6)), "test_batch"]


def text(value):
    """A string as Python 2 pickles it."""
    value = value.encode() if isinstance(value, str) else value
    return b"T" + struct.pack("<i", len(value)) + value


def number(value):
    return b"J" + struct.pack("<i", value)


def byte_array(array, element="u1", order=b"\x89"):
    """An array as NumPy of Python 2 pickles it: reconstruct, then set version, shape, type, data."""
    dtype = b"cnumpy\ndtype\n(" + text(element) + number(0) + number(1) + b"tR"
    dtype += b"(" + number(3) + text("|") + b"NNN" + number(-1) * 2 + number(0) + b"tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + number(0) + b"t"
    shape = b"(" + b"".join(map(number, array.shape)) + b"t"
    state = b"(" + number(1) + shape + dtype + order + text(array.tobytes("A")) + b"t"
    return empty + text("b") + b"tR" + state + b"b"


def python_batch(pixels, labels):
    """A batch of the python version: a dictionary that Python 2 pickled by protocol 2."""
    entries = [text("batch_label"), text("training batch 1 of 5")]
    entries += [text("labels"), b"](" + b"".join(map(number, labels)) + b"e"]
    order = b"\x88" if pixels.flags.f_contiguous else b"\x89"
    entries += [text("data"), byte_array(pixels, order=order)]
    entries += [text("filenames"), b"](" + b"".join(text(f"{n}.png") for n in labels) + b"e"]
    return b"\x80\x02}(" + b"".join(entries) + b"u."


def batch(index):
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 256, (IMAGES, 3072), dtype=np.uint8)
    pixels[0, :2] = 0, 255
    return pixels, [(3 * number + index) % 10 for number in range(IMAGES)]


def write_python(folder):
    folder.mkdir(exist_ok=True)
    md5 = {}
    for index, name in enumerate(BATCHES):
        content = python_batch(*batch(index))
        (folder / name).write_bytes(content)
        md5[name] = hashlib.md5(content).hexdigest()
    return replace(PYTHON, md5=md5)


def write_binary(folder):
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(BATCHES):
        pixels, labels = batch(index)
        records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return BINARY


VERSIONS = [(write_python, "cifar-10-batches-py"), (write_binary, "cifar-10-batches-bin")]


@pytest.mark.parametrize(("write", "name"), VERSIONS)
@pytest.mark.parametrize("is_nested", [True, False])
def test_both_versions_give_every_image_with_its_label(write, name, is_nested, tmp_path):
    release = write(tmp_path / name if is_nested else tmp_path)
    split = cifar10(tmp_path, release=release, batch_images=IMAGES)
    assert (len(split.train), len(split.val), len(split.test)) == (180, 20, 40)
    assert (split.name, split.image_shape, split.input_dtype) == ("cifar10", (3, 32, 32), "UINT8")
    pixels, labels = batch(5)
    np.testing.assert_array_equal(split.test.images.flatten(1), pixels)
    assert split.test.labels.tolist() == labels
    known = {
        row.tobytes(): label for index in range(5) for row, label in zip(*batch(index), strict=True)
    }
    seen = set()
    for part in (split.train, split.val):
        rows = [row.tobytes() for row in part.images.flatten(1).numpy()]
        assert [known[row] for row in rows] == part.labels.tolist()
        seen.update(rows)
    assert seen == set(known)
    assert torch.bincount(split.val.labels, minlength=10).tolist() == [2] * 10


def test_versions_hold_the_same_parts(tmp_path):
    python, binary = (
        cifar10(tmp_path, release=write(tmp_path / name), batch_images=IMAGES)
        for write, name in VERSIONS
    )
    assert torch.equal(python.train.images, binary.train.images)
    assert torch.equal(python.val.labels, binary.val.labels)


def test_the_version_that_is_there_is_read(tmp_path):
    write_binary(tmp_path / "cifar-10-batches-bin")
    with pytest.raises(ValueError, match=r"data_batch_1.bin has 122920 bytes instead of 30730000"):
        data.load("cifar10", folder=tmp_path)


@pytest.mark.parametrize("name", BATCHES)
def test_missing_file_is_named_with_its_source(name, tmp_path):
    for write, folder in VERSIONS:
        release = write(tmp_path / folder)
        suffix = ".bin" if write is write_binary else ""
        (tmp_path / folder / f"{name}{suffix}").unlink()
        with pytest.raises(
            ValueError,
            match=rf"lacks {name}{suffix}; get it from the page 'The CIFAR-10 dataset' and unpack",
        ):
            cifar10(tmp_path, release=release, batch_images=IMAGES)


def test_empty_folder_asks_for_the_python_version(tmp_path):
    with pytest.raises(ValueError, match=r"lacks data_batch_1; get it from the page"):
        data.load("cifar10", folder=tmp_path)


def test_another_file_than_the_published_one_is_refused(tmp_path):
    write_python(tmp_path)
    with pytest.raises(ValueError, match=r"has MD5 [0-9a-f]{32}, the published file c99cafc1"):
        data.load("cifar10", folder=tmp_path)


@pytest.mark.parametrize(
    ("size", "last_label", "message"),
    [
        (-1, 0, r"test_batch.bin has 122919 bytes instead of 122920; get it again$"),
        (0, 10, r"test_batch.bin has label 10, the largest is 9$"),
    ],
)
def test_damaged_binary_files_are_refused(size, last_label, message, tmp_path):
    release = write_binary(tmp_path)
    path = tmp_path / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[-3073] = last_label
    path.write_bytes(content[: size or None])
    with pytest.raises(ValueError, match=message):
        cifar10(tmp_path, release=release, batch_images=IMAGES)


@pytest.mark.parametrize("keep", [0, 1, 30, 300, 60_000, -1])
def test_truncated_pickles_are_refused(keep, tmp_path):
    write_python(tmp_path)
    path = tmp_path / "data_batch_2"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"^data: cifar10: {path} is no pickle of plain values"):
        cifar10(tmp_path, release=replace(PYTHON, md5={}), batch_images=IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps([1, 2]), "holds a list instead of a dictionary"),
        (pickle.dumps({b"labels": [1]}), "has no entry 'data'"),
        (python_batch(batch(0)[0][:, :9], batch(0)[1]), "data must be 40 x 3072 bytes"),
        (python_batch(batch(0)[0], batch(0)[1][:-1]), "labels must be a list of 40 integers"),
        (python_batch(batch(0)[0], [-1] * 40), "labels must be a list of 40 integers"),
        (python_batch(batch(0)[0], [10] * 40), "has label 10, the largest is 9"),
    ],
)
def test_pickles_of_something_else_are_refused(content, message, tmp_path):
    write_python(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        cifar10(tmp_path, release=replace(PYTHON, md5={}), batch_images=IMAGES)


def test_arrays_in_either_order_are_read():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for stored, order in ((array, b"\x89"), (np.asfortranarray(array), b"\x88")):
        value = load_plain(b"\x80\x02" + byte_array(stored, order=order) + b".", "x")
        np.testing.assert_array_equal(value, array)


class Malicious:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


def call_of(name, *arguments):
    return b"\x80\x02c" + name + b"\n(" + b"".join(arguments) + b"tR."


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("call", [os.mkdir, os.system, eval, exec, __import__, getattr, open])
def test_pickles_that_call_functions_run_nothing(call, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    attack = {b"data": Malicious(call, "mkdir attacked"), b"labels": [0]}
    with pytest.raises(ValueError, match=r"^x is no pickle of plain values .*: it asks for "):
        load_plain(pickle.dumps(attack, protocol), "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (call_of(b"numpy\nfromfile", text("secret")), "asks for numpy.fromfile"),
        (call_of(b"numpy\nndarray.tofile", text("x")), "asks for numpy.ndarray.tofile"),
        (call_of(b"numpy.core.multiarray\n_reconstruct.__class__"), "asks for numpy.core.multi"),
        (call_of(b"popshift.models.data.unpickle\n_ALLOWED"), "asks for popshift.models"),
        (call_of(b"numpy\nndarray", number(9)), "makes an array in an unknown way"),
        (call_of(b"numpy\ndtype", text("O")), "holds an array of b'O'"),
        (b"cnumpy\ndtype\n(N}" + text("_make") + b"cnumpy\nndarray\nstb.", "changes a function"),
        (b"cnumpy\ndtype\n" + text("_make") + text("x") + b"s.", "item assignment"),
        (b"\x80\x02Psecret\n.", "outside object"),
        (b"\x80\x02\x82\x05.", "extension"),
        (byte_array(np.zeros((2, 3), np.uint8)).replace(number(2), number(9)) + b".", "reshape"),
    ],
)
def test_tricks_of_allowed_names_are_refused(content, message):
    with pytest.raises(ValueError, match=message):
        load_plain(content, "x")


def test_after_an_attack_files_are_still_read():
    for attack in (b"(N}" + text("_make") + text("x") + b"stb.", b"}" + text("a") + b"Nsb."):
        with pytest.raises(ValueError, match="changes a function"):
            load_plain(b"cnumpy\ndtype\n" + attack, "x")
    value = load_plain(byte_array(np.arange(3, dtype=np.uint8)) + b".", "x")
    assert value.tolist() == [0, 1, 2]
