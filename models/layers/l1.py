"""Minus the l1 distance of inputs and weights, with the gradients of adder networks.

``Y = -sum_k |X_k - F_k|`` has the gradients ``dY/dF = X - F``, which a sign would be by the letter,
and ``dY/dX = clip(F - X, -1, 1)``.

Memory, besides inputs and results: one block of windows of at most 16 MB, or those of one image,
and one block of differences of at most 1 MB, or those of one window.

References:
    Chen et al., "AdderNet", CVPR 2020, arXiv:1912.13200, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Two = tuple[int, int]

_WINDOW_VALUES = 2**22
_DIFFERENCES = 2**18  # stay in the processor's caches


def l1_linear(x: Tensor, weight: Tensor) -> Tensor:
    """Return ``-sum_k |x[n, k] - weight[o, k]|``, shape ``(n, o)``."""
    result: Tensor = _L1Linear.apply(x, weight)
    return result


def l1_conv2d(
    x: Tensor, weight: Tensor, *, stride: Two, padding: Two, dilation: Two, groups: int
) -> Tensor:
    """Return minus the distances of all windows of ``x`` to the kernels.

    Args:
        x: Shape ``(images, channels, height, width)``; its border is padded with zeros, whose
            distances count as those of any other value.
        weight: Shape ``(out_channels, channels / groups, height, width)``.
        stride: Steps of the window.
        padding: Rows above and below, columns left and right.
        dilation: Distance of the window's taps.
        groups: Groups of channels that are taken apart.
    """
    windows = _Windows(weight.shape[2:], stride, padding, dilation, groups)
    result: Tensor = _L1Conv2d.apply(x, weight, windows)
    return result


class _L1Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return -torch.cdist(x, weight, p=1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        (g,) = grad_outputs
        return (
            _input_gradient(x, weight, g) if ctx.needs_input_grad[0] else None,
            _weight_gradient(x, weight, g) if ctx.needs_input_grad[1] else None,
        )


class _L1Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, windows: _Windows) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.windows = windows
        kernels = windows.kernels(weight)
        blocks = []
        for images, rows in windows.blocks(x):
            sums = [-torch.cdist(r, k, p=1) for r, k in zip(rows, kernels, strict=True)]
            blocks.append(torch.cat(sums, dim=1).unflatten(0, (images, -1)).transpose(1, 2))
        maps: Tensor = torch.cat(blocks).unflatten(2, windows.map_size(x))
        return maps

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        windows: _Windows = ctx.windows
        kernels = windows.kernels(weight)
        g_rows = grad_outputs[0].flatten(2).transpose(1, 2)  # images, positions, channels
        x_blocks, w_gradient, first = [], torch.zeros_like(kernels), 0
        for images, rows in windows.blocks(x):
            g_groups = g_rows[first : first + images].flatten(0, 1).chunk(windows.groups, dim=1)
            first += images
            if ctx.needs_input_grad[1]:
                for group, (r, k, g) in enumerate(zip(rows, kernels, g_groups, strict=True)):
                    w_gradient[group] += _weight_gradient(r, k, g)
            if ctx.needs_input_grad[0]:
                taps = [
                    _input_gradient(r, k, g)
                    for r, k, g in zip(rows, kernels, g_groups, strict=True)
                ]
                columns = torch.cat(taps, dim=1).unflatten(0, (images, -1)).transpose(1, 2)
                x_blocks.append(windows.fold(columns, x))
        return (
            torch.cat(x_blocks) if ctx.needs_input_grad[0] else None,
            w_gradient.reshape(weight.shape) if ctx.needs_input_grad[1] else None,
            None,
        )


class _Windows:
    """The windows of a convolution, as rows of a matrix for each group."""

    def __init__(
        self, size: torch.Size, stride: Two, padding: Two, dilation: Two, groups: int
    ) -> None:
        self.size = (int(size[0]), int(size[1]))
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def kernels(self, weight: Tensor) -> Tensor:
        """Return the weights, shape ``(groups, channels of a group, taps)``."""
        kernels: Tensor = weight.flatten(1).unflatten(0, (self.groups, -1))
        return kernels

    def map_size(self, x: Tensor) -> Two:
        """Return height and width of the result."""
        rows, columns = (
            (n + 2 * pad - dilation * (size - 1) - 1) // stride + 1
            for n, pad, dilation, size, stride in zip(
                x.shape[2:], self.padding, self.dilation, self.size, self.stride, strict=True
            )
        )
        return rows, columns

    def blocks(self, x: Tensor) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
        """Yield some images' number and their windows, for each group a matrix of rows."""
        values = x.shape[1] * math.prod(self.size) * math.prod(self.map_size(x))
        for images in x.split(max(1, _WINDOW_VALUES // values)):
            columns = functional.unfold(images, self.size, self.dilation, self.padding, self.stride)
            rows = columns.transpose(1, 2).flatten(0, 1)
            yield len(images), rows.chunk(self.groups, dim=1)

    def fold(self, columns: Tensor, x: Tensor) -> Tensor:
        """Return the sums at the positions that the windows were taken from."""
        height, width = int(x.shape[2]), int(x.shape[3])
        return functional.fold(
            columns, (height, width), self.size, self.dilation, self.padding, self.stride
        )


def _weight_gradient(x: Tensor, weight: Tensor, g: Tensor) -> Tensor:
    """Return ``sum_n g[n, o] * (x[n, k] - weight[o, k])``."""
    return torch.addcmul(g.t() @ x, g.sum(0)[:, None], weight, value=-1)


def _input_gradient(x: Tensor, weight: Tensor, g: Tensor) -> Tensor:
    """Return ``sum_o g[n, o] * clip(weight[o, k] - x[n, k], -1, 1)``, a few rows at a time."""
    rows = max(1, _DIFFERENCES // weight.numel())
    parts = [
        torch.bmm(g_part[:, None], (weight - x_part[:, None]).clamp_(-1, 1))[:, 0]
        for x_part, g_part in zip(x.split(rows), g.split(rows), strict=True)
    ]
    return torch.cat(parts)
