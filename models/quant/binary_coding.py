"""Real weights as sums of few planes of signs: binary-coding quantization (BCQ).

Each group of weights ``w`` (n,) becomes ``sum_i alpha_i b_i`` with planes ``b_i`` in {-1, +1} of n
elements and plane scales ``alpha_i >= 0``, descending, so that
``sum_j U_j (w_j - sum_i alpha_i b_ij)^2`` is small. The importance U is 1 unless given.

References:
    Xu et al., "Alternating Multi-bit Quantization for Recurrent Neural Networks", ICLR 2018,
    arXiv:1802.00150. The weighted form is its least-squares solution with diag(U) in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .sign import sign

Method = Literal["greedy", "refit", "refined", "alternating", "shifted"]

# A plane whose part outside the span of the earlier ones is as small as that share of rounding
# errors is dropped: it is dependent.
_DEPENDENT = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class BinaryCode:
    """Groups of weights as sums of planes.

    Attributes:
        alpha: Plane scales, >= 0 and descending, shape ``(groups, planes)``.
        planes: In {-1, +1}, shape ``(groups, planes, n)``, the dtype of ``alpha``.
    """

    alpha: Tensor
    planes: Tensor

    def values(self) -> Tensor:
        """Return the coded weights ``sum_i alpha_i b_i``, shape ``(groups, n)``."""
        return torch.einsum("gk,gkn->gn", self.alpha, self.planes)


def binary_code(
    weight: Tensor,
    *,
    planes: int,
    method: Method = "alternating",
    importance: Tensor | None = None,
    rounds: int = 2,
) -> BinaryCode:
    """Return the code of every row of ``weight``.

    ``greedy``: each plane is the sign of what the earlier ones leave, its scale the mean magnitude
    of that. ``refit``: greedy, all scales once more by least squares, elements coded anew.
    ``refined``: all scales by least squares after every new plane. ``alternating``: refined, then
    ``rounds`` times: elements coded anew, scales by least squares.
    ``shifted``: plane i is ``sign(w - mean + u_i std)`` with u_i from -1 to 1, scales by least
    squares (the weights of ABC-Net).

    Args:
        weight: Shape ``(groups, n)``, float.
        planes: Planes of a group, at least 1.
        method: How planes and scales are found.
        importance: U >= 0, shape of ``weight``; elements with 0 bend no scale.
        rounds: Rounds of ``alternating``.

    References:
        arXiv:1802.00150, equations 3 to 6 and algorithms 1 and 2; ``shifted``: Lin et al.,
        "Towards Accurate Binary Convolutional Neural Network", NIPS 2017, arXiv:1711.11294.
    """
    uniform = torch.ones_like(weight) if importance is None else importance
    if method == "shifted":
        return least_squares(weight, _shifted(weight, planes), uniform)
    code = _greedy(weight, planes, uniform, is_refined=method in ("refined", "alternating"))
    if method == "refit":
        code = nearest_code(weight, least_squares(weight, code.planes, uniform).alpha)
    if method == "alternating":
        for _ in range(rounds):
            code = nearest_code(weight, code.alpha)
            code = least_squares(weight, code.planes, uniform)
    return code


def _greedy(weight: Tensor, planes: int, importance: Tensor, *, is_refined: bool) -> BinaryCode:
    total = importance.sum(dim=1)
    total = torch.where(total > 0, total, 1.0)
    groups, n = weight.shape
    code = BinaryCode(alpha=weight.new_zeros(groups, 0), planes=weight.new_zeros(groups, 0, n))
    for _ in range(planes):
        rest = weight - code.values()
        scale = (importance * rest.abs()).sum(dim=1) / total
        code = BinaryCode(
            alpha=torch.cat([code.alpha, scale[:, None]], dim=1),
            planes=torch.cat([code.planes, sign(rest)[:, None]], dim=1),
        )
        if is_refined:
            code = least_squares(weight, code.planes, importance)
    return _sorted(code)


def _shifted(weight: Tensor, planes: int) -> Tensor:
    """Return planes ``(groups, planes, n)`` of ``sign(w - mean + u_i std)``."""
    shifts = torch.linspace(-1, 1, planes, dtype=weight.dtype) if planes > 1 else torch.zeros(1)
    mean = weight.mean(dim=1, keepdim=True)
    std = weight.std(dim=1, keepdim=True, correction=0)
    shifted = (weight - mean)[:, None] + shifts.to(weight)[:, None] * std[:, None]
    return sign(shifted)


def least_squares(weight: Tensor, planes: Tensor, importance: Tensor) -> BinaryCode:
    """Return the code with the plane scales that minimise the weighted squared error.

    ``alpha = (B' D_U B)^-1 B' D_U w``. Planes that depend on earlier ones get scale 0; a plane
    with a negative scale is turned over; planes are sorted by their scale.

    Args:
        weight: Shape ``(groups, n)``.
        planes: In {-1, +1}, shape ``(groups, planes, n)``.
        importance: U >= 0, shape ``(groups, n)``.
    """
    weighted = planes * importance[:, None]
    gram = weighted @ planes.transpose(1, 2)
    alpha = _solve(gram, (weighted @ weight[:, :, None])[:, :, 0])
    signs = sign(alpha)
    return _sorted(BinaryCode(alpha=alpha * signs, planes=planes * signs[:, :, None]))


def _solve(gram: Tensor, right: Tensor) -> Tensor:
    """Return x of ``gram x = right`` for symmetric positive semidefinite ``(groups, k, k)``.

    Elimination in order of the planes; a plane without a pivot is left out, which keeps the rest
    optimal.
    """
    count = gram.shape[1]
    system = torch.cat([gram, right[:, :, None]], dim=2).clone()
    limit = _DEPENDENT * torch.finfo(gram.dtype).eps * torch.diagonal(gram, dim1=1, dim2=2)
    kept = []
    for i in range(count):
        pivot = system[:, i, i]
        is_kept = pivot > limit[:, i]
        kept.append(is_kept)
        row = system[:, i] * torch.where(is_kept, 1 / pivot, 0.0)[:, None]
        system[:, i] = row
        for j in range(i + 1, count):
            system[:, j] -= system[:, j, i, None] * row
    x = torch.zeros_like(right)
    for i in reversed(range(count)):
        known = (system[:, i, i + 1 : count] * x[:, i + 1 :]).sum(dim=1)
        x[:, i] = torch.where(kept[i], system[:, i, count] - known, 0.0)
    return x


def _sorted(code: BinaryCode) -> BinaryCode:
    if (code.alpha[:, :-1] >= code.alpha[:, 1:]).all():
        return code
    alpha, order = code.alpha.sort(dim=1, descending=True, stable=True)
    return BinaryCode(
        alpha=alpha,
        planes=code.planes.gather(1, order[:, :, None].expand_as(code.planes)),
    )


def level_signs(planes: int) -> Tensor:
    """Return the signs of all sums of planes, shape ``(2 ** planes, planes)``, all -1 first.

    >>> level_signs(2).tolist()
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    ranks = torch.arange(2**planes)[:, None]
    return ((ranks >> torch.arange(planes).flip(0)) & 1) * 2.0 - 1.0


def nearest_code(weight: Tensor, alpha: Tensor) -> BinaryCode:
    """Return the code with scales ``alpha`` whose every element is the nearest to its weight.

    The 2^k levels of a group are sorted and each weight is found among the midpoints by binary
    search, k comparisons (the search tree of arXiv:1802.00150, algorithm 1). A weight on a
    midpoint goes up, as sign(0) = +1.

    Args:
        weight: Shape ``(groups, n)``.
        alpha: Plane scales, shape ``(groups, planes)``.
    """
    signs = level_signs(alpha.shape[1]).to(weight)
    levels, order = (alpha @ signs.T).sort(dim=1, stable=True)
    midpoints = (levels[:, 1:] + levels[:, :-1]) / 2
    rank = torch.searchsorted(midpoints, weight.contiguous(), right=True)
    return BinaryCode(alpha=alpha, planes=signs[order.gather(1, rank)].transpose(1, 2))
