from __future__ import annotations

import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv2d
from brevitas.quant import Int8WeightPerChannelFloat
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from torch import nn

from popshift.models import data, export, qonnx_file, train, zoo
from popshift.models.layers import (
    BinaryAct,
    BinaryConv2d,
    BinaryLinear,
    IntegerAct,
    IntegerConv2d,
    IntegerLinear,
    PositiveScale,
)

EXPORTERS = ["torchscript", pytest.param("dynamo", marks=pytest.mark.slow)]


def slow_dynamo(name):
    return pytest.param(name, "dynamo", marks=pytest.mark.slow)


def randomized(net, images, seed=0):
    """Batch statistics of ``images``, factors of both signs, and one dead channel each."""
    generator = torch.Generator().manual_seed(seed)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        net.train()(images.float())
        for norm in norms:
            norm.weight.copy_(torch.randn(norm.weight.shape, generator=generator))
            norm.bias.copy_(torch.randn(norm.bias.shape, generator=generator) / 3)
            norm.weight[0] = 0.0
    return net.eval()


def images_of(net, count, seed=1):
    high = {"UINT8": 256, "UINT5": 17, "BIPOLAR": 2}[net.input_dtype]
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, high, (count, *net.input_shape), generator=generator)
    return 2 * images - 1 if net.input_dtype == "BIPOLAR" else images


def integers(layer):
    quantized = layer.quant_weight()
    value = (quantized.value / quantized.scale).detach().numpy()
    assert np.array_equal(value, np.rint(value))
    return value.astype(np.int64)


def convolved(x, layer, pad_value):
    """The accumulators of a layer, by matrix products over taps."""
    border = layer.border[0] or layer.padding[0]
    x = np.pad(x, ((0, 0), (0, 0), (border,) * 2, (border,) * 2), constant_values=pad_value)
    weight, size = integers(layer), layer.kernel_size[0]
    rows, columns = x.shape[2] - size + 1, x.shape[3] - size + 1
    return sum(
        np.einsum("nchw,oc->nohw", x[:, :, r : r + rows, c : c + columns], weight[:, :, r, c])
        for r in range(size)
        for c in range(size)
    )


def pooled(x, window, reduce):
    rows, columns = x.shape[2] // window[0], x.shape[3] // window[1]
    x = x[:, :, : rows * window[0], : columns * window[1]]
    x = x.reshape(*x.shape[:2], rows, window[0], columns, window[1])
    return reduce(x, axis=(3, 5))


def expected_points(net, images):
    """Every integer point, computed in int64 from the integers before it, and its scale."""
    x, scale, points, norm = images.numpy().astype(np.int64), 1.0, [], None
    modules = [module for block in net.features for module in block]
    modules += [module for block in net.blocks for module in block] + [net.head]
    for module in modules:
        if isinstance(module, BinaryConv2d | IntegerConv2d):
            steps = module.pad_value / scale
            assert steps == int(steps)
            x, scale = convolved(x, module, int(steps)), scale * step_of(module)
        elif isinstance(module, BinaryLinear | IntegerLinear):
            x, scale = x.reshape(len(x), -1) @ integers(module).T, scale * step_of(module)
        elif isinstance(module, nn.MaxPool2d):
            x = pooled(x, module.kernel_size, np.max)
        elif isinstance(module, nn.AvgPool2d):
            x = pooled(x, module.kernel_size, np.sum)
            scale /= module.kernel_size[0] * module.kernel_size[1]
        elif isinstance(module, BinaryAct | IntegerAct):
            x, scale = activated(norm, module, x, scale)
        else:
            norm = module
            continue
        points.append((x, scale))
    return points


def step_of(layer):
    return float(layer.quant_weight().scale)


def activated(norm, act, x, scale):
    with torch.no_grad():
        value = act(norm(torch.from_numpy((x * np.float32(scale)).astype(np.float32)))).numpy()
    step = 1.0 if isinstance(act, BinaryAct) else float(act.act_quant.scale())
    return np.rint(value / step).astype(np.int64), step


SMALL = {
    "bipolar padding": {"image": (1, 6, 6), "features": (4, 6, "max2"), "input_dtype": "UINT5"},
    "positive padding": {"image": (2, 6, 5), "features": (3, "max2", 5), "pad_value": 1},
    "zero padding": {"image": (2, 4, 6), "features": (3, 4, "max3"), "pad_value": 0},
    "no padding": {"image": (3, 9, 9), "features": (4, "max2", 5), "padding": 0, "hidden": (6,)},
    "pooled signs": {"image": (1, 6, 6), "features": (4, "max2", 4), "pool_at": "activation"},
    "w1a2": {"image": (3, 6, 6), "features": (4, "max2", 5), "act": "int2", "hidden": (7,)},
    "w2a2": {"image": (3, 6, 6), "features": (4, 5, "max2"), "act": "int2", "weight": "int2"},
    "unsigned": {"image": (2, 6, 6), "features": (4, 5, "max2"), "act": "uint2", "pad_value": 0},
    "w4a4": {"image": (2, 6, 6), "features": (4, 5, "avg2"), "act": "int4", "weight": "int4"},
    "w8a8": {
        "image": (2, 6, 6),
        "features": (4, "avg3", 5),
        "act": "uint8",
        "weight": "int8",
        "pad_value": 0,
    },
    "averaged maps": {
        "image": (1, 8, 4),
        "features": (4, "avg2", 5, "avg"),
        "pool_at": "activation",
        "act": "uint4",
        "pad_value": 0,
    },
    "bipolar images": {"image": (2, 5, 5), "features": (4, "max2"), "input_dtype": "BIPOLAR"},
}


