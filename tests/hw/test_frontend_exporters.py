"""Both Brevitas exporters load, and the integers are those of torch."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from brevitas.core.restrict_val import RestrictValueType
from brevitas.core.scaling import ScalingImplType
from brevitas.export import export_qonnx
from brevitas.nn import QuantIdentity, QuantLinear
from brevitas.quant import Int8ActPerTensorFloat, SignedBinaryActPerTensorConst
from brevitas.quant.binary import SignedBinaryWeightPerTensorConst
from brevitas.quant.ternary import SignedTernaryWeightPerTensorConst
from torch import nn

from popshift.hw.frontend import load_with_report

from .qonnx_builder import GraphBuilder, assert_streams_equal

pytestmark = pytest.mark.filterwarnings("ignore")


class BinaryWeight(SignedBinaryWeightPerTensorConst):
    scaling_const = 1.0


class TernaryWeight(SignedTernaryWeightPerTensorConst):
    scaling_const = 1.0


class BinaryAct(SignedBinaryActPerTensorConst):
    scaling_const = 1.0
    min_val, max_val = -1.0, 1.0


class FourBitAct(Int8ActPerTensorFloat):
    bit_width = 4
    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.POWER_OF_TWO
    scaling_init = 2.0


def network(activation, weight, *, has_bias: bool) -> nn.Sequential:
    torch.manual_seed(1)
    sizes = [16, 24, 20, 5]
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers.append(QuantLinear(inputs, outputs, bias=has_bias, weight_quant=weight))
        if outputs != sizes[-1]:
            norm = nn.BatchNorm1d(outputs)
            with torch.no_grad():
                norm.weight.copy_(torch.randn(outputs))
                norm.bias.copy_(torch.randn(outputs))
                norm.running_mean.copy_(torch.randn(outputs) * 2)
                norm.running_var.copy_(torch.rand(outputs) * inputs + 0.1)
            layers += [norm, QuantIdentity(act_quant=activation)]
    for layer in layers:
        if isinstance(layer, QuantLinear):
            # The exporters write the latent weights; values on the grid survive that.
            layer.weight.data = layer.quant_weight().value.detach()
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("is_dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize(
    ("activation", "weight", "has_bias"),
    [(BinaryAct, BinaryWeight, False), (FourBitAct, TernaryWeight, True)],
    ids=["w1a1", "ternary"],
)
def test_brevitas_exports_equal_qonnx_and_torch(tmp_path, is_dynamo, activation, weight, has_bias):
    net = network(activation, weight, has_bias=has_bias)
    path = tmp_path / "model.onnx"
    options = {"dynamo": True} if is_dynamo else {"dynamo": False, "opset_version": 13}
    export_qonnx(net, args=torch.zeros(1, 16), export_path=str(path), **options)
    dataflow, report = load_with_report(path, input_dtype="UINT4", argmax=False)
    assert not report.warnings
    kernels = [stage.kernel for stage in dataflow.stages]
    assert kernels == (["signed"] * 3 if has_bias else ["signed", "xnor", "xnor"])
    x = np.random.default_rng(0).integers(0, 16, (64, 16))
    streams = assert_streams_equal(path, dataflow, x)
    logits = net(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    (output,) = dataflow.outputs
    host = dataflow.host[output]
    sums = streams[output] * np.array(host.scale) + np.array(host.bias)
    np.testing.assert_allclose(sums, logits, rtol=1e-5, atol=1e-5)
    assert {stage.name for stage in dataflow.stages} == {"fc0", "fc1", "fc2"}


def test_a_large_network_loads_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphBuilder(1, 784, dtype="UINT8")
    inputs = 784
    for _ in range(3):
        graph.linear(rng.choice([-1, 1], (1024, inputs)), form="Gemm")
        inputs = 1024
        parameters = rng.standard_normal((3, inputs)) * 100
        graph.batch_norm(*parameters, rng.uniform(100, 1e4, inputs)).then("Tanh").bipolar()
    path = graph.linear(rng.choice([-1, 1], (10, inputs))).save(tmp_path)
    start = time.perf_counter()
    dataflow, _ = load_with_report(path)
    assert time.perf_counter() - start < 5
    low, high = dataflow.stage("fc0").accumulator_range
    assert high - low > 190_000
