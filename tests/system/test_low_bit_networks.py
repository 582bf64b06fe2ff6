"""Ternary networks with every kind of activation: the integers of torch are those of the hardware."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import popshift.hw
from popshift.models import export, zoo


@pytest.mark.parametrize(
    ("weight", "act"),
    [
        ("ternary", "planes2"),
        ("ternary-cosine", "planes3"),
        ("ternary-learned", "abc3"),
        ("ternary-pruned", "log2"),
        ("wrpn2", "wrpn2"),
        ("ternary", "interval2"),
        ("binary", "interval3"),
    ],
)
def test_the_hardware_computes_the_integers_of_torch(weight: str, act: str, tmp_path: Path) -> None:
    net = zoo.create("mlp", hidden=(14, 9), weight=weight, act=act)
    images = torch.randint(0, 17, (150, 64), generator=torch.Generator().manual_seed(3))
    net(images.float())
    with torch.no_grad():
        for norm in net.modules():
            if isinstance(norm, nn.BatchNorm1d):
                norm.weight[0], norm.weight[1] = -0.7, 0.0
    result = export(net.eval(), tmp_path / "model.onnx", inputs=images)
    with np.load(result.golden) as golden:
        accelerator = popshift.hw.load(result.model)
        np.testing.assert_array_equal(
            np.ravel(accelerator.run(golden["input"])), golden["prediction"]
        )
