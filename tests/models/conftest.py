from __future__ import annotations

import pytest
import torch

from popshift import models


@pytest.fixture(autouse=True)
def one_thread():
    """Idle threads of the maths library slow tests that run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits():
    return models.data.load("digits")


@pytest.fixture(scope="session")
def trained(digits):
    """A small digits network with a negative, a zero and a dead BatchNorm channel in each block."""
    net = models.zoo.create("mlp", hidden=(32, 16))
    models.train.fit(net, digits, epochs=5)
    with torch.no_grad():
        for block in net.blocks:
            norm = block[1]
            norm.weight[0] = -norm.weight[0].abs() - 0.1
            norm.weight[1:3] = 0.0
            norm.bias[1], norm.bias[2] = -0.5, 0.0
            norm.bias[3] = 1e4  # always +1
    return net.eval()
