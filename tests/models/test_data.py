from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from popshift.models import data


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


def test_unknown_data_set_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"^data: no data set 'cifar'; known: digits, "):
        data.load("cifar")
