"""CIFAR-10: 60,000 colour images of 3 x 32 x 32 bytes, read from either published version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .files import Release
from .split import DataSplit, Subset, hold_out
from .unpickle import load_plain

_PAGE = "The CIFAR-10 dataset"
PYTHON = Release(
    name="cifar10",
    page=_PAGE,
    folder="cifar-10-batches-py",
    md5={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
)
# MD5 sums of the unpacked binary files are not published; length and labels are checked.
BINARY = Release(name="cifar10", page=_PAGE, folder="cifar-10-batches-bin", md5={})
BATCH_IMAGES = 10_000
_TRAIN = tuple(f"data_batch_{index}" for index in range(1, 6))
_TEST = "test_batch"
_SHAPE = (3, 32, 32)
_BYTES = 3 * 32 * 32
_CLASSES = 10
_VAL_SHARE = 0.1


def cifar10(
    folder: Path, *, release: Release | None = None, batch_images: int = BATCH_IMAGES
) -> DataSplit:
    """Return CIFAR-10, pixels 0 to 255: 45,000 images to train, 5,000 to validate, 10,000 to test.

    Args:
        folder: Folder with the unpacked archive of the python or the binary version, or with the
            six files themselves.
        release: Checksums, and which version it is; by default the one that is there.
        batch_images: Images of each file.

    Raises:
        ValueError: A file is missing, damaged, or not what it should be.
    """
    release = _version(folder) if release is None else release
    batches = [_batch(folder, name, release, batch_images) for name in (*_TRAIN, _TEST)]
    rest = batches[0]
    for batch in batches[1:-1]:
        rest += batch
    train, val = hold_out(rest, _VAL_SHARE)
    return DataSplit(
        name="cifar10",
        train=train,
        val=val,
        test=batches[-1],
        input_dtype="UINT8",
        classes=_CLASSES,
    )


def _version(folder: Path) -> Release:
    for place in (folder, folder / BINARY.folder):
        if (place / f"{_TRAIN[0]}.bin").is_file():
            return BINARY
    return PYTHON


def _batch(folder: Path, name: str, release: Release, images: int) -> Subset:
    is_binary = release.folder == BINARY.folder
    path = release.find(folder, (f"{name}.bin" if is_binary else name,))
    where = f"data: cifar10: {path}"
    parse = parse_binary if is_binary else parse_python
    pixels, labels = parse(release.read(path), images, where)
    if labels.max(initial=0) >= _CLASSES:
        raise ValueError(f"{where} has label {labels.max()}, the largest is {_CLASSES - 1}")
    return Subset(
        images=torch.from_numpy(pixels.reshape(images, *_SHAPE)),
        labels=torch.from_numpy(labels.astype(np.int64)),
    )


def parse_binary(
    content: bytes, images: int, where: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return pixels ``(images, 3072)`` and labels of records of one label byte and 3,072 pixels.

    Raises:
        ValueError: The file has another length.
    """
    want = images * (1 + _BYTES)
    if len(content) != want:
        raise ValueError(f"{where} has {len(content)} bytes instead of {want}; get it again")
    records = np.frombuffer(content, np.uint8).reshape(images, 1 + _BYTES)
    return records[:, 1:].copy(), records[:, 0].copy()


def parse_python(
    content: bytes, images: int, where: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixels ``(images, 3072)`` and labels of a pickled dictionary, running nothing.

    Raises:
        ValueError: The file is truncated, asks for code, or holds something else.
    """
    batch = load_plain(content, where)
    if not isinstance(batch, dict):
        raise ValueError(f"{where} holds a {type(batch).__name__} instead of a dictionary")
    pixels, labels = (_entry(batch, key, where) for key in ("data", "labels"))
    is_image = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8
    if not is_image or pixels.shape != (images, _BYTES):
        raise ValueError(f"{where}: data must be {images} x {_BYTES} bytes")
    is_list = isinstance(labels, list) and all(type(label) is int for label in labels)
    if not is_list or len(labels) != images or min(labels, default=0) < 0:
        raise ValueError(f"{where}: labels must be a list of {images} integers >= 0")
    return pixels.copy(), np.array(labels, np.int64)


def _entry(batch: dict[object, Any], key: str, where: str) -> Any:
    """Return an entry; Python 2 wrote its key as bytes."""
    for spelling in (key.encode(), key):
        if spelling in batch:
            return batch[spelling]
    raise ValueError(f"{where} has no entry {key!r}")
