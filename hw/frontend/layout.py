"""Where the elements of a tensor of the file lie in the images of its stream."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ..dtypes import IntArray
from .functions import F64


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """The order of a tensor and that of its stream, whose channels come last.

    Attributes:
        shape: Shape of the tensor, the batch first.
        image: Shape of an image of the stream.
        positions: Of each element of an image of the tensor, its index in the row-major order of
            the stream's image; shape ``shape[1:]``.
    """

    shape: tuple[int, ...]
    image: tuple[int, ...]
    positions: IntArray

    @classmethod
    def vector(cls, shape: tuple[int, ...]) -> Self:
        """Return the layout of images that are vectors, in the tensor's own order."""
        elements = math.prod(shape[1:])
        positions = np.arange(elements, dtype=np.int64).reshape(shape[1:])
        return cls(shape=shape, image=(elements,), positions=positions)

    @classmethod
    def planes(
        cls, batch: int, image: tuple[int, ...], channel_order: IntArray | None = None
    ) -> Self:
        """Return the layout of a tensor ``(N, channels, ...)`` in a stream ``(..., channels)``.

        Args:
            batch: N.
            image: Shape of an image of the stream.
            channel_order: Channel of the stream that each channel of the tensor is; by default the
                same.
        """
        order = np.arange(math.prod(image), dtype=np.int64).reshape(image)
        positions = np.moveaxis(order, -1, 0)
        if channel_order is not None:
            positions = positions[channel_order]
        return cls(shape=(batch, *positions.shape), image=image, positions=positions)

    @property
    def channels(self) -> int:
        """Channels of the stream."""
        return self.image[-1]

    @property
    def pixels(self) -> int:
        """Vectors of channels in an image."""
        return math.prod(self.image[:-1])

    @property
    def is_map(self) -> bool:
        """Whether the tensor is ``(N, channels, height, width)`` and the stream has its pixels."""
        return self.shape[2:] == self.image[:2] and self.channel_order is not None

    @property
    def channel_order(self) -> IntArray | None:
        """Channel of the stream that each plane of the tensor is; None for any other order."""
        flat = self.positions.reshape(-1, self.pixels)
        order = flat[:, 0]
        if len(order) != self.channels or (order >= self.channels).any():
            return None
        pixels = np.arange(self.pixels) * self.channels
        return order if (flat == order[:, None] + pixels).all() else None

    @property
    def order(self) -> int | None:
        """Planes of the tensor as an ``Origin`` counts them; None for any other order.

        1 if the tensor has the order of the stream.
        """
        if (self.positions.reshape(-1) == np.arange(self.positions.size)).all():
            return 1
        return None if self.channel_order is None else self.channels

    def spread(self, values: F64) -> F64:
        """Return values per element of the tensor as ``(pixels, channels)`` of the stream.

        Raises:
            ValueError: They do not broadcast to one image of the tensor.
        """
        elements = np.broadcast_to(values, (1, *self.shape[1:]))
        flat = np.empty(self.positions.size)
        flat[self.positions.reshape(-1)] = elements.reshape(-1)
        return flat.reshape(self.pixels, self.channels)

    def columns(self, weights: IntArray) -> IntArray:
        """Return weights ``(outputs, elements of the tensor)`` in the order of the stream."""
        ordered = np.empty_like(weights)
        ordered[:, self.positions.reshape(-1)] = weights
        return ordered

    def moved(self, order: IntArray) -> Self:
        """Return the layout of the tensor that holds element ``order[n, ...]`` of this one.

        Args:
            order: Indices into this tensor, batch included; an image stays in its place.
        """
        elements = self.positions.size
        positions = self.positions.reshape(-1)[order[0] % elements]
        return replace(self, shape=order.shape, positions=positions)