def small(name):
    options = {"padding": 1, "classes": 3, "input_dtype": "UINT8", **SMALL[name]}
    net = zoo.create("digits-cnn", seed=2, **options)
    images = images_of(net, 8)
    return randomized(net, images), images


@pytest.mark.parametrize(
    ("name", "exporter"),
    [
        *((name, "torchscript") for name in SMALL),
        ("bipolar padding", "dynamo"),
        *(slow_dynamo(name) for name in SMALL if name != "bipolar padding"),
    ],
)
def test_golden_holds_what_an_independent_integer_network_computes(name, exporter, tmp_path):
    net, images = small(name)
    result = export(net, tmp_path / "m.onnx", inputs=images, exporter=exporter)
    expected = expected_points(net, images)
    with np.load(result.golden) as golden:
        names = list(result.tensors[1:])
        if net.input_dtype == "BIPOLAR":  # the sign in front changes nothing
            np.testing.assert_array_equal(golden[f"tensor/{names.pop(0)}"], images)
        assert len(names) == len(expected)
        for tensor, (want, scale) in zip(names, expected, strict=True):
            np.testing.assert_array_equal(golden[f"tensor/{tensor}"], want)
            assert float(golden[f"scale/{tensor}"]) == scale
        with torch.no_grad():
            classes = net(images.float()).argmax(dim=1)
        np.testing.assert_array_equal(golden["prediction"], classes)
        model = ModelWrapper(str(result.model))
        for index in range(2):
            feed = {model.graph.input[0].name: images[index : index + 1].numpy().astype(np.float32)}
            context = execute_onnx(model, feed, return_full_exec_context=True)
            for tensor in result.tensors:
                steps = context[tensor] / golden[f"scale/{tensor}"]
                np.testing.assert_array_equal(np.rint(steps[0]), golden[f"tensor/{tensor}"][index])


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(
    ("weight", "act", "quantizers"),
    [
        ("binary", "binary", {"BipolarQuant": 17}),
        ("binary", "int2", {"BipolarQuant": 9, "Quant": 8}),
        ("int2", "int2", {"Quant": 17}),
    ],
)
def test_cnv_exports_every_point(exporter, weight, act, quantizers, tmp_path):
    net = zoo.create("cnv", weight=weight, act=act)
    images = images_of(net, 4)
    result = export(
        randomized(net, images), tmp_path / "m.onnx", inputs=images[:1], exporter=exporter
    )
    graph = ModelWrapper(str(result.model)).graph
    ops = [node.op_type for node in graph.node]
    fully_connected = "MatMul" if exporter == "torchscript" else "Gemm"
    counts = {"Conv": 6, "MaxPool": 2, fully_connected: 3, **quantizers}
    assert {op: ops.count(op) for op in counts} == counts
    with np.load(result.golden) as golden:
        shapes = [golden[f"tensor/{name}"].shape[1:] for name in result.tensors]
    sizes = [(64, 30), (64, 28), (64, 14), (128, 12), (128, 10), (128, 5), (256, 3), (256, 1)]
    maps = [(channels, size, size) for channels, size in sizes]
    twice = [shape for index, shape in enumerate(maps) for _ in range(1 if index in (2, 5) else 2)]
    assert shapes == [(3, 32, 32), *twice, *[(512,)] * 4, (10,)]


def test_padding_is_a_node_of_its_own_only_where_it_is_not_zero(tmp_path):
    pads = {}
    for name in ("bipolar padding", "zero padding"):
        net, images = small(name)
        result = export(net, tmp_path / f"{name}.onnx", inputs=images, golden=tmp_path / "g.npz")
        model = ModelWrapper(str(result.model))
        pads[name] = [
            (model.get_initializer(node.input[1]).tolist(), model.get_initializer(node.input[2]))
            for node in model.get_nodes_by_op_type("Pad")
        ]
    assert pads == {"bipolar padding": [([0, 0, 1, 1, 0, 0, 1, 1], -1.0)], "zero padding": []}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_other_geometries_and_pools_export(exporter, tmp_path):
    torch.manual_seed(4)
    net = nn.Sequential(
        BinaryConv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0)),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        IntegerAct(2, signed=True),
        IntegerConv2d(4, 4, 3, bits=2, groups=4, dilation=(1, 2), padding=2, pad_value=-1),
        nn.BatchNorm2d(4),
        BinaryAct(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        BinaryLinear(4, 3),
    )
    images = torch.randint(0, 256, (5, 2, 11, 12))
    net = randomized(net, images)
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT8", exporter=exporter)
    with np.load(result.golden) as golden:
        shapes = [golden[f"tensor/{name}"].shape[1:] for name in result.tensors]
        mean, act = (golden[f"tensor/{result.tensors[index]}"] for index in (6, 5))
        np.testing.assert_array_equal(mean[..., 0, 0], act.sum(axis=(2, 3)))
        area = act.shape[2] * act.shape[3]
        assert float(golden[f"scale/{result.tensors[6]}"]) == pytest.approx(1 / area, rel=1e-6)
    act, conv = (4, 3, 6), (4, 5, 6)
    assert shapes == [(2, 11, 12), (4, 6, 11), act, act, conv, conv, (4, 1, 1), (3,)]


