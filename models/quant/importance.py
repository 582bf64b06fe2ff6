"""How much each weight matters to its code: U of the weighted squared error.

The article that proposes both weightings leaves out how they are normalised and trained; what is
done here is stated at each. Goals it names, whose figures are not at hand: ResNet-18 and ResNet-50
on CIFAR-10 with 2 to 4 planes a slice, L1 weighting better than none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from .binary_coding import Method, binary_code

_MAX_TOKENS = 4096  # attention holds a number for each pair of tokens


def l1_importance(weight: Tensor) -> Tensor:
    """Return the magnitudes of ``weight``: large weights are to be met best, no normalisation.

    >>> l1_importance(torch.tensor([0.5, -1.25])).tolist()
    [0.5, 1.25]
    """
    return weight.detach().abs()


def memory_ratio(planes: int, group_size: int, *, alpha_bits: int = 32) -> float:
    """Return the memory of planes and their scales as a share of that of float32 weights.

    ``planes / 32 + planes * alpha_bits / (32 * group_size)``.

    Args:
        planes: Planes of a group.
        group_size: Weights that share their plane scales: 9 for slices of a 3 x 3 kernel.
        alpha_bits: Bits of a plane scale.

    >>> round(memory_ratio(3, 9), 5), round(memory_ratio(3, 9, alpha_bits=16), 5)
    (0.42708, 0.26042)
    """
    return planes / 32 + planes * alpha_bits / (32 * group_size)


class AttentionImportance(nn.Module):
    """U from one head of self-attention over the kernels of a layer.

    A token is the window of one output and one input channel, or a whole output of a linear layer,
    of a 1 x 1 convolution, or of a layer with more than 4096 windows. ``U = softplus(out(softmax(q
    k' / sqrt(width)) v))``; the last map starts at zero, so that U starts the same everywhere,
    which is no weighting.

    Args:
        shape: Shape of the weight.
        width: Width of queries, keys and values.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 16) -> None:
        super().__init__()
        window = math.prod(shape[2:])
        is_sliced = window > 1 and shape[0] * shape[1] <= _MAX_TOKENS
        self.token = window if is_sliced else math.prod(shape[1:])
        self.width = width
        self.inner = nn.Linear(self.token, 3 * width)
        self.out = nn.Linear(width, self.token)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, weight: Tensor) -> Tensor:
        """Return U > 0, shape of ``weight``."""
        size = weight.square().mean().sqrt().clamp_min(torch.finfo(weight.dtype).tiny)
        tokens = (weight / size).reshape(1, -1, self.token)
        query, key, value = self.inner(tokens).chunk(3, dim=2)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return functional.softplus(self.out(mixed)).reshape(weight.shape)


def attention_importance(
    layer: nn.Linear | nn.Conv2d,
    inputs: Tensor,
    *,
    planes: int,
    method: Method = "refined",
    group_size: int,
    steps: int = 100,
    lr: float = 0.01,
    seed: int = 0,
) -> Tensor:
    """Return the U whose code makes the outputs of ``layer`` differ least, shape of its weight.

    An :class:`AttentionImportance` is trained to lower the mean squared difference between the
    outputs of the layer and of its coded twin. The planes of each step are those for its U; the
    gradient goes through the least squares of their scales. The best step counts, and the start,
    which is no weighting, is one of them.

    Args:
        layer: Float layer.
        inputs: What the layer gets, ``(images, *shape)``.
        planes: Planes of a group.
        method: See :func:`popshift.models.quant.binary_code`.
        group_size: Consecutive weights that share their plane scales.
        steps: Steps of Adam.
        lr: Learning rate.
        seed: Seed of the module.
    """
    weight = layer.weight.detach()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        attention = AttentionImportance(tuple(weight.shape))
    with torch.no_grad():
        wanted = layer(inputs)
    optimizer = torch.optim.Adam(attention.parameters(), lr=lr)
    best, least = torch.ones_like(weight), math.inf
    for _ in range(steps + 1):
        importance = attention(weight)
        coded = _coded(weight, importance, planes, method, group_size)
        outputs = functional_call(layer, {"weight": coded}, (inputs,), strict=False)
        loss = functional.mse_loss(outputs, wanted)
        if float(loss.detach()) < least:
            best, least = importance.detach(), float(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return best


def _coded(
    weight: Tensor, importance: Tensor, planes: int, method: Method, group_size: int
) -> Tensor:
    """Return the coded weight, differentiable in ``importance`` through the plane scales."""
    latent, u = (tensor.reshape(-1, group_size) for tensor in (weight, importance))
    code = binary_code(latent, planes=planes, method=method, importance=u.detach())
    weighted = code.planes * u[:, None]
    gram = weighted @ code.planes.transpose(1, 2)
    ridge = 1e-6 * torch.diagonal(gram, dim1=1, dim2=2).mean(dim=1)
    system = gram + ridge[:, None, None] * torch.eye(planes)
    alpha = torch.linalg.solve(system, (weighted @ latent[:, :, None])[:, :, 0])
    return torch.einsum("gk,gkn->gn", alpha, code.planes).reshape(weight.shape)
