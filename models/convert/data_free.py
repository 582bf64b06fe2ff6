"""Activations of few bits for a trained float network, without any image of the data.

Two sets of images are made from the network alone. The first makes it respond as strongly as it
can: the largest activations are then those that matter, and clip the quantizers. The second has
the statistics that BatchNorm remembers, and shows what they have become once weights and
activations are quantized.

References:
    He et al., "Data-Free Quantization with Accurate Activation Clipping and Adaptive Batch
    Normalization", Neural Processing Letters 2023, arXiv:2204.04215. Losses, steps and learning
    rates are not at hand; those here are stated at each. Goal there: ResNet-18 on ImageNet with
    four bits 64.33 % top 1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .. import zoo
from ..dtypes import integer_range
from ..layers import FixedIntervalAct
from .layers import convert_layers, convert_network, replaced

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """How images are made from a network.

    Attributes:
        images: Number of images; the classes take turns.
        steps: Steps of Adam.
        lr: Learning rate, as a share of the range of a pixel.
        seed: Seed of the first, random pixels.

    Raises:
        ValueError: A field is out of its range.
    """

    images: int = 100
    steps: int = 100
    lr: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for field, least in (("images", 2), ("steps", 1)):
            if getattr(self, field) < least:
                raise ValueError(
                    f"data-free: {field} must be >= {least}, got {getattr(self, field)}"
                )
        if not self.lr > 0:
            raise ValueError(f"data-free: lr must be > 0, got {self.lr}")


def quantize_without_data(
    net: nn.Module, *, weight: str, act_bits: int = 4, synthesis: Synthesis | None = None
) -> nn.Module:
    """Return a copy of a float network with weights and activations of few bits.

    1. Images of largest response give the clip of each ReLU (:func:`response_images`).
    2. Layers get weights of the precision ``weight``, ReLUs become unsigned activations.
    3. Images of BatchNorm's statistics give BatchNorm new ones (:func:`statistic_images`,
       :func:`reestimate_batchnorm`).

    Args:
        net: Network of linear, convolution, BatchNorm and ReLU modules with ``input_shape`` and
            ``input_dtype``; it is not changed.
        weight: A key of ``popshift.models.precision.WEIGHTS`` that fits its scale to the weights:
            ``planesN``, ``wrpnN``, ``ternary-cosine`` and such.
        act_bits: Bits of an activation: 2, 3, 4 or 8.
        synthesis: How both sets of images are made.

    Raises:
        ValueError: The network lacks what is needed, or an argument is out of its range.
    """
    synthesis = synthesis or Synthesis()
    _check(net)
    clips = activation_clips(net, response_images(net, synthesis))
    if zoo.describe(net):
        quantized = convert_network(net, weight=weight, act=f"wrpn{act_bits}")
        for name, clip in clips.items():
            act = quantized.get_submodule(name)
            assert isinstance(act, FixedIntervalAct)
            act.set_bound(clip)
    else:
        acts: dict[str, nn.Module] = {
            name: FixedIntervalAct(act_bits, bound=clip) for name, clip in clips.items()
        }
        quantized = replaced(convert_layers(net, weight), acts)
    reestimate_batchnorm(quantized, statistic_images(net, synthesis))
    return quantized


def response_images(net: nn.Module, synthesis: Synthesis) -> Tensor:
    """Return legal images that make the network answer as loudly as it can.

    Each maximises the logit of its class itself, not its share of the softmax, by gradient ascent
    from random pixels.

    Returns:
        Integers as float32, shape ``(images, *input_shape)``.
    """

    def loss(outputs: Tensor, _net: nn.Module) -> Tensor:
        classes = torch.arange(len(outputs)) % outputs.shape[1]
        return -outputs.gather(1, classes[:, None]).sum()

    return _synthesize(net, synthesis, lambda model, x: loss(model(x), model))


def statistic_images(net: nn.Module, synthesis: Synthesis) -> Tensor:
    """Return legal images whose statistics before each BatchNorm are those that it remembers.

    They minimise the sum over all channels of the squared differences of mean and of standard
    deviation, by gradient descent from random pixels.

    Returns:
        Integers as float32, shape ``(images, *input_shape)``.
    """

    def loss(model: nn.Module, x: Tensor) -> Tensor:
        total = torch.zeros(())

        def compare(norm: Any, args: tuple[Tensor, ...]) -> None:
            nonlocal total
            mean, variance = _statistics(args[0])
            spread, wanted = (variance + norm.eps).sqrt(), (norm.running_var + norm.eps).sqrt()
            total = total + (mean - norm.running_mean).square().sum()
            total = total + (spread - wanted).square().sum()

        handles = [norm.register_forward_pre_hook(compare) for norm in _norms(model)]
        model(x)
        for handle in handles:
            handle.remove()
        return total

    return _synthesize(net, synthesis, loss)


def _synthesize(
    net: nn.Module, synthesis: Synthesis, loss: Callable[[nn.Module, Tensor], Tensor]
) -> Tensor:
    """Return images that lower ``loss(net, images)``."""
    model = copy.deepcopy(net).eval().requires_grad_(False)
    low, high = integer_range(str(net.input_dtype), "data-free: input_dtype")
    generator = torch.Generator().manual_seed(synthesis.seed)
    shape: Any = net.input_shape
    first = torch.rand(synthesis.images, *shape, generator=generator)
    images = (low + first * (high - low)).requires_grad_()
    optimizer = torch.optim.Adam([images], lr=synthesis.lr * (high - low))
    for _ in range(synthesis.steps):
        optimizer.zero_grad()
        loss(model, images).backward()
        optimizer.step()
        with torch.no_grad():
            images.clamp_(low, high)
    return images.detach().round()


@torch.no_grad()
def activation_clips(net: nn.Module, images: Tensor) -> dict[str, float]:
    """Return the largest output of each ReLU on ``images``, by name.

    Raises:
        ValueError: A ReLU never gives anything but 0.
    """
    model = copy.deepcopy(net).eval()
    clips: dict[str, float] = {}

    def record(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _args: Any, output: Tensor) -> None:
            clips[name] = float(output.max())

        return hook

    for name, module in model.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(record(name))
    model(images)
    for name, clip in clips.items():
        if clip <= 0:
            raise ValueError(
                f"data-free: {name!r} is 0 for all images; the network does not use it"
            )
    return clips


@torch.no_grad()
def reestimate_batchnorm(net: nn.Module, images: Tensor) -> None:
    """Give each BatchNorm the statistics that its inputs have on ``images``, in place.

    One after the other in order of execution, as the statistics of one change the inputs of the
    next; nothing else of the network changes.

    Args:
        net: Its mode is kept.
        images: Integers, shape ``(images, *shape)``, at least two.
    """
    was_training = net.training
    net.eval()
    order: list[Any] = []
    handles = [
        norm.register_forward_pre_hook(lambda module, _args: order.append(module))
        for norm in _norms(net)
    ]
    net(images.float())
    for handle in handles:
        handle.remove()
    for norm in order:
        inputs: list[Tensor] = []
        handle = norm.register_forward_pre_hook(
            lambda _module, args, inputs=inputs: inputs.append(args[0])
        )
        net(images.float())
        handle.remove()
        mean, variance = _statistics(inputs[0])
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
    net.train(was_training)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and unbiased variance of each channel, as BatchNorm remembers them."""
    values = x.transpose(0, 1).flatten(1)
    return values.mean(dim=1), values.var(dim=1)


def _norms(net: nn.Module) -> list[Any]:
    return [module for module in net.modules() if isinstance(module, _NORMS)]


def _check(net: nn.Module) -> None:
    for name in ("input_shape", "input_dtype"):
        if not hasattr(net, name):
            raise ValueError(f"data-free: the network has no {name}")
    if not _norms(net):
        raise ValueError("data-free: the network has no BatchNorm, whose statistics are needed")