def test_scales_may_differ_between_channels(tmp_path):
    torch.manual_seed(5)
    net = nn.Sequential(
        QuantConv2d(2, 3, 3, bias=False, weight_quant=Int8WeightPerChannelFloat),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(3),
        BinaryAct(),
        BinaryConv2d(3, 2, 2),
    )
    images = torch.randint(0, 256, (3, 2, 6, 6))
    net = randomized(net, images)
    result = export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT8")
    with np.load(result.golden) as golden:
        conv, pool = result.tensors[1:3]
        assert golden[f"scale/{conv}"].shape == golden[f"scale/{pool}"].shape == (3,)
        np.testing.assert_array_equal(
            golden[f"tensor/{pool}"], pooled(golden[f"tensor/{conv}"], (2, 2), np.max)
        )


def test_a_wrong_pool_in_the_file_is_found(tmp_path, monkeypatch):
    net, images = small("no padding")
    make = qonnx_file.to_qonnx

    def with_other_windows(*args):
        model = make(*args)
        (node,) = model.get_nodes_by_op_type("MaxPool")
        attributes = {attribute.name: attribute for attribute in node.attribute}
        attributes["kernel_shape"].ints[:] = [1, 1]
        attributes["strides"].ints[:] = [3, 3]
        return model

    monkeypatch.setitem(export.__globals__, "to_qonnx", with_other_windows)
    with pytest.raises(ValueError, match=r"^export: tensor 'MaxPool_0_out0' "):
        export(net, tmp_path / "m.onnx", inputs=images)


class Odd(nn.Module):
    """Changes accumulators in place, before a pooling sees them."""

    def forward(self, x):
        return x.mul_(2)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [IntegerAct(2, signed=True, scale=2.0), BinaryConv2d(1, 2, 3, padding=1, pad_value=1)],
            "export: layer '1' pads with 1, which is 0.5 steps of its input's grid; ",
        ),
        (
            [BinaryConv2d(1, 2, 3), nn.AvgPool2d(3, padding=1, count_include_pad=False)],
            "export: pooling '1' averages fewer values at the border; set ceil_mode=False and ",
        ),
        (
            [BinaryConv2d(1, 2, 3), nn.AvgPool2d(3, ceil_mode=True)],
            "export: pooling '1' averages fewer values at the border; set ceil_mode=False and ",
        ),
        (
            [BinaryConv2d(1, 2, 3), nn.AdaptiveAvgPool2d((2, 1))],
            "export: pooling '1' has windows of several sizes; use AvgPool2d, or an output of 1",
        ),
        (
            [BinaryConv2d(1, 2, 3), Odd(), nn.MaxPool2d(2)],
            "export: pooling '2' does not compute the sums of its integers; ",
        ),
        (
            [nn.Hardtanh(0.0, 0.5), nn.MaxPool2d(2)],
            "export: input of pooling '1': element (0, 0, 0, 0) is 0.5 steps of its grid, ",
        ),
        ([nn.Conv2d(1, 2, 3)], "export: layer '0' is a float Conv2d; only quantized layers "),
    ],
)
def test_what_is_no_integer_network_is_refused_by_name(layers, message, tmp_path):
    images = torch.ones(2, 1, 8, 8, dtype=torch.int64)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        export(nn.Sequential(*layers), tmp_path / "m.onnx", inputs=images, input_dtype="UINT5")
    assert str(error.value).startswith(message)


def test_sums_beyond_32_bits_are_refused(tmp_path):
    net = nn.Sequential(BinaryConv2d(64, 1, 3), nn.AvgPool2d(6), PositiveScale(1.0))
    with torch.no_grad():
        net[0].weight.fill_(1.0)
    images = torch.full((1, 64, 8, 8), 2**24 - 1)
    with pytest.raises(ValueError, match=r"^export: (the accumulator|layer|the sum)"):
        export(net, tmp_path / "m.onnx", inputs=images, input_dtype="UINT24")


def test_a_trained_convolutional_network_exports(tmp_path):
    images = data.load("digits-8")
    net = zoo.create("digits-cnn", features=(4, "max2", 8, "max2"))
    train.fit(net, images, epochs=1)
    result = export(net, tmp_path / "m.onnx", inputs=images.test.images, labels=images.test.labels)
    with np.load(result.golden) as golden:
        right = (golden["prediction"] == golden["label"]).mean()
    assert right == train.evaluate(net, images.test)
