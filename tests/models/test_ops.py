from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant
from torch.nn.functional import unfold

from popshift.models.ops import DEFINITIONS, DOMAIN, OPSET, add_definitions, without_own_ops

OPSETS = [OPSET, 20]
QONNX = "qonnx.custom_op.general"


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def model_of(nodes, inputs, outputs, constants, opset=OPSET):
    """A checked model of ``nodes`` that says what they compute."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in outputs.items()],
        [onnx.numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()],
    )
    imports = [("", opset), (DOMAIN, 1), (QONNX, 2)]
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*entry) for entry in imports], ir_version=8
    )
    add_definitions(model, DEFINITIONS)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model, **feed):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {k: v.astype(np.float32) for k, v in feed.items()})


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("shape", [(1, 5), (7, 5), (2, 3, 5)])
def test_l1_matmul_is_minus_the_sum_of_distances(shape, opset, rng):
    x, w = rng.integers(-9, 10, shape), rng.integers(-9, 10, (5, 4))
    node = helper.make_node("L1MatMul", ["x", "w"], ["y"], domain=DOMAIN)
    model = model_of([node], {"x": shape}, {"y": [*shape[:-1], 4]}, {"w": w}, opset)
    want = -np.abs(x[..., None] - w).sum(-2)
    np.testing.assert_array_equal(run(model, x=x)[0], want)
    context = execute_onnx(without_own_ops(ModelWrapper(model)), {"x": x.astype(np.float32)})
    np.testing.assert_array_equal(context["y"], want)


def l1_convolved(x, w, strides, pads, dilations, group):
    """The sum over each window of the zero-padded ``x``, by unfolding."""
    x = torch.from_numpy(np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))))
    columns = unfold(x.float(), w.shape[2:], dilations, 0, strides)
    columns = columns.reshape(len(x), group, -1, columns.shape[-1]).numpy()
    kernels = w.reshape(group, len(w) // group, -1)
    sums = -np.abs(columns[:, :, None] - kernels[None, :, :, :, None]).sum(3)
    rows = (x.shape[2] - dilations[0] * (w.shape[2] - 1) - 1) // strides[0] + 1
    return sums.reshape(len(x), len(w), rows, -1)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("images", "weights", "strides", "pads", "dilations", "group"),
    [
        (1, (6, 4, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
        (2, (6, 4, 3, 2), (2, 1), (0, 0, 0, 0), (1, 1), 1),
        (2, (6, 2, 1, 3), (1, 2), (1, 0, 2, 3), (1, 2), 2),
        (1, (4, 1, 3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 4),
        (3, (1, 4, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ],
)
def test_l1_conv_is_minus_the_sum_over_the_window(
    images, weights, strides, pads, dilations, group, opset, rng
):
    x, w = rng.integers(0, 16, (images, 4, 7, 8)), rng.integers(-9, 10, weights)
    want = l1_convolved(x, w, strides, pads, dilations, group)
    node = helper.make_node(
        "L1Conv",
        ["x", "w"],
        ["y"],
        domain=DOMAIN,
        kernel_shape=weights[2:],
        strides=strides,
        pads=pads,
        dilations=dilations,
        group=group,
    )
    model = model_of([node], {"x": x.shape}, {"y": want.shape}, {"w": w}, opset)
    np.testing.assert_array_equal(run(model, x=x)[0], want)
    context = execute_onnx(without_own_ops(ModelWrapper(model)), {"x": x.astype(np.float32)})
    np.testing.assert_array_equal(context["y"], want)


def test_padding_of_l1_conv_is_processed_not_skipped():
    node = helper.make_node(
        "L1Conv",
        ["x", "w"],
        ["y"],
        domain=DOMAIN,
        kernel_shape=[3, 3],
        strides=[1, 1],
        pads=[1, 1, 1, 1],
        dilations=[1, 1],
        group=1,
    )
    w = np.full((1, 1, 3, 3), 2)
    model = model_of([node], {"x": (1, 1, 1, 1)}, {"y": (1, 1, 1, 1)}, {"w": w})
    assert run(model, x=np.full((1, 1, 1, 1), 5))[0].tolist() == [[[[-(3 + 8 * 2)]]]]


SETTINGS = [
    (signed, narrow, bits, zero_point)
    for signed in (0, 1)
    for narrow in (0, 1)
    for bits in (2, 4, 17)
    for zero_point in (0, 1)
]


@pytest.mark.parametrize("modes", [("ROUND",), ("FLOOR",), ("CEIL", "ROUND", "FLOOR", "ROUND")])
@pytest.mark.parametrize("opset", OPSETS)
def test_quant_is_that_of_qonnx(modes, opset, rng):
    x = np.concatenate([rng.normal(size=200) * 3, np.arange(-9, 9) / 8, [-1e6, 1e6, 0.0]]).astype(
        np.float32
    )
    nodes, want, outputs = [], [], {}
    for index, (signed, narrow, bits, zero_point) in enumerate(SETTINGS):
        mode = modes[index % len(modes)]
        nodes.append(
            helper.make_node(
                "Quant",
                ["x", "scale", f"zero{zero_point}", f"bits{bits}"],
                [f"y{index}"],
                domain=QONNX,
                signed=signed,
                narrow=narrow,
                rounding_mode=mode,
            )
        )
        outputs[f"y{index}"] = x.shape
        numbers = (np.float32(n) for n in (0.25, zero_point, bits))
        want.append(int_quant(x, *numbers, signed, narrow, mode))
    constants = {"scale": 0.25, "zero0": 0, "zero1": 1, "bits2": 2, "bits4": 4, "bits17": 17}
    model = model_of(nodes, {"x": x.shape}, outputs, constants, opset)
    for have, expected in zip(run(model, x=x), want, strict=True):
        np.testing.assert_array_equal(have, expected)


def test_an_unknown_rounding_is_refused_by_name():
    node = helper.make_node(
        "Quant", ["x", "s", "z", "b"], ["y"], domain=QONNX, name="q", rounding_mode="UP"
    )
    with pytest.raises(
        ValueError, match=r"^export: quantizer 'q' rounds by 'UP'; use one of ROUND"
    ):
        model_of([node], {"x": (1,)}, {"y": (1,)}, {"s": 1, "z": 0, "b": 4})


def test_bipolar_quant_is_that_of_qonnx():
    x = np.array([-1.5, -1e-30, -0.0, 0.0, 1e-30, 2.0], np.float32)
    node = helper.make_node("BipolarQuant", ["x", "s"], ["y"], domain=QONNX)
    model = model_of([node], {"x": x.shape}, {"y": x.shape}, {"s": 0.5})
    np.testing.assert_array_equal(run(model, x=x)[0], binary_quant(x, np.float32(0.5)))


def test_an_operator_without_a_definition_is_refused():
    node = helper.make_node("L2MatMul", ["x", "w"], ["y"], domain=DOMAIN)
    with pytest.raises(ValueError, match=r"^export: operator L2MatMul has no definition; add one$"):
        model_of([node], {"x": (1, 2)}, {"y": (1, 2)}, {"w": np.eye(2)})


def test_a_model_without_own_operators_stays_as_it_is():
    node = helper.make_node("BipolarQuant", ["x", "s"], ["y"], domain=QONNX)
    model = ModelWrapper(model_of([node], {"x": (1,)}, {"y": (1,)}, {"s": 1}))
    assert without_own_ops(model) is model
