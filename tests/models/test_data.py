from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from popshift.models import data
from popshift.models.data.upscale import upscale


def rows(*subsets):
    return [tuple(image) for subset in subsets for image in subset.images.tolist()]


def test_sizes(digits):
    assert (len(digits.train), len(digits.val), len(digits.test)) == (1257, 180, 360)
    assert (digits.image_shape, digits.classes, digits.input_dtype) == ((64,), 10, "UINT5")


def test_every_image_is_in_exactly_one_part_with_its_label(digits):
    images, labels = load_digits(return_X_y=True)
    want = sorted(zip(map(tuple, images.astype(int).tolist()), labels.tolist(), strict=True))
    parts = (digits.train, digits.val, digits.test)
    have = sorted(zip(rows(*parts), torch.cat([p.labels for p in parts]).tolist(), strict=True))
    assert have == want
    assert not set(rows(digits.test)) & set(rows(digits.train, digits.val))


def test_pixels_are_integers_that_reach_both_ends(digits):
    for subset in (digits.train, digits.val, digits.test):
        assert subset.images.dtype == subset.labels.dtype == torch.int64
        assert (int(subset.images.min()), int(subset.images.max())) == (0, 16)


def test_each_part_keeps_the_share_of_each_class(digits):
    for subset, images in ((digits.val, 180), (digits.test, 360)):
        counts = torch.bincount(subset.labels, minlength=10)
        whole = torch.bincount(torch.cat([digits.train.labels, subset.labels]), minlength=10)
        expected = whole * images / whole.sum()
        assert ((counts - expected).abs() < 1.5).all()


def test_the_split_is_the_same_on_every_call(digits):
    again = data.load("digits")
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(again, part).images, getattr(digits, part).images)


def test_subsets_can_be_joined(digits):
    both = digits.train + digits.val
    assert rows(both) == rows(digits.train, digits.val)
    assert len(both) == 1437


def test_binarize_compares_with_the_threshold(digits):
    bits = data.binarize(digits, 8)
    assert bits.input_dtype == "BIPOLAR"
    for part in ("train", "val", "test"):
        pixels = getattr(digits, part).images
        assert torch.equal(getattr(bits, part).images == 1, pixels >= 8)
        assert set(getattr(bits, part).images.unique().tolist()) == {-1, 1}


def test_digits_8_has_the_same_pixels_as_images(digits):
    images = data.load("digits-8")
    assert (images.name, images.image_shape, images.input_dtype) == ("digits-8", (1, 8, 8), "UINT5")
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(images, part).images.flatten(1), getattr(digits, part).images)
        assert torch.equal(getattr(images, part).labels, getattr(digits, part).labels)


def test_digits_32_has_three_equal_channels_of_bytes(digits):
    large = data.load("digits-32")
    assert (large.image_shape, large.input_dtype) == ((3, 32, 32), "UINT8")
    for part in ("train", "val", "test"):
        images = getattr(large, part).images
        assert images.dtype == torch.uint8
        assert torch.equal(images[:, :1].expand(-1, 3, -1, -1), images)
        assert torch.equal(getattr(large, part).labels, getattr(digits, part).labels)
    assert (int(large.train.images.min()), int(large.train.images.max())) == (0, 255)


@pytest.mark.parametrize(("size", "factor"), [(1, 3), (2, 1), (2, 2), (3, 5), (8, 4)])
def test_upscale_interpolates_between_the_centres_of_pixels(size, factor):
    rng = np.random.default_rng(4)
    images = rng.integers(0, 17, (3, size, size))
    images.flat[:2] = 0, 16
    centres = (np.arange(size * factor) + 0.5) / factor - 0.5
    grid = np.clip(centres, 0, size - 1)
    want = np.stack(
        [[[linear(image, y, x) for x in grid] for y in grid] for image in images.astype(float)]
    )
    have = upscale(images, factor, top=16, new_top=255)
    np.testing.assert_array_equal(have, np.floor(want * 255 / 16 + 0.5 + 1e-9))


def linear(image, y, x):
    top, left = int(y), int(x)
    bottom, right = min(top + 1, len(image) - 1), min(left + 1, len(image) - 1)
    dy, dx = y - top, x - left
    upper = image[top, left] * (1 - dx) + image[top, right] * dx
    lower = image[bottom, left] * (1 - dx) + image[bottom, right] * dx
    return upper * (1 - dy) + lower * dy


def test_unknown_data_set_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"^data: no data set 'cifar'; known: digits, "):
        data.load("cifar")
