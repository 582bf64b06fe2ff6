"""What the memory of streams holds: margins before the first call, integers after a call."""

from __future__ import annotations

import numpy as np

from ..dtypes import IntArray
from .lanes import in_words
from .layout import NO_MARGIN, Form, Slot, View


def blank(slot: Slot) -> IntArray:
    """Return the words of an image before the first call: the fill of the margin everywhere."""
    if not slot.layout.fill or slot.layout.margin == NO_MARGIN:
        return np.zeros(slot.words, np.int64)
    fill = np.full((slot.pixels, slot.channels), slot.layout.fill, np.int64)
    units = np.zeros(slot.image, f"int{slot.unit_bits}")
    if slot.layout.form is Form.PLANES:
        codes = slot.type.dtype.to_codes(fill)
        bits = [(codes >> np.uint64(b) & np.uint64(1)).astype(np.int64) for b in range(slot.planes)]
        units[: slot.planes * slot.plane] = np.stack([in_words(b) for b in bits]).reshape(-1)
    else:
        pixels = units[: slot.plane].reshape(slot.pixels, slot.pixel)
        pixels[:, : slot.channels] = fill
    return units.view(np.int64)


def decode(view: View, words: IntArray, images: int) -> IntArray:
    """Return the integers ``(images, *shape)`` of a stream.

    Args:
        view: Where the stream lies.
        words: Memory from the first word of the view's slot on.
        images: How many.
    """
    pixel = np.array(view.start)
    for axis in (view.rows, view.columns, *view.parts):
        pixel = pixel[..., None] + np.arange(axis.extent) * axis.stride
    return _pixels(view.slot, words, images)[:, pixel].reshape(images, *view.type.shape)


def _pixels(slot: Slot, words: IntArray, images: int) -> IntArray:
    """Return the integers ``(images, pixels, channels)`` of a slot, its margin included."""
    units = words[: images * slot.words].reshape(images, slot.words)
    if slot.layout.form is Form.INTS:
        elements = units.view(f"int{slot.unit_bits}")[:, : slot.plane]
        pixels = elements.reshape(images, slot.pixels, slot.pixel)
        return pixels[..., : slot.channels].astype(np.int64)
    rows = np.ascontiguousarray(units[:, : slot.planes * slot.plane])
    octets = rows.view(np.uint8).reshape(images, slot.planes, slot.pixels, slot.pixel * 8)
    bits = np.unpackbits(octets, axis=-1, count=slot.channels, bitorder="little")
    codes = np.zeros((images, slot.pixels, slot.channels), np.uint64)
    for bit in range(slot.planes):
        codes |= bits[:, bit].astype(np.uint64) << np.uint64(bit)
    return slot.type.dtype.from_codes(codes)
