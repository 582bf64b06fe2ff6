"""No precision and no weight quantizer of the package writes other integers than torch computes."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import onnxruntime
import pytest
import torch
from brevitas.inject import ExtendedInjector
from brevitas.nn import QuantLinear
from brevitas.proxy import WeightQuantProxyFromInjector
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from torch import nn

from popshift.models import convert, export, quant, zoo
from popshift.models.layers import AdderConv2d, AdderLinear, IntegerAct, PositiveScale
from popshift.models.ops import without_own_ops
from popshift.models.precision import WEIGHTS

QUANTIZED = sorted(set(WEIGHTS) - {"float", "adder"})


def slow_dynamo(name):
    return pytest.param(name, "dynamo", marks=pytest.mark.slow)


def settle(net, images):
    """Give the norms the statistics of ``images``, layer by layer."""
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.momentum = None
    net.train()(images.float())


def integers(tensor):
    value = (tensor.value / tensor.scale).detach().double()
    assert torch.allclose(value, value.round(), rtol=2**-22, atol=0)
    return value.round()


def is_power_of_two(scale):
    return bool((np.frexp(scale)[0] == 0.5).all())


def accumulator(layer, x, step):
    """Integers of a layer for integers ``x`` in units of ``step``, and their unit, in float64."""
    weight, unit = integers(layer.quant_weight()), float(layer.quant_weight().scale)
    is_adder = isinstance(layer, AdderLinear | AdderConv2d)
    if isinstance(layer, nn.Conv2d):
        pad = layer.border[0] or layer.padding[0]
        x = nn.functional.pad(x, [pad] * 4, value=layer.pad_value / step)
        rows, columns = (
            n - size + 1 for n, size in zip(x.shape[2:], layer.kernel_size, strict=True)
        )
        x = nn.functional.unfold(x, layer.kernel_size).transpose(1, 2)
    common = min(step, unit)
    if is_adder:
        x, weight = x * (step / common), weight * (unit / common)
    kernels = weight.flatten(1)
    out = -(x[..., None, :] - kernels).abs().sum(-1) if is_adder else x @ kernels.T
    if isinstance(layer, nn.Conv2d):
        out = out.transpose(1, 2).unflatten(2, (rows, columns))
    return out, common if is_adder else step * unit


def expected_accumulators(net, golden, tensors):
    """The accumulators that follow from the golden integers in front of each layer."""
    layers = [m for m in net.modules() if hasattr(m, "weight_quant")]
    points = [name for name in tensors if golden[f"tensor/{name}"].dtype == np.int32]
    inputs = {"global_in": golden["tensor/global_in"]}
    last, found = "global_in", []
    for name in tensors[1:]:
        if len(found) < len(layers) and is_accumulator(name):
            x = torch.from_numpy(inputs[last].astype(np.float64))
            layer = layers[len(found)]
            if isinstance(layer, nn.Linear):
                x = x.flatten(1)
            found.append((name, *accumulator(layer, x, float(golden[f"scale/{last}"]))))
        inputs[name] = golden[f"tensor/{name}"]
        last = name
    assert len(found) == len(layers)
    assert points
    return found


def is_accumulator(name):
    return name.split("_")[0] in {"MatMul", "Gemm", "Conv", "L1MatMul", "L1Conv", "global"}


@pytest.mark.parametrize(
    ("weight", "exporter"),
    [
        *((name, "torchscript") for name in QUANTIZED),
        *(slow_dynamo(name) for name in QUANTIZED),
    ],
)
def test_every_precision_exports_the_integers_of_torch(weight, exporter, tmp_path):
    net = zoo.create(
        "digits-cnn", seed=4, features=(4, "max2", 5), hidden=(6,), weight=weight, act="int4"
    )
    images = torch.randint(0, 17, (2, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    settle(net, images)
    before = {name: value.clone() for name, value in net.eval().state_dict().items()}
    result = export(net, tmp_path / "m.onnx", inputs=images, exporter=exporter)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with np.load(result.golden) as file:
        golden = dict(file)
    for name, want, scale in expected_accumulators(net, golden, result.tensors):
        np.testing.assert_array_equal(golden[f"tensor/{name}"], want.numpy())
        assert float(golden[f"scale/{name}"]) == pytest.approx(scale, rel=2**-22)
    with torch.no_grad():
        logits = net(images.float()).numpy()
    session = onnxruntime.InferenceSession(result.model)
    model = without_own_ops(ModelWrapper(str(result.model)))
    for index, image in enumerate(images.numpy().astype(np.float32)):
        context = execute_onnx(model, {"global_in": image[None]}, return_full_exec_context=True)
        for name in result.tensors:
            steps = context[name][0].astype(np.float64) / golden[f"scale/{name}"]
            if not is_power_of_two(golden[f"scale/{name}"]):  # float32 rounds sums of such steps
                np.testing.assert_allclose(steps, np.rint(steps), rtol=0, atol=1e-3)
                steps = np.rint(steps)
            np.testing.assert_array_equal(steps, golden[f"tensor/{name}"][index])
        (have,) = session.run(None, {"global_in": image[None]})
        if is_power_of_two(golden[f"scale/{result.tensors[-1]}"]):
            np.testing.assert_array_equal(have[0], logits[index])
        else:
            np.testing.assert_allclose(have[0], logits[index], rtol=1e-5, atol=1e-6)


OPTIONS = {
    "BinaryWeightQuant": [{}, {"weight_clip": 0.25}],
    "IntegerWeightQuant": [{"weight_bits": 3, "weight_scale": 0.25}],
    "UniformWeightQuant": [
        {"weight_bits": 4, "weight_scale": 0.3},
        {"weight_bits": 8, "weight_scale": 2.0},
    ],
    "PowerOfTwoWeightQuant": [
        {"weight_bits": 5},
        {"weight_bits": 3, "weight_exp_max": 2},
        {"weight_bits": 4, "weight_allow_zero": True},
        {"weight_bits": 2, "weight_rounding": "linear", "weight_exp_min": 0},
    ],
    "OnGridWeightQuant": [{"weight_exp_min": -3, "weight_exp_max": 1}],
    "BinaryCodingWeightQuant": [
        *({"weight_planes": planes} for planes in (1, 2, 4)),
        {"weight_planes": 3, "weight_alpha": "pot", "weight_importance": "l1"},
        {"weight_planes": 2, "weight_group": 12, "weight_method": "greedy", "weight_alpha_bits": 8},
        {"weight_planes": 1, "weight_alpha": "float"},
    ],
    "TernaryWeightQuant": [
        {"weight_threshold": "twn"},
        {"weight_threshold": "cosine", "weight_per": "row"},
        {"weight_threshold": "learned"},
    ],
    "FixedIntervalWeightQuant": [
        {"weight_bits": 2},
        {"weight_bits": 8, "weight_bound": 0.3},
        {"weight_bits": 3, "weight_grid": "mid-rise"},
    ],
    "LearnedIntervalWeightQuant": [{"weight_bits": 1}, {"weight_bits": 4}],
    "NestedWeightQuant": [
        {"weight_bits": 8, "weight_precisions": (2, 8)},
        {"weight_bits": 3, "weight_precisions": (1, 3), "weight_centre": "middle"},
    ],
}


def weight_quantizers():
    """Every injector of the package that quantizes weights."""
    found = {}
    for module in pkgutil.iter_modules(quant.__path__, f"{quant.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if not isinstance(value, type) or not issubclass(value, ExtendedInjector):
                continue
            is_public = value is not ExtendedInjector and not value.__name__.startswith("_")
            if is_public and value.proxy_class is WeightQuantProxyFromInjector:
                found[value.__name__] = value
    return found


def test_every_weight_quantizer_is_tested_here():
    assert sorted(weight_quantizers()) == sorted(OPTIONS)


@pytest.mark.parametrize(
    ("name", "options"), [(name, case) for name, cases in OPTIONS.items() for case in cases]
)
def test_every_weight_quantizer_exports_its_own_values(name, options, tmp_path):
    """Latent weights lie near all switching points; one column has a latent 0."""
    layer = QuantLinear(
        60,
        5,
        bias=False,
        weight_quant=weight_quantizers()[name],
        return_quant_tensor=False,
        **options,
    )
    torch.manual_seed(0)
    latent = torch.randn(5, 60) * 2.0 ** torch.linspace(-6, 2, 60)
    if name == "OnGridWeightQuant":
        latent = (latent * 8).round().clamp(-16, 16) / 8
    latent[:, 0] = 0
    with torch.no_grad():
        layer.weight.copy_(latent)
    net = nn.Sequential(layer, PositiveScale(1.0)).eval()
    want = layer.quant_weight()
    images = torch.randint(0, 4, (5, 60))
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT2")
    assert torch.equal(layer.weight, latent)
    model = ModelWrapper(str(result.model))
    context = execute_onnx(model, {"global_in": images[:1].numpy().astype(np.float32)}, True)
    (node,) = model.get_nodes_by_op_type("MatMul")
    np.testing.assert_array_equal(context[node.input[1]].T, want.value.detach().numpy())
    with np.load(result.golden) as golden:
        steps = torch.round(want.value.detach().double() / want.scale.double())
        np.testing.assert_array_equal(
            golden[f"tensor/{result.tensors[1]}"], images.numpy() @ steps.T.numpy()
        )
        assert golden[f"scale/{result.tensors[1]}"].shape in ((), (5,))


@pytest.mark.parametrize("weight", ["shift-ps3", "shift-q4", "s3"])
def test_shift_weights_leave_as_integers_with_a_power_of_two_for_scale(weight, tmp_path):
    net = zoo.create("mlp", hidden=(7,), weight=weight, act="uint2").eval()
    result = export(net, tmp_path / "m.onnx", inputs=torch.zeros(1, 64, dtype=torch.int64))
    model = ModelWrapper(str(result.model))
    quants = [
        n
        for n in model.get_nodes_by_op_type("Quant")
        if model.get_initializer(n.input[0]) is not None
    ]
    assert len(quants) == 2
    for node in quants:
        value, scale, zero, bits = (model.get_initializer(name) for name in node.input)
        exponent = {"shift-ps3": -2, "shift-q4": -7, "s3": 0}[weight]
        assert (float(scale), float(zero)) == (2.0**exponent, 0)
        assert int(bits) == {"shift-ps3": 4, "shift-q4": 9, "s3": 4}[weight]
        magnitudes = np.unique(np.abs(value / scale))
        assert set(np.log2(magnitudes[magnitudes > 0]) % 1) == {0}


@pytest.mark.parametrize(
    "exporter", ["torchscript", pytest.param("dynamo", marks=pytest.mark.slow)]
)
def test_adder_layers_leave_as_one_node_each(exporter, tmp_path):
    net = zoo.create("digits-cnn", features=(3, "max2"), hidden=(4,), weight="adder4", act="uint4")
    images = torch.randint(0, 17, (2, 1, 8, 8))
    settle(net, images)
    result = export(net.eval(), tmp_path / "m.onnx", inputs=images, exporter=exporter)
    model = ModelWrapper(str(result.model))
    own = [(n.op_type, n.input[1]) for n in model.graph.node if n.domain == "popshift.ops"]
    assert [op for op, _ in own] == ["L1Conv", "L1MatMul", "L1MatMul"]
    shapes = [tuple(model.get_tensor_shape(name)) for _, name in own]
    assert shapes == [(3, 1, 3, 3), (48, 4), (4, 10)]
    assert {(f.domain, f.name) for f in model.model.functions} == {
        ("popshift.ops", "L1Conv"),
        ("popshift.ops", "L1MatMul"),
        ("qonnx.custom_op.general", "Quant"),
    }
    conv = model.get_nodes_by_op_type("L1Conv")[0]
    attributes = {a.name: list(a.ints) or a.i for a in conv.attribute}
    assert attributes == {
        "kernel_shape": [3, 3],
        "strides": [1, 1],
        "pads": [1, 1, 1, 1],
        "dilations": [1, 1],
        "group": 1,
    }


def test_inputs_and_weights_of_unrelated_steps_are_refused(tmp_path):
    layer = AdderLinear(4, 2, bits=4, step=0.375)
    net = nn.Sequential(IntegerAct(4, signed=True, scale=0.25), layer)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        export(net, tmp_path / "m.onnx", inputs=torch.zeros(2, 4), input_dtype="UINT4")
    assert str(error.value) == (
        "export: layer '1': its inputs come in steps of 0.25 and its weights in steps of 0.375; "
        "one must be a whole multiple of the other"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "exporter", ["torchscript", pytest.param("dynamo", marks=pytest.mark.slow)]
)
def test_a_quantized_adder_network_exports_every_group(exporter, tmp_path):
    net = zoo.create(
        "digits-cnn",
        features=(6, "max2", 5),
        hidden=(7,),
        weight="adder",
        act="uint8",
        pad_value=0,
        pool_at="activation",
    )
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, AdderConv2d | AdderLinear):
                module.weight.mul_(
                    torch.linspace(0.1, 2, len(module.weight)).reshape(
                        -1, *[1] * (module.weight.ndim - 1)
                    )
                )
    images = torch.randint(0, 17, (40, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    settle(net, images)
    small = convert.quantize_adder(net.eval(), images, bits=4, groups=2)
    result = export(small, tmp_path / "m.onnx", inputs=images[:2], exporter=exporter)
    with np.load(result.golden) as golden:
        sums = [n for n in result.tensors if is_accumulator(n) and n != "global_in"]
        assert len(sums) > 4
        for name in sums:
            values = golden[f"tensor/{name}"]
            assert values.max() <= 0
            assert values.min() < -10
    session = onnxruntime.InferenceSession(result.model)
    for image, want in zip(images[:2].float(), small(images[:2].float()), strict=True):
        (have,) = session.run(None, {"global_in": image[None].numpy()})
        np.testing.assert_allclose(have[0], want.detach().numpy(), rtol=1e-5)
