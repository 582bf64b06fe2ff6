"""MNIST: 70,000 handwritten digits of 28 x 28 bytes, read from its four IDX files."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .binarize import binarize
from .files import Release
from .split import DataSplit, Subset, hold_out

MNIST = Release(
    name="mnist",
    page="THE MNIST DATABASE of handwritten digits",
    # of the published .gz files; unpacked ones are only checked for their format
    md5={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)
SIZES = {"train": 60_000, "t10k": 10_000}
_UINT8 = 8  # IDX' code of the only element type that MNIST uses
_SIDE = 28
_VAL_SHARE = 1 / 12
_WHITE_HALF = 128


def mnist(
    folder: Path, *, release: Release = MNIST, sizes: dict[str, int] | None = None
) -> DataSplit:
    """Return MNIST as rows of 784 pixels, 0 to 255: 55,000 to train, 5,000 to validate, 10,000.

    Args:
        folder: Folder with the four files, packed (``.gz``) or not.
        release: Names and checksums.
        sizes: Images of ``train`` and ``t10k``, by default the published numbers.

    Raises:
        ValueError: A file is missing, damaged, or not what it should be.
    """
    sizes = SIZES if sizes is None else sizes
    parts = {name: _part(folder, name, size, release) for name, size in sizes.items()}
    train, val = hold_out(parts["train"], _VAL_SHARE)
    return DataSplit(
        name="mnist",
        train=train,
        val=val,
        test=parts["t10k"],
        input_dtype="UINT8",
        classes=10,
    )


def mnist_bits(
    folder: Path, *, release: Release = MNIST, sizes: dict[str, int] | None = None
) -> DataSplit:
    """Return MNIST as rows of 784 bits, +1 where a pixel is at least 128."""
    data = mnist(folder, release=release, sizes=sizes)
    return replace(binarize(data, _WHITE_HALF), name="mnist-bits")


def mnist_28(
    folder: Path, *, release: Release = MNIST, sizes: dict[str, int] | None = None
) -> DataSplit:
    """Return MNIST as images of 1 x 28 x 28 pixels, 0 to 255."""
    data = mnist(folder, release=release, sizes=sizes)
    return data.changed("mnist-28", lambda rows: rows.reshape(-1, 1, _SIDE, _SIDE))


def _part(folder: Path, name: str, size: int, release: Release) -> Subset:
    stems = (f"{name}-images-idx3-ubyte", f"{name}-labels-idx1-ubyte")
    paths = [release.find(folder, (f"{stem}.gz", stem)) for stem in stems]
    images = parse_idx(release.read(paths[0]), (size, _SIDE, _SIDE), f"data: mnist: {paths[0]}")
    labels = parse_idx(release.read(paths[1]), (size,), f"data: mnist: {paths[1]}")
    if labels.max(initial=0) > 9:
        raise ValueError(f"data: mnist: {paths[1]} has label {labels.max()}, the largest is 9")
    return Subset(
        images=torch.from_numpy(images.reshape(size, -1)),
        labels=torch.from_numpy(labels.astype(np.int64)),
    )


def parse_idx(content: bytes, shape: tuple[int, ...], where: str) -> NDArray[np.uint8]:
    """Return the array of an IDX file: big-endian header, then bytes in C order.

    Args:
        content: The unpacked file.
        shape: What the header must say.
        where: Begins a message.

    Raises:
        ValueError: It is no IDX file of bytes, has another shape, or another length.
    """
    header = struct.pack(f">HBB{len(shape)}I", 0, _UINT8, len(shape), *shape)
    if content[:4] != header[:4]:
        raise ValueError(
            f"{where} begins with {content[:4].hex()}, an IDX file of bytes with "
            f"{len(shape)} dimensions with {header[:4].hex()}"
        )
    if len(content) < len(header):
        raise ValueError(f"{where} ends within its header; get it again")
    if content[: len(header)] != header:
        have = struct.unpack_from(f">{len(shape)}I", content, 4)
        raise ValueError(f"{where} holds {have} bytes, the published file {shape}")
    want = len(header) + math.prod(shape)
    if len(content) != want:
        raise ValueError(f"{where} has {len(content)} bytes instead of {want}; get it again")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape).copy()
