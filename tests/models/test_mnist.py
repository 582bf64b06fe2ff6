from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from popshift.models import data, train, zoo
from popshift.models.data.mnist import MNIST, mnist, mnist_28, mnist_bits

SIZES = {"train": 240, "t10k": 30}
NAMES = [f"{part}-{kind}-ubyte" for part in SIZES for kind in ("images-idx3", "labels-idx1")]


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def contents(rng):
    files = {}
    for part, size in SIZES.items():
        images = rng.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        images[0, 0, :2] = 0, 255
        files[f"{part}-images-idx3-ubyte"] = idx(images)
        files[f"{part}-labels-idx1-ubyte"] = idx((np.arange(size) % 10).astype(np.uint8))
    return files


@pytest.fixture
def files():
    return contents(np.random.default_rng(3))


def write(folder, files, packed=True):
    """Write files of MNIST's format; return the release with their checksums."""
    md5 = {}
    for name, content in files.items():
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
        md5[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    return replace(MNIST, md5=md5)


def images_of(files, part):
    raw = files[f"{part}-images-idx3-ubyte"][16:]
    return np.frombuffer(raw, np.uint8).reshape(-1, 784)


@pytest.mark.parametrize("packed", [True, False])
def test_every_image_is_in_one_part_with_its_label(files, packed, tmp_path):
    release = write(tmp_path, files, packed)
    split = mnist(tmp_path, release=release, sizes=SIZES)
    assert (len(split.train), len(split.val), len(split.test)) == (220, 20, 30)
    assert (split.image_shape, split.input_dtype, split.classes) == ((784,), "UINT8", 10)
    np.testing.assert_array_equal(split.test.images, images_of(files, "t10k"))
    np.testing.assert_array_equal(split.test.labels, np.arange(30) % 10)
    pixels = images_of(files, "train")
    known = {row.tobytes(): index % 10 for index, row in enumerate(pixels)}
    have = torch.cat([split.train.images, split.val.images]).numpy()
    assert {row.tobytes() for row in have} == set(known)
    for part in (split.train, split.val):
        rows = part.images.numpy()
        assert [known[row.tobytes()] for row in rows] == part.labels.tolist()
    assert torch.bincount(split.val.labels).tolist() == [2] * 10
    assert (int(split.train.images.min()), int(split.train.images.max())) == (0, 255)


def test_bits_and_images_are_the_same_pixels(files, tmp_path):
    release = write(tmp_path, files)
    plain, bits, images = (
        load(tmp_path, release=release, sizes=SIZES) for load in (mnist, mnist_bits, mnist_28)
    )
    assert torch.equal(bits.train.images == 1, plain.train.images >= 128)
    assert set(bits.test.images.unique().tolist()) == {-1, 1}
    assert (bits.name, bits.input_dtype, bits.image_shape) == ("mnist-bits", "BIPOLAR", (784,))
    assert torch.equal(images.val.images.flatten(1), plain.val.images)
    assert (images.name, images.input_dtype, images.image_shape) == (
        "mnist-28",
        "UINT8",
        (1, 28, 28),
    )


@pytest.mark.parametrize("name", NAMES)
def test_missing_file_is_named_with_its_source(files, name, tmp_path):
    release = write(tmp_path, files)
    (tmp_path / f"{name}.gz").unlink()
    with pytest.raises(ValueError, match=rf"lacks {name}.gz or {name}; get it from the page 'THE"):
        mnist(tmp_path, release=release, sizes=SIZES)


def test_another_file_than_the_published_one_is_refused(files, tmp_path):
    write(tmp_path, files)
    with pytest.raises(ValueError, match=r"has MD5 [0-9a-f]{32}, the published file f68b3c2d"):
        data.load("mnist", folder=tmp_path)


def change(files, name, edit):
    content = bytearray(files[name])
    edit(content)
    files[name] = bytes(content)


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        (NAMES[0], lambda c: c.pop(), r"has 188175 bytes instead of 188176; get it again$"),
        (NAMES[0], lambda c: c.append(0), r"has 188177 bytes instead of 188176; get it again$"),
        (NAMES[0], lambda c: c.__delitem__(slice(9, None)), r"ends within its header"),
        (NAMES[0], lambda c: c.clear(), r"begins with , an IDX file of bytes"),
        (NAMES[1], lambda c: c.__setitem__(2, 9), r"begins with 00000901, .* with 00000801$"),
        (NAMES[1], lambda c: c.__setitem__(7, 1), r"holds \(1,\) bytes, the published .*\(240,\)$"),
        (NAMES[3], lambda c: c.__setitem__(-1, 10), r"has label 10, the largest is 9$"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_files_of_another_format_are_refused(files, name, edit, message, packed, tmp_path):
    change(files, name, edit)
    release = write(tmp_path, files, packed)
    with pytest.raises(ValueError, match=message) as error:
        mnist(tmp_path, release=release, sizes=SIZES)
    assert str(error.value).startswith(f"data: mnist: {tmp_path}/{name}")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_archives_are_refused(files, keep, tmp_path):
    write(tmp_path, files)
    path = tmp_path / f"{NAMES[2]}.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"^data: mnist: {path} (cannot be unpacked|begins)"):
        mnist(tmp_path, release=replace(MNIST, md5={}), sizes=SIZES)


def test_folder_must_exist_and_be_given(tmp_path):
    with pytest.raises(ValueError, match=r"^data: mnist: folder .*nowhere does not exist$"):
        data.load("mnist", folder=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"^data: mnist is not shipped; pass folder=, with its"):
        data.load("mnist")
    with pytest.raises(ValueError, match=r"^data: digits is shipped and takes no folder$"):
        data.load("digits", folder=tmp_path)


def test_tfc_takes_the_bits_and_a_convolutional_network_the_images(files, tmp_path):
    release = write(tmp_path, files)
    for name, load, options in (
        ("tfc", mnist_bits, {}),
        ("cnv", mnist_28, {"image": (1, 28, 28), "features": (4, "max2"), "hidden": ()}),
    ):
        split = load(tmp_path, release=release, sizes=SIZES)
        result = train.fit(zoo.create(name, **options), split, epochs=1)
        assert len(result.history) == 1
