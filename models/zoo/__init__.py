"""Named networks.

``mlp``: 64-256-256-256-10 on the 4-bit pixels of the digits; every size can be overridden.
``tfc``, ``sfc``, ``lfc``: 784 binary pixels, three hidden layers of 64, 256, 1024 (FINN's
networks; Umuroglu et al., "FINN", FPGA 2017, arXiv:1612.07119).
``cnv``: FINN's convolutional network for images of 3 x 32 x 32 bytes, from the same paper.
``vgg-small``: six padded convolutions of 128 to 512 channels (Cai et al., "HWGQ", CVPR 2017,
arXiv:1702.00953), here with all layers binary.
``digits-cnn``: four padded convolutions on the 8 x 8 digits, pixels 0 to 16.
``resnet18``: ResNet-18 for images of 3 x 32 x 32 bytes (He et al., arXiv:1512.03385), its first
convolution 3 x 3 without pooling, with one grid of integers for each sum.
``digits-resnet``: two basic blocks of 16 and 32 channels on the digits.
``ghostnet``: the published network for ImageNet, in floats; ``digits-ghost``: three of its
bottlenecks on the digits, all in integers (Han et al., CVPR 2020, arXiv:1911.11907).
``digits-pal``: parallel groups of two bits on the digits (PalQuant, arXiv:2208.01944).

``weight`` and ``act`` choose the precisions: W1A1 is the default; ``act="int2"`` makes W1A2 and
``weight="int2"`` W2, with levels {-1, 0, +1} as Brevitas' networks of these names have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from types import MappingProxyType
from typing import Any

import torch

from .convnet import ConvNet, ConvNetConfig
from .ghostnet import GhostNet, GhostNetConfig
from .mlp import Mlp, MlpConfig
from .palnet import PalNet, PalNetConfig
from .resnet import ResNet, ResNetConfig

__all__ = [
    "NETWORKS",
    "ConvNet",
    "ConvNetConfig",
    "GhostNet",
    "GhostNetConfig",
    "Mlp",
    "MlpConfig",
    "PalNet",
    "PalNetConfig",
    "ResNet",
    "ResNetConfig",
    "create",
    "describe",
    "widened",
]

Config = MlpConfig | ConvNetConfig | GhostNetConfig | PalNetConfig | ResNetConfig
Network = Mlp | ConvNet | GhostNet | PalNet | ResNet


def _finn_fc(name: str, width: int) -> MlpConfig:
    return MlpConfig(name=name, in_features=784, hidden=(width,) * 3, input_dtype="BIPOLAR")


NETWORKS: Mapping[str, Config] = MappingProxyType(
    {
        config.name: config
        for config in (
            MlpConfig(name="mlp"),
            _finn_fc("tfc", 64),
            _finn_fc("sfc", 256),
            _finn_fc("lfc", 1024),
            ConvNetConfig(
                name="cnv",
                image=(3, 32, 32),
                features=(64, 64, "max2", 128, 128, "max2", 256, 256),
                hidden=(512, 512),
            ),
            ConvNetConfig(
                name="vgg-small",
                image=(3, 32, 32),
                features=(128, 128, "max2", 256, 256, "max2", 512, 512, "max2"),
                padding=1,
                pool_at="accumulator",
            ),
            ConvNetConfig(
                name="digits-cnn",
                image=(1, 8, 8),
                features=(16, 32, "max2", 32, 64, "max2"),
                padding=1,
                pool_at="accumulator",
                input_dtype="UINT5",
            ),
            ResNetConfig(
                name="resnet18",
                image=(3, 32, 32),
                widths=(64, 128, 256, 512),
                blocks=(2, 2, 2, 2),
            ),
            ResNetConfig(
                name="digits-resnet",
                image=(1, 8, 8),
                widths=(16, 32),
                blocks=(1, 1),
                input_dtype="UINT5",
            ),
            GhostNetConfig(name="ghostnet"),
            GhostNetConfig(
                name="digits-ghost",
                image=(1, 8, 8),
                rows=((3, 16, 16, 0.0, 1), (3, 48, 24, 0.0, 2), (3, 72, 24, 0.0, 1)),
                stem_stride=1,
                head=64,
                classes=10,
                input_dtype="UINT5",
                weight="shift-q4",
                act="uint4",
                signed_act="int8",
            ),
            PalNetConfig(
                name="digits-pal",
                image=(1, 8, 8),
                widths=(8, 16),
                blocks=(1, 1),
                input_dtype="UINT5",
            ),
        )
    }
)


def create(name: str, *, seed: int = 0, **overrides: Any) -> Network:
    """Return a new network of the zoo; equal arguments give equal weights.

    The module has ``config``, ``input_dtype`` (QONNX name) and ``input_shape``.

    Args:
        name: Name of the network, a key of ``NETWORKS``.
        seed: Seed of the first weights; torch's own random state stays as it was.
        overrides: Fields of the configuration to change, such as ``hidden=(64, 64)``.

    Raises:
        ValueError: The name or an override is unknown, or a value is out of range.
    """
    if name not in NETWORKS:
        raise ValueError(f"zoo: no network {name!r}; known: {', '.join(NETWORKS)}")
    config = NETWORKS[name]
    known = [field.name for field in fields(config) if field.name != "name"]
    for key in overrides:
        if key not in known:
            raise ValueError(f"zoo: {name} has no option {key!r}; known: {', '.join(known)}")
    config = replace(config, **overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _make(config)


def _make(config: Config) -> Network:
    match config:
        case MlpConfig():
            return Mlp(config)
        case ConvNetConfig():
            return ConvNet(config)
        case GhostNetConfig():
            return GhostNet(config)
        case ResNetConfig():
            return ResNet(config)
        case PalNetConfig():
            return PalNet(config)


def widened(name: str, factor: int) -> dict[str, Any]:
    """Return the overrides that make a network ``factor`` times as wide between input and output.

    Parameters of inner layers grow by ``factor ** 2``; fewer bits at twice the width may be as good
    as more bits and cheaper (Mishra et al., "WRPN", arXiv:1709.01134).

    Args:
        name: Name of the network.
        factor: 1 or more.

    Raises:
        ValueError: The name is unknown, or the factor below 1.

    >>> widened("digits-cnn", 2)
    {'features': (32, 64, 'max2', 64, 128, 'max2'), 'hidden': ()}
    """
    if name not in NETWORKS:
        raise ValueError(f"zoo: no network {name!r}; known: {', '.join(NETWORKS)}")
    if factor < 1:
        raise ValueError(f"zoo: factor must be >= 1, got {factor}")
    config = NETWORKS[name]
    return {
        field: tuple(width if isinstance(width, str) else factor * width for width in widths)
        for field in ("features", "widths", "hidden")
        if (widths := getattr(config, field, None)) is not None
    }


def describe(net: torch.nn.Module) -> dict[str, Any]:
    """Return the configuration of a zoo network as plain values, ``{}`` of any other module."""
    return asdict(net.config) if isinstance(net, Network) else {}
