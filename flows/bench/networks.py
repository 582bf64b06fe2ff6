"""Networks for benchmarks: random binary MLPs, as files and dataflows, and FINN's CNV."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ...hw.dtypes import IntArray
from ...hw.frontend import load
from ...hw.graph import Dataflow
from ...hw.passes import apply_folding

F32 = NDArray[np.float32]

# PE and SIMD of the layers of CNV, by the cycles that an image then takes: the folding that FINN's
# repository publishes, and one with four times the lanes.
CNV_FOLDINGS = {
    32_768: ((16, 3), (32, 32), (16, 32), (16, 32), (4, 32), (1, 32), (1, 4), (1, 8), (5, 1)),
    8_192: ((64, 3), (64, 64), (32, 64), (32, 64), (16, 32), (4, 32), (4, 4), (4, 8), (5, 1)),
}
EPSILON = 1e-5
_OPSET = 13


@dataclass(frozen=True)
class BatchNorm:
    """Inference parameters of a BatchNorm: ``gamma (a - mean) / sqrt(var + EPSILON) + beta``."""

    gamma: F32
    beta: F32
    mean: F32
    var: F32


@dataclass(frozen=True)
class BinaryMlp:
    """Binary MLP: bipolar inputs, +-1 weights, BatchNorm and sign after all but the last layer.

    Attributes:
        name: Short name, an identifier.
        weights: Per layer +-1, shape ``(neurons, synapses)``.
        norms: Per hidden layer.
    """

    name: str
    weights: tuple[F32, ...]
    norms: tuple[BatchNorm, ...]

    @property
    def synapses(self) -> int:
        """Elements of an input."""
        return int(self.weights[0].shape[1])

    def inputs(self, images: int, seed: int) -> IntArray:
        """Return random inputs -1, +1, shape ``(images, synapses)``."""
        rng = np.random.default_rng(seed)
        return 2 * rng.integers(0, 2, (images, self.synapses)) - 1


def random_mlp(name: str, sizes: tuple[int, ...], seed: int = 0) -> BinaryMlp:
    """Return a network with random weights and BatchNorms of both signs.

    Every BatchNorm crosses 0 midway between two values of its accumulator, so that rounding in
    float32 cannot turn a sign and all engines must agree in every bit.
    """
    rng = np.random.default_rng(seed)
    weights, norms = [], []
    for synapses, neurons in pairwise(sizes):
        weights.append((2 * rng.integers(0, 2, (neurons, synapses)) - 1).astype(np.float32))
        # Accumulators are as odd as `synapses`; a crossing between two of them is not.
        spread = max(1, math.isqrt(synapses) // 2)
        crossing = 2 * rng.integers(-spread, spread + 1, neurons) + 1 + synapses % 2
        gamma = (rng.uniform(0.5, 2, neurons) * rng.choice([-1, 1], neurons)).astype(np.float32)
        beta = rng.normal(0, 1, neurons).astype(np.float32)
        var = rng.uniform(1, synapses, neurons).astype(np.float32)
        mean = crossing + beta * np.sqrt(var + EPSILON) / gamma
        norms.append(BatchNorm(gamma, beta, mean.astype(np.float32), var))
    return BinaryMlp(name, tuple(weights), tuple(norms[:-1]))


def to_dataflow(mlp: BinaryMlp) -> Dataflow:
    """Return the network in integers, as the frontend reads its QONNX file; without an argmax."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{mlp.name}.onnx"
        onnx.save(to_qonnx(mlp), path)
        return load(path, argmax=False)


def cnv(cycles: int) -> Dataflow:
    """Return FINN's CNV with random bits as weights, folded to take so many cycles an image.

    Args:
        cycles: A key of ``CNV_FOLDINGS``.
    """
    import torch  # noqa: PLC0415 (slow to load)

    from ...models import export, zoo  # noqa: PLC0415

    torch.manual_seed(0)
    net = zoo.create("cnv", weight="binary", act="binary").eval()
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        dataflow = load(export(net, Path(folder) / "cnv.onnx", inputs=images).model)
    folding = {
        f"MVAU_{layer}": {"PE": pe, "SIMD": simd}
        for layer, (pe, simd) in enumerate(CNV_FOLDINGS[cycles])
    }
    return apply_folding(dataflow, folding)


def to_float_onnx(mlp: BinaryMlp) -> onnx.ModelProto:
    """Return the network in plain float operators: MatMul, BatchNormalization, Sign."""
    return _to_onnx(mlp, is_quantized=False)


def to_qonnx(mlp: BinaryMlp) -> onnx.ModelProto:
    """Return the network as QONNX: BipolarQuant on the input, weights and activations."""
    return _to_onnx(mlp, is_quantized=True)


def _to_onnx(mlp: BinaryMlp, *, is_quantized: bool) -> onnx.ModelProto:
    """Return either graph; they differ in what makes a value +-1."""
    nodes: list[Any] = []
    constants: dict[str, F32] = {"one": np.ones((), np.float32)}

    def sign(name: str, result: str) -> None:
        if is_quantized:
            domain = "qonnx.custom_op.general"
            nodes.append(helper.make_node("BipolarQuant", [name, "one"], [result], domain=domain))
        else:
            nodes.append(helper.make_node("Sign", [name], [result]))

    here = "x"
    if is_quantized:
        sign("x", here := "x_bipolar")
    for index, weights in enumerate(mlp.weights):
        matrix = f"w{index}"
        constants[matrix] = np.ascontiguousarray(weights.T)
        if is_quantized:
            sign(matrix, matrix := f"w{index}_bipolar")
        product = f"a{index}" if index < len(mlp.norms) else "logits"
        nodes.append(helper.make_node("MatMul", [here, matrix], [product]))
        if index < len(mlp.norms):
            norm = mlp.norms[index]
            parameters = {
                "gamma": norm.gamma,
                "beta": norm.beta,
                "mean": norm.mean,
                "var": norm.var,
            }
            names = [f"{name}{index}" for name in parameters]
            constants.update(zip(names, parameters.values(), strict=True))
            nodes.append(
                helper.make_node(
                    "BatchNormalization", [product, *names], [f"n{index}"], epsilon=EPSILON
                )
            )
            sign(f"n{index}", here := f"s{index}")
    if not is_quantized:
        del constants["one"]
    classes = mlp.weights[-1].shape[0]
    graph = helper.make_graph(
        nodes,
        mlp.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", mlp.synapses])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=opsets[: 2 if is_quantized else 1], ir_version=8)
